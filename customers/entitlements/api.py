"""GET /v1/customers/{reference}/entitlements and …/entitlements/{feature}/check: what a customer may, now."""

from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import plain
from billing_site.foundation.periods import in_zone
from catalog.features import book as feature_book
from catalog.features.models import Feature
from catalog.features.values import Kind, written
from customers.entitlements import allowing, holders, reading
from customers.entitlements.allowing import Decision, Reason
from customers.entitlements.close_references import close_references
from customers.entitlements.holders import Holder
from customers.entitlements.reading import Entitlement, Source
from customers.models import Customer
from meters.events.values import Unfit, as_number, check_quantity

VALUE = {
    "oneOf": [
        {"type": "boolean", "title": "of a switch"},
        {"type": "string", "title": "of a number: decimal digits, or “unlimited”; of a list: “any”"},
        {"type": "array", "items": {"type": "string"}, "title": "of a list"},
    ]
}
VALUE_HELP = "A switch's true or false; a number as text, or “unlimited”; a list of texts, or “any”."


@extend_schema_field(VALUE)
class ValueField(serializers.JSONField):
    """Its form depends on the feature's kind."""


class EntitlementSerializer(serializers.Serializer[Any]):
    feature = serializers.CharField(help_text="The feature's code.")
    name = serializers.CharField(help_text="For people.")
    kind = serializers.ChoiceField(choices=Feature.Kind.choices)
    value = ValueField(help_text=VALUE_HELP)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[each.value for each in Source], help_text="Where the value comes from; none: nobody gives it."
    )
    used = serializers.CharField(
        allow_null=True,
        help_text="Of a number that counts use: in the current window. Null: not counted, or not known.",
    )
    remaining = serializers.CharField(
        allow_null=True, help_text="How much more fits, 0 at least. Null: likewise, or there is no limit."
    )
    unit = serializers.CharField(allow_null=True, help_text="What one of the number is called; null when not counted.")
    window = serializers.ChoiceField(choices=Feature.Window.choices, allow_null=True)
    resets_at = serializers.DateTimeField(
        allow_null=True, help_text="When the window ends and use begins anew, with the customer's offset."
    )
    still_counting = serializers.BooleanField(
        help_text="The meter is still counting stored events: what is used is not known yet."
    )


class EntitlementsSerializer(serializers.Serializer[Any]):
    customer = serializers.CharField(help_text="The customer's reference.")
    data = EntitlementSerializer(many=True, help_text="In the order of codes.")  # type: ignore[assignment]


class CheckSerializer(EntitlementSerializer):
    allowed = serializers.BooleanField()
    reason = serializers.ChoiceField(choices=[each.value for each in Reason], help_text="For programs; stays the same.")
    message = serializers.CharField(help_text="For people.")


class CustomerEntitlements(GenericAPIView[Any]):
    queryset = Customer.objects.all()
    serializer_class = EntitlementsSerializer
    pagination_class = None
    filter_backends = ()
    required_scopes = "read"

    @extend_schema(
        operation_id="list_entitlements",
        summary="What a customer may, now: every feature",
        description="Values of the plan versions of its active subscriptions, combined, or of an override, which beats "
        "them. What is used is right from the moment at which ingestion answered.",
    )
    def get(self, request: Request, reference: str) -> Response:
        now = clock.now()
        holder = find_holder(reference, now)
        data = [_shown(each, holder) for each in reading.entitlements(holder, now)]
        return Response({"customer": holder.reference, "data": data})


