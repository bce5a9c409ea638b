"""How customers, subscriptions and usage are written and read in the API."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from billing_site.foundation import clock
from billing_site.foundation.api_fields import Day, StrictSerializer, Text, Whole, YesNo
from billing_site.foundation.money import plain
from billing_site.foundation.periods import Alignment, in_zone, local_date
from customers.models import Customer, Subscription
from customers.usage.pages import Row
from customers.usage.periodic import UsageRow
from meters.backfills.progress import Counting


class ContactSerializer(StrictSerializer):
    name = Text()
    email = Text()
    role = Text(required=False, default="", help_text="For example Accounts payable.")


class AliasesField(serializers.ListField):
    """All references but the own one."""

    default_error_messages = {
        "not_a_list": "Send a list of texts, in square brackets; this is of the type {input_type}."
    }

    def get_attribute(self, instance: Customer) -> list[str]:
        return [alias.reference for alias in instance.aliases.all() if not alias.own]


class CustomerSerializer(StrictSerializer):
    """A customer; what may be left out has a default."""

    reference = Text(help_text="Your own id of the customer, as it stands on usage events.")
    name = Text(help_text="As it stands on the invoice.")
    currency = Text(required=False, help_text="Three letters; USD when left out. Stays once there is a subscription.")
    timezone = Text(required=False, help_text="Where billing periods begin at midnight; UTC when left out.")
    email = Text(required=False, help_text="Stands on the invoice; nothing is sent to it.")
    tax_id = Text(required=False)
    address = Text(required=False)
    country = Text(required=False, help_text="Two letters, for example DE.")
    aliases = AliasesField(
        child=Text(), required=False, help_text="Further references by which events name the customer. Replaces all."
    )
    contacts = ContactSerializer(many=True, required=False, help_text="Replaces all.")
    created_at = serializers.DateTimeField(read_only=True)


class AliasSerializer(StrictSerializer):
    reference = Text(help_text="Another reference by which events name the customer.")


class SubscriptionSerializer(StrictSerializer):
    """A subscription to make. Days are local days of the customer's timezone."""

    customer = Text(help_text="The customer's reference, or an alias.")
    plan = Text(help_text="The plan's code.")
    version = Whole(
        required=False,
        min_value=1,
        error_messages={"min_value": "Versions are counted from {min_value}."},
        help_text="The number of a published version; the newest when left out.",
    )
    starts_on = Day(help_text="The first day.")
    ends_on = Day(required=False, allow_null=True, default=None, help_text="The day after the last.")
    alignment = Text(
        required=False,
        default=Alignment.CALENDAR.value,
        help_text="calendar: periods begin on the first of the month; anniversary: on the day of starts_on.",
    )
    reference = Text(required=False, help_text="Your own id, by which events may name it; made when left out.")
    named_events_only = YesNo(
        required=False, default=False, help_text="Charge only events that name this subscription."
    )


class SubscriptionChangeSerializer(StrictSerializer):
    """What can change of a subscription: its end, and the version of its plan."""

    version = Whole(
        required=False,
        min_value=1,
        help_text="The number of a later published version of its plan: it prices all that is not finalized.",
    )
    ends_on = Day(
        required=False,
        allow_null=True,
        help_text="The day after the last, in the subscription's timezone; null: no end.",
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given:
            raise serializers.ValidationError({"ends_on": ["Give ends_on, version, or both."]}, code="required")
        return given


class SubscriptionAnswerSerializer(serializers.Serializer[Subscription]):
    """A subscription as it stands."""

    reference = serializers.CharField()
    customer = serializers.CharField(source="customer.reference")
    plan = serializers.CharField(source="version.plan.code")
    version = serializers.IntegerField(source="version.number")
    status = serializers.SerializerMethodField()
    starts_on = serializers.SerializerMethodField()
    ends_on = serializers.SerializerMethodField()
    timezone = serializers.CharField()
    alignment = serializers.CharField()
    named_events_only = serializers.BooleanField()
    next_invoice_at = serializers.DateTimeField(source="due_at", allow_null=True)
    created_at = serializers.DateTimeField()

    def get_status(self, subscription: Subscription) -> str:
        """scheduled, active or ended"""
        return subscription.state_at(clock.now())

    def get_starts_on(self, subscription: Subscription) -> str:
        return local_date(subscription.starts_at, subscription.timezone).isoformat()

    def get_ends_on(self, subscription: Subscription) -> str | None:
        if subscription.ends_at is None:
            return None
        return local_date(subscription.ends_at, subscription.timezone).isoformat()


class SubscriptionChangedSerializer(SubscriptionAnswerSerializer):
    """A subscription as it stands, and what its version has no place for."""

    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="Negotiated terms that hold for nothing in its version."
    )


class UsageRowSerializer(serializers.Serializer[UsageRow]):
    meter = serializers.CharField(source="meter.code")
    unit = serializers.CharField(source="meter.unit")
    dimensions = serializers.DictField(child=serializers.CharField())
    quantity = serializers.SerializerMethodField()
    values = serializers.IntegerField(
        source="events", help_text="How many values were counted or added up; an event may carry several."
    )

    def get_quantity(self, row: UsageRow) -> str:
        return plain(row.quantity)


class StillCountingSerializer(serializers.Serializer[Counting]):
    """A meter that still counts events which came before it was made or changed: its usage here is not all."""

    meter = serializers.CharField()
    percent = serializers.IntegerField(help_text="How much of what was stored is counted, about.")


class UsageSerializer(serializers.Serializer[Any]):
    """Usage of one customer in [from, to)."""

    def get_fields(self) -> dict[str, Any]:
        # “from” is a word of the language and “data” one of the serializer's: neither can be declared above.
        return {
            "customer": serializers.CharField(),
            "from": serializers.DateTimeField(),
            "to": serializers.DateTimeField(),
            "data": UsageRowSerializer(many=True),
            "still_counting": StillCountingSerializer(many=True),
        }


class WindowRowSerializer(serializers.Serializer[Row]):
    """Usage in a window of time, [start, end), whose bounds carry the offset of the customer's timezone."""

    customer = serializers.CharField(source="span.customer.reference")
    meter = serializers.CharField(source="span.meter.code")
    unit = serializers.CharField(source="span.meter.unit")
    start = serializers.SerializerMethodField()
    end = serializers.SerializerMethodField()
    dimensions = serializers.DictField(source="usage.dimensions", child=serializers.CharField())
    quantity = serializers.SerializerMethodField()
    events = serializers.IntegerField(source="usage.events")

    def get_start(self, row: Row) -> datetime:
        return in_zone(row.span.period.start, row.span.customer.timezone)

    def get_end(self, row: Row) -> datetime:
        return in_zone(row.span.period.end, row.span.customer.timezone)

    def get_quantity(self, row: Row) -> str:
        return plain(row.usage.quantity)
