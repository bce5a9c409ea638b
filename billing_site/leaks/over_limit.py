"""Meters with more combinations than their limit, whose usage is counted together."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from django.http import HttpRequest
from django.urls import reverse

from billing_site.foundation.money import show
from billing_site.leaks.sections import SHOWN, Fix, Leak, Section, count, instant
from invoicing import folded
from meters.measuring.folding import OTHER, Step
from meters.models import OverLimit
from meters.usage import cardinality


def over_limits(request: HttpRequest) -> Iterator[Section]:
    may_meter, may_count = (request.user.has_perm(f"meters.{verb}_meter") for verb in ("view", "change"))
    rows = cardinality.over_limit(SHOWN)
    amounts = folded.charged({(row.meter, row.customer) for row in rows})
    yield Section(
        "over-limit",
        "Meters beyond their limit of series",
        f"A customer has more combinations of dimension values than the meter allows. Further ones are counted as"
        f" “{OTHER}”: all of it, and priced by the rows that take any value; the worth is what they come to in the open"
        " period. Retire the dimension that has too many values, or raise the meter's limit; both count the meter anew."
        " After raising the limit of the site, count it anew here. That is done in the background; until it is done the"
        " meter's usage is unfinished and its invoices wait.",
        ("Meter", "Customer", "Allowed", "Counted together", "Quantities", "Since", "Example"),
        [
            Leak(
                (
                    row.name,
                    row.customer,
                    f"{row.allowed:,}",
                    _together(row),
                    f"{row.events:,}" if row.all else f"at least {row.events:,}",
                    instant(row.since),
                    ", ".join(f"{name} = {value}" for name, value in sorted(row.example.items())),
                ),
                _charged(amounts.get((row.meter, row.customer)), row.step),
                [
                    Fix(
                        "Open the meter", reverse("admin:meters_meter_change", args=[row.meter]) if may_meter else None
                    ),
                    Fix("Count anew", reverse("leaks_recount") if may_count else None, {"meter": str(row.meter)}),
                ],
            )
            for row in rows
        ],
        count(OverLimit.objects.all()),
        numbers=("Allowed", "Quantities"),
    )


def _charged(amounts: Mapping[str, Decimal] | None, step: Step) -> str:
    """What is charged for what is counted together, in periods that are open."""
    if step == Step.NOTHING:
        return "counted apart, and slow"
    if amounts is None:
        return "counted; no plan charges it now"
    return "about " + ", ".join(f"{show(amount, currency)} {currency}" for currency, amount in sorted(amounts.items()))


def _together(row: cardinality.Over) -> str:
    if row.step == Step.NOTHING:
        return "nothing: levels must be kept apart"
    return ", ".join(row.names) if row.step == Step.NAMES else "all dimensions, and the subscriptions that are named"


def meters_with_most_series(request: HttpRequest) -> Iterator[Section]:
    rows = cardinality.largest(SHOWN)
    may_meter = request.user.has_perm("meters.view_meter")
    yield Section(
        "series",
        "Meters with most series",
        "A series is one customer's combination of dimension values. A request id declared as a dimension makes one for"
        " every request, which slows everything down. Retire such a dimension.",
        ("Meter", "Series", "Customers", "Most at", "Series there"),
        [
            Leak(
                (row.name, f"{row.series:,}", f"{row.customers:,}", row.most_customer, f"{row.most:,}"),
                "–",
                [Fix("Open the meter", reverse("admin:meters_meter_change", args=[row.meter]) if may_meter else None)],
            )
            for row in rows
        ],
        f"{len(rows):,}",
        numbers=("Series", "Customers", "Series there"),
    )