class CheckEntitlement(GenericAPIView[Any]):
    queryset = Customer.objects.all()
    serializer_class = CheckSerializer
    pagination_class = None
    filter_backends = ()
    required_scopes = "read"
    query_parameters = ("quantity", "value")
    further_errors = {"422": "A parameter is missing, or does not go with the feature's kind."}

    @extend_schema(
        operation_id="check_entitlement",
        summary="Whether a customer may, now",
        description="A switch: whether it is on. A number: whether `quantity` more still fits. A list: whether `value` "
        "is in it. Nothing is reserved: what is allowed counts when its event is sent. While the meter is still "
        "counting stored events nobody is stopped: `reason` is `usage_still_counting`.",
        parameters=[
            OpenApiParameter(
                "quantity", str, description="Of a number: how much more; 1 when left out. A decimal, 0 or more."
            ),
            OpenApiParameter("value", str, description="Of a list: the value that is asked for."),
        ],
    )
    def get(self, request: Request, reference: str, feature: str) -> Response:
        now = clock.now()
        holder = find_holder(reference, now)
        found = reading.entitlements(holder, now, only=feature)
        if not found:
            raise _no_feature(feature, holder)
        decision = _decide(found[0], holder, request)
        return Response(
            {
                "allowed": decision.allowed,
                "reason": decision.reason.value,
                "message": decision.message,
                **_shown(found[0], holder),
            }
        )


def find_holder(reference: str, now: datetime) -> Holder:
    """The customer that a reference or an alias means. Raises NotFound, which names those that could be meant."""
    holder = holders.find(reference, now)
    if holder is None:
        close = close_references(reference)
        mend = " Did you mean " + " or ".join(f"“{each}”" for each in close) + "?" if close else ""
        raise NotFound(f"No customer is known by “{reference[:255]}”.{mend}", code="customer_unknown")
    return holder


def _no_feature(code: str, holder: Holder) -> NotFound:
    known = [each.code for each in feature_book.features(holder.revision)]
    close = get_close_matches(code, known, n=3)
    mend = " Did you mean " + " or ".join(f"“{each}”" for each in close) + "?" if close else ""
    return NotFound(f"There is no feature “{code[:100]}”.{mend}", code="feature_unknown")


def _decide(each: Entitlement, holder: Holder, request: Request) -> Decision:
    """What is asked, read by the feature's kind. Raises Refused."""
    asked, name, kind = request.query_params, each.feature.name, each.feature.kind
    takes = {Kind.SWITCH: "", Kind.NUMBER: "quantity", Kind.LIST: "value"}[kind]
    unused = [field for field in ("quantity", "value") if field in asked and field != takes]
    if unused:
        mend = f"it takes “{takes}”" if takes else "it is asked for without either"
        message = f"“{each.feature.code}” is a {kind}, which takes no {unused[0]}: {mend}."
        raise Refused(Fault(f"{unused[0]}_unused", message, unused[0]))
    if kind is Kind.SWITCH:
        return allowing.switch(name, each.value)
    if kind is Kind.LIST:
        return allowing.listed(name, each.value, _value(each, asked.get("value")))
    resets_at = None if each.window is None else in_zone(each.window.end, holder.timezone)
    return allowing.number(name, each.value, _quantity(asked.get("quantity", "1")), each.used, resets_at)


def _value(each: Entitlement, text: str | None) -> str:
    if text is None:
        message = f"“{each.feature.code}” is a list: say which value is asked for, as “?value=…”."
        raise Refused(Fault("value_missing", message, "value"))
    return text


def _quantity(text: str) -> Decimal:
    number = as_number(text)
    if number is None or number < 0:
        message = f"“{text[:60]}” is not a quantity: use 0 or more, for example 1000 or 0.5."
        raise Refused(Fault("quantity_invalid", message, "quantity"))
    try:
        check_quantity(number, "quantity")
    except Unfit as unfit:
        raise Refused(Fault("quantity_invalid", unfit.message, "quantity")) from None
    return number


def _shown(each: Entitlement, holder: Holder) -> dict[str, Any]:
    feature, window = each.feature, each.window
    return {
        "feature": feature.code,
        "name": feature.name,
        "kind": feature.kind.value,
        "value": written(feature.kind, each.value),
        "source": each.source.value,
        "used": None if each.used is None else plain(each.used),
        "remaining": None if each.remaining is None else plain(each.remaining),
        "unit": feature.unit if window else None,
        "window": feature.window.value if window and feature.window else None,
        "resets_at": None if window is None else in_zone(window.end, holder.timezone).isoformat(),
        "still_counting": each.still_counting,
    }
