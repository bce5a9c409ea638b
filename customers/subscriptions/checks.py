"""What is wrong with a customer or a subscription, as faults that a person can act on.

Verbs and forms ask here, and only here.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date, datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Alignment, Period, local_date
from catalog.models import Charge, Plan, PlanVersion
from customers.models import Alias, Contact, Customer, MeterClaim, Subscription

# An address of the API ends in this word, so a reference that ends in it could not be told from it.
RESERVED_ENDINGS = {
    "customer": ("/usage", "/aliases", "/entitlements", "/check"),
    "subscription": ("/overrides", "/coupons", "/end"),
}
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2199, 12, 31)
CUSTOMER_FIELDS = ("reference", "name", "currency", "timezone", "email", "tax_id", "address", "country")

# What a constraint of the database says when a write got past the checks, for example by a race.
CONSTRAINTS = {
    "customer_reference_once": Fault("reference_conflict", "Another customer has this reference.", "reference"),
    "alias_reference_once": Fault("reference_conflict", "Another customer is known by this reference.", "reference"),
    "alias_own_kept": Fault(
        "own_alias_conflict", "This is the customer's own reference; change it there.", "reference"
    ),
    "customer_currency_kept": Fault(
        "currency_conflict", "The customer has a subscription and keeps its currency.", "currency"
    ),
    "subscription_reference_once": Fault("reference_conflict", "Another subscription has this reference.", "reference"),
    "subscription_version_published": Fault(
        "version_not_published", "Only a published plan version can be subscribed to.", "version"
    ),
    "subscription_currency_fits": Fault(
        "currency_differs", "The customer and the plan version have different currencies.", "version"
    ),
    "subscription_needs_wallet": Fault(
        "wallet_missing", "The plan is paid for beforehand, which needs a wallet; there are none yet.", "version"
    ),
    "subscription_moves_forward": Fault(
        "version_conflict",
        "A subscription moves only to a later version of its plan, of its currency, interval and meters.",
        "version",
    ),
    "subscription_ends_after_start": Fault("ends_too_early", "The end is not after the start.", "ends_on"),
    "override_no_overlap": Fault(
        "override_conflict", "The customer has another override of this feature on some of these days.", "starts_on"
    ),
    "feature_value_fits_kind": Fault("value_invalid", "The value is of another kind than the feature.", "value"),
    "feature_value_allowed": Fault("value_unknown", "The list has no such value.", "value"),
    "override_ends_only": Fault("override_conflict", "An override that has ended stays as it is.", "ends_on"),
    "meter_claim_no_overlap": Fault(
        "meter_conflict", "Another subscription of this customer reads the same meter at that time.", "starts_on"
    ),
    "term_one_at_a_time": Fault(
        "override_conflict", "The same was negotiated for that time by somebody else just now.", "starts_on"
    ),
    "redemption_one_at_a_time": Fault(
        "coupon_conflict", "The subscription has redeemed this coupon, and it is not over yet.", "code"
    ),
    "coupon_can_be_redeemed": Fault(
        "coupon_over_conflict", "The coupon is used up, over, or not active: choose another one.", "code"
    ),
    "coupon_customer_limit": Fault(
        "coupon_limit_conflict", "The customer has redeemed this coupon as often as one may.", "code"
    ),
    "coupon_currency_fits": Fault(
        "currency_differs", "The coupon is in another currency than the customer pays in.", "code"
    ),
    "coupon_plan_fits": Fault("coupon_plan_differs", "The coupon is not for this plan.", "code"),
}


# Of these the database knows the day that is possible, and says it.
CLOSED = {"term_after_closed": "starts_on", "redemption_after_closed": "first_invoice_on"}


def refusal(error: IntegrityError) -> Refused:
    """The refusal that a violated constraint stands for; an error that is not one of ours is raised again."""
    told = getattr(error.__cause__, "diag", None)
    name = getattr(told, "constraint_name", None)
    if name in CLOSED:
        return Refused(Fault("closed_conflict", str(getattr(told, "message_primary", "")), CLOSED[name]))
    if name not in CONSTRAINTS:
        raise error
    return Refused(CONSTRAINTS[name])


def refuse_if(faults: Sequence[Fault]) -> None:
    if faults:
        raise Refused(*faults)


def customer_faults(customer: Customer) -> list[Fault]:
    """Everything wrong with a customer as it would be saved, saved before or not."""
    faults = [fault for name in CUSTOMER_FIELDS for fault in _field_faults(customer, name)]
    faults += _currency_faults(customer)
    if not any(fault.field == "reference" for fault in faults):
        faults += reference_faults(customer.reference, "customer")
        faults += taken_faults(customer.reference, customer.pk)
    return faults


def _currency_faults(customer: Customer) -> list[Fault]:
    """Its subscriptions are priced in the currency that it has."""
    before = Customer.objects.filter(pk=customer.pk).exclude(currency=customer.currency).first()
    if before is None or not before.subscriptions.exists():
        return []
    message = (
        f"“{before}” has a subscription and keeps its currency {before.currency};"
        f" to bill in “{customer.currency}”, make another customer."
    )
    return [Fault("currency_conflict", message, "currency")]


def contact_faults(contact: Contact, index: int) -> list[Fault]:
    faults = [fault for name in ("name", "email", "role") for fault in _field_faults(contact, name)]
    return [Fault(fault.code, fault.message, f"contacts.{index}.{fault.field}") for fault in faults]


def reference_faults(reference: str, whose: str) -> Iterator[Fault]:
    """Why a reference could not be addressed: `/v1/customers/{reference}` has to mean one thing."""
    if not reference:
        yield Fault("reference_missing", f"Give the {whose} a reference: your own id of it.", "reference")
    if reference.endswith(RESERVED_ENDINGS[whose]):
        message = f"“{reference}” ends in a word that the API's addresses end in; choose a reference without it."
        yield Fault("reference_reserved", message, "reference")
    if reference != reference.strip() or any(unicodedata.category(character) == "Cc" for character in reference):
        message = f"“{reference}” begins or ends with a blank, or holds a control character; leave that out."
        yield Fault("reference_unreadable", message, "reference")
    if {".", ".."} & set(reference.split("/")):
        message = (
            f"“{reference}” has “.” or “..” between slashes, which no web address keeps; choose another reference."
        )
        yield Fault("reference_reserved", message, "reference")


def alias_faults(customer_id: int | None, reference: str) -> list[Fault]:
    """Whether a reference can mean this customer, None for one that is not saved yet."""
    alias = Alias(reference=reference)
    return [*_field_faults(alias, "reference"), *taken_faults(reference, customer_id)]


def taken_faults(reference: str, customer_id: int | None) -> list[Fault]:
    """A reference means one customer; which one has it already?"""
    if "\0" in reference:
        return []
    other = Alias.objects.filter(reference=reference).exclude(customer=customer_id).select_related("customer").first()
    if other is None:
        return []
    message = f"“{reference}” already means the customer “{other.customer}” ({other.customer.reference})."
    return [Fault("reference_conflict", message, "reference")]


def date_faults(starts_on: date | None, ends_on: date | None) -> list[Fault]:
    """Whether the days can be used, and come in order. `starts_on` None: it stays as it is."""
    faults = []
    for field, day in (("starts_on", starts_on), ("ends_on", ends_on)):
        if day is not None and (isinstance(day, datetime) or not FIRST_DAY <= day <= LAST_DAY):
            message = f"“{day}” is not a day from {FIRST_DAY} to {LAST_DAY}; check the year."
            faults.append(Fault("date_out_of_range", message, field))
    if not faults and starts_on is not None and ends_on is not None and ends_on <= starts_on:
        message = (
            f"The end {ends_on} is not after the start {starts_on}. The end day is not included: choose a later one."
        )
        faults.append(Fault("ends_too_early", message, "ends_on"))
    return faults


def alignment_faults(alignment: str) -> list[Fault]:
    if alignment in [known.value for known in Alignment]:
        return []
    known = " or ".join(f"“{each.value}”" for each in Alignment)
    return [Fault("alignment_unknown", f"“{alignment}” is not an alignment; use {known}.", "alignment")]


def version_faults(version: PlanVersion, customer: Customer) -> list[Fault]:
    faults = []
    if version.status != PlanVersion.Status.PUBLISHED:
        message = f"{version} is {version.get_status_display().lower()}; only a published version can be subscribed to."
        faults.append(Fault("version_not_published", message, "version"))
    if customer.currency not in (offered := version.currencies()):
        message = (
            f"{version} is priced in {' and '.join(offered)} and the customer “{customer}” pays in {customer.currency};"
            " choose a version in the customer's currency."
        )
        faults.append(Fault("currency_differs", message, "version"))
    if version.plan.consumption != Plan.Consumption.METERED:
        message = (
            f"“{version.plan}” is paid for beforehand, by {version.plan.consumption}, which needs a wallet; there are"
            " none yet. Choose a metered plan."
        )
        faults.append(Fault("wallet_missing", message, "version"))
    return faults


def subscription_reference_faults(reference: str) -> list[Fault]:
    faults = [*_field_faults(Subscription(reference=reference), "reference")]
    faults = faults or [*reference_faults(reference, "subscription")]
    if not faults and Subscription.objects.filter(reference=reference).exists():
        message = f"There is already a subscription “{reference}”; choose another reference."
        faults.append(Fault("reference_conflict", message, "reference"))
    return faults


def overlap_faults(
    customer_id: int, version_id: int, starts_at: datetime, ends_at: datetime | None, *, but: int | None, field: str
) -> list[Fault]:
    """Which subscriptions of the customer, `but` one, read a meter of the version at the same time."""
    meters = Charge.objects.filter(version=version_id, meter__isnull=False).values("meter")
    claims = (
        MeterClaim.objects.filter(customer=customer_id, meter__in=meters, named_events_only=False)
        .filter(period__overlap=(starts_at, ends_at))
        .exclude(subscription=but)
        .select_related("subscription__version__plan", "meter")
        .order_by("meter__name", "subscription_id")
    )
    return [Fault("meter_conflict", _overlap(claim), field) for claim in claims]


def _overlap(claim: MeterClaim) -> str:
    other = claim.subscription
    return (
        f"The subscription “{other.reference}” ({other.version}, {span(other)}) already reads the meter “{claim.meter}”"
        " at that time. Choose days on which it does not run, or let one of the two charge only events that name it."
    )


def span(subscription: Subscription) -> str:
    """The days of a subscription as people read them: “2023-11-01 to 2023-12-01”."""
    first = local_date(subscription.starts_at, subscription.timezone)
    if subscription.ends_at is None:
        return f"from {first}"
    return f"{first} to {local_date(subscription.ends_at, subscription.timezone)}"


def end_faults(subscription: Subscription, ends_at: datetime | None, period: Period, *, opened: bool) -> list[Fault]:
    """Why the end cannot move there: nothing that has been invoiced is taken back by it.

    `period`: the full one that begins at or holds `due_from`. `opened`: its fees in advance have been invoiced.
    """
    if subscription.due_from is None:
        message = (
            f"“{subscription}” ({span(subscription)}) has been invoiced to its end; start a new subscription instead."
        )
        return [Fault("billed_conflict", message, "ends_on")]
    if opened and subscription.ends_at is not None and subscription.ends_at < period.end:
        message = (
            f"The fees of “{subscription}” ({span(subscription)}) have been invoiced up to its end; it cannot move."
        )
        return [Fault("billed_conflict", message, "ends_on")]
    earliest = period.end if opened else subscription.due_from
    if ends_at is not None and ends_at < earliest:
        day = local_date(earliest, subscription.timezone)
        message = f"“{subscription}” has been invoiced up to {day}; it can end on that day or later."
        return [Fault("billed_conflict", message, "ends_on")]
    return []


def _field_faults(instance: models.Model, name: str) -> Iterator[Fault]:
    field = instance._meta.get_field(name)
    assert isinstance(field, models.Field)
    value = getattr(instance, name)
    label = str(field.verbose_name).capitalize()
    if not isinstance(value, str) or not storable(value):
        yield Fault("text_invalid", f"{label} holds a character that cannot be stored; leave it out.", name)
        return
    try:
        field.clean(value, instance)
    except ValidationError as error:
        for each in error.error_list:
            yield Fault(each.code or "invalid", _message(label, value, field, each), name)


def text_faults(label: str, field: str, text: str) -> list[Fault]:
    """Whether a text of any length can be stored."""
    message = f"{label} holds a character that cannot be stored; leave it out."
    return [] if storable(text) else [Fault("text_invalid", message, field)]


def storable(text: str) -> bool:
    """PostgreSQL stores neither a zero character nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _message(label: str, value: str, field: "models.Field[object, object]", error: ValidationError) -> str:
    """Django's own messages name neither the field nor the value."""
    if error.code == "blank":
        return f"{label} is empty; fill it in."
    if error.code == "max_length":
        return f"{label} has {len(value)} characters; at most {field.max_length} can be stored."
    if isinstance(field, models.EmailField):
        return f"“{value}” is not an e-mail address; use one such as billing@example.com."
    return str(error.messages[0])
