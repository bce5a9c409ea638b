"""Whether a version keeps the margin floor of its plan: no row sells a unit below its cost and that much more."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import ZERO, grouped
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priceable import priceable
from catalog.charges.priced_in import in_credits
from catalog.charges.row_checks import DraftRow, words
from catalog.costs.margins import Compared, compare, row_margins, rows_in_costs
from catalog.models import Charge
from catalog.pricing.margins import RowMargin
from catalog.pricing.words import counted

# Prices of tokens are small: people know them by the million.
MANY = Decimal(1_000_000)


def floor_faults(charge: Charge) -> Iterator[Fault]:
    """Rows in the currency of costs that earn less than the floor of the charge's plan; none without a floor."""
    floor = charge.version.plan.margin_floor
    if floor is None or not _is_seen(charge):
        return
    place = "" if charge.version.currency == COST_CURRENCY else f"lists.{COST_CURRENCY}."
    rows = rows_in_costs(charge)
    for found in row_margins(charge, rows):
        if not found.keeps(floor):
            unit = charge.meter.unit if charge.meter else "unit"
            yield Fault("margin_below_floor", below(found, floor, unit), f"{place}rows.{found.row}.{found.field}")


def _is_seen(charge: Charge) -> bool:
    return bool(charge.cost_model) and not in_credits(charge) and COST_CURRENCY in charge.version.currencies()


def _may_hold_model(charge: Charge) -> bool:
    """Whether the meter has a dimension of events' own values; its labels and bands are no models."""
    if charge.meter is None:
        return False
    known = priceable(charge.meter)
    return any(known.only(name) is None for name in known.dimensions)


def unchecked(charge: Charge) -> Iterator[str]:
    """Of what in a charge the floor says nothing, and why; nothing when it sees all of it, or there is none."""
    floor = charge.version.plan.margin_floor
    if floor is None or charge.kind != Charge.Kind.USAGE:
        return
    others = [each for each in charge.version.currencies() if each != COST_CURRENCY]
    if in_credits(charge):
        yield f"The margin floor does not see “{charge.name}”: it is priced in credits, and costs are in USD."
    elif not charge.cost_model and not _may_hold_model(charge):
        yield f"The margin floor does not see “{charge.name}”: its meter tells no models apart, so no cost is known."
    elif not charge.cost_model:
        yield f"The margin floor does not see “{charge.name}”: say which of its dimensions holds the model."
    elif others:
        yield f"The margin floor does not see the prices of “{charge.name}” in {', '.join(others)}: costs are in USD."
    if _is_seen(charge):
        yield from _blind(charge.name, rows_in_costs(charge), compare(charge, rows_in_costs(charge)))


def _blind(name: str, rows: Sequence[DraftRow], found: Compared) -> Iterator[str]:
    """Which rows were compared with nothing, and which not at all that they price."""
    of, reasons = f"of {counted(len(rows), 'row')} of “{name}”", []
    if found.unused:
        example = words(rows[found.unused[0]].match)
        reasons.append(f"no usage so far is for {len(found.unused):,} of them ({example})")
    if found.unknown:
        example = next(iter(found.unknown.values()))
        reasons.append(f"nobody knows what {len(found.unknown):,} of them cost ({example})")
    if reasons:
        alone = len(found.unused) + len(found.unknown)
        yield f"The margin floor compares {alone:,} {of} with nothing: {'; '.join(reasons)}."
    if found.partly:
        example = next(iter(found.partly.values()))
        why = f"nobody knows what some of their usage costs ({example})"
        yield f"The margin floor sees {len(found.partly):,} {of} only in part: {why}."
    if found.unbounded:
        example = words(rows[found.unbounded[0]].match)
        why = f"they have a fixed fee for each event ({example}), and what a unit comes to goes by how many it has"
        yield f"The margin floor compares {len(found.unbounded):,} {of} with nothing: {why}."
    if found.unread:
        yield f"The margin floor does not see all usage of “{name}”: {found.unread}."


def breaks(found: RowMargin, floor: Decimal | None) -> bool:
    """Whether a row earns less than the floor; without one, whether it sells below cost.

    One amount for any quantity breaks a floor; without one it may well be what was meant.
    """
    return not found.keeps(ZERO if floor is None else floor) and (floor is not None or not found.endless)


def below(found: RowMargin, floor: Decimal, unit: str, what: str = "") -> str:
    """How far below the floor a row sells, and what to ask for; the middle of a sentence about its charge.

    `what`: that it is, where it is no row.
    """
    what = what or f"row {found.row + 1}"
    price, cost, least = (grouped(each * MANY) for each in (found.unit_price, found.cost, found.least(floor)))
    when = f" {found.when}" if found.when else ""
    within = f" {found.within}" if found.within else ""
    if found.endless:
        return (
            f"{what} sells any quantity of {found.at} for one amount, and 1,000,000 {unit} cost {cost}"
            f" {COST_CURRENCY}{when}: whoever uses enough pays less than that. Give a unit a price."
        )
    return (
        f"{what} sells {found.at} at {price} {COST_CURRENCY} per 1,000,000 {unit}{within}, which costs"
        f" {cost}{when}: ask for {least} or more{f', the cost and {grouped(floor)} %' if floor else ''}."
    )
