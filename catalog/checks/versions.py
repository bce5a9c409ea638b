"""Whether a plan version can be published: every fault at once, and what is allowed but worth a second look."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import is_currency
from catalog.charges.cell_prices import price_of
from catalog.charges.checks import charge_code_faults, charge_faults, fee_faults, paid_by, term_faults
from catalog.charges.priceable import priceable
from catalog.charges.priced_in import in_credits, rows_of
from catalog.charges.row_checks import DraftRow, counted_twice, leaves_gap
from catalog.charges.row_meeting import Work, meeting
from catalog.checks import linting
from catalog.checks.margin_floor import floor_faults, unchecked
from catalog.features import checks as feature_checks
from catalog.models import Charge, Plan, PlanVersion, PriceList
from catalog.pricing.commitment import bound_faults

__all__ = ["charge_code_faults", "currency_faults", "faults", "fee_faults", "term_faults", "warnings"]


def faults(version: PlanVersion) -> list[Fault]:
    """What must be mended first. `field` leads to the place: “currency”, “charges.tokens.rows.2.match”."""
    version = _read(version)
    charges = _charges(version)
    found = [*terms_faults(version)]
    for price_list in version.price_lists.all():
        found += _list_faults(version, price_list)
    found += consumption_faults(version)
    if not charges:
        found.append(Fault("charges_missing", "The version charges nothing: add a charge.", "charges"))
    for charge in charges:
        for fault in (*charge_faults(charge), *floor_faults(charge)):
            message = f"Charge “{charge.name}”: {fault.message}"
            found.append(replace(fault, message=message, field=f"charges.{charge.code}.{fault.field}"))
    return [*found, *feature_checks.version_faults(version)]


def warnings(version: PlanVersion) -> list[str]:
    """What may be meant, and may be not."""
    charges = _charges(_read(version))
    found = [why for charge in charges for why in unchecked(charge)]
    found += [text for charge in charges for text in _gaps(charge)]
    found += [text for charge in charges for text in _totals_beside_parts(charge)]
    found += [_charged_twice(one, other) for one, other in combinations(charges, 2) if _price_alike(one, other)]
    return [*found, *feature_checks.version_warnings(version), *linting.warnings(charges)]


def _gaps(charge: Charge) -> Iterator[str]:
    """Where usage may come that no row of a currency matches; credits have the same rows in all of them."""
    happens = (
        "its invoice is held until somebody prices it"
        if charge.unmatched == Charge.Unmatched.HOLD
        else "it is charged nothing and stands on the invoice at 0, “not priced”"
    )
    further = () if in_credits(charge) else charge.version.price_lists.all()
    for price_list in (None, *further):
        within = "" if price_list is None else f" in {price_list.currency}"
        matches = [cell.match for cell in rows_of(charge, price_list)]
        if charge.meter is not None and leaves_gap(priceable(charge.meter), matches):
            yield (
                f"Charge “{charge.name}”{within} has no row of only *: when usage comes that no row matches, {happens}."
            )


def _totals_beside_parts(charge: Charge) -> Iterator[str]:
    """Where one event pays for the same thing under two labels, since a row takes any label."""
    if charge.meter is None or not charge.meter.label_dimension:
        return
    name = charge.meter.label_dimension
    sources = {each.label: frozenset({each.property, *each.plus}) for each in charge.meter.values.all()}
    told = {total: parts for rows in _by_list(charge).values() for total, parts in counted_twice(name, sources, rows)}
    for total, parts in told.items():
        listed = " and ".join(f"“{each}”" for each in parts)
        yield (
            f"Charge “{charge.name}”: {name} “{total}” adds up what {listed} count, too, and a row of * for {name}"
            f" prices both: the same is charged twice. Name {name} in the rows, at 0 for what is not to be paid."
        )


def _price_alike(one: Charge, other: Charge) -> bool:
    """Whether a customer can have usage that both charges price. It may be meant: a price, and a surcharge on it."""
    if one.meter_id is None or one.meter_id != other.meter_id:
        return False
    mine, theirs = _by_list(one), _by_list(other)
    return any(
        next(meeting([row.match for row in rows], [row.match for row in theirs.get(price_list, ())], Work()), None)
        for price_list, rows in mine.items()
    )


def _by_list(charge: Charge) -> dict[int | None, list[DraftRow]]:
    """The rows of each price list; None: of the version's own currency."""
    by_list: dict[int | None, list[DraftRow]] = {}
    for cell in charge.cells.all():
        by_list.setdefault(cell.price_list_id, []).append(DraftRow(cell.match, price_of(cell)))
    return by_list


def _charged_twice(one: Charge, other: Charge) -> str:
    assert one.meter is not None
    return (
        f"Charges “{one.name}” and “{other.name}” both price usage of the meter “{one.meter.code}”:"
        " what a row of each matches is charged twice."
    )


def currency_faults(currency: str) -> Iterator[Fault]:
    if not is_currency(currency):
        message = f"“{currency}” is not a currency in use: write its three letters, for example USD, EUR or JPY."
        yield Fault("currency_unknown", message, "currency")


def terms_faults(version: PlanVersion) -> Iterator[Fault]:
    """What is wrong with the sums over all usage in its own currency."""
    yield from currency_faults(version.currency)
    for name in ("minimum", "cap"):
        amount = getattr(version, name)
        if amount is not None:
            yield from fee_faults(amount, version.currency, name)
    yield from bound_faults(version.minimum, version.cap)


def _list_faults(version: PlanVersion, price_list: PriceList) -> Iterator[Fault]:
    place = f"lists.{price_list.currency}"
    for fault in currency_faults(price_list.currency):
        yield replace(fault, field=f"{place}.currency")
    if price_list.minimum is not None and version.commitment_product_id is None:
        message = (
            f"The price list in {price_list.currency} has a minimum: say on the version which product the line is that"
            " fills up to it."
        )
        yield Fault("commitment_product_missing", message, "commitment_product")
    yield from _unused(version, price_list, _needs(version)[1], f"{place}.")
    for name in ("minimum", "cap", "credit_price"):
        amount = getattr(price_list, name)
        if amount is not None and name != "credit_price":
            for fault in fee_faults(amount, price_list.currency, name):
                yield replace(fault, field=f"{place}.{name}")
        elif amount is None and getattr(version, name) is not None:
            what = name.replace("_", " ")
            message = f"The price list in {price_list.currency} lacks the {what}: say what it is."
            yield Fault("amount_missing", message, f"{place}.{name}")


def consumption_faults(version: PlanVersion) -> Iterator[Fault]:
    """Whether the version says what its plan's way of paying needs, and nothing that does not belong to it."""
    needed, unused = _needs(version)
    for name in needed:
        if getattr(version, name) in (None, ""):
            message = f"The plan is paid for by {paid_by(version)}: say {_ASKED[name]}."
            yield Fault(f"{name}_missing", message, name)
    yield from _unused(version, version, unused)


def _needs(version: PlanVersion) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the version must say for its plan's way of paying, and what neither it nor its price lists may."""
    consumption = version.plan.consumption
    if consumption == Plan.Consumption.METERED:
        return (), ("when_empty", "included_credits", "credit_price")
    if consumption == Plan.Consumption.BALANCE:
        return ("when_empty",), ("included_credits", "credit_price")
    invoiced = version.when_empty == PlanVersion.WhenEmpty.INVOICE
    return ("when_empty", "credit_price") if invoiced else ("when_empty",), ("minimum", "cap")


def _unused(
    version: PlanVersion, terms: PlanVersion | PriceList, names: Sequence[str], place: str = ""
) -> Iterator[Fault]:
    for name in names:
        if getattr(terms, name, None) not in (None, ""):
            what = name.replace("_", " ")
            message = f"The plan is paid for by {paid_by(version)}, where there is no {what}: leave it empty."
            yield Fault(f"{name}_unused", message, f"{place}{name}")


_ASKED = {
    "when_empty": "what happens when the wallet is empty",
    "credit_price": "what a credit costs that is used beyond those that were there",
}


def _read(version: PlanVersion) -> PlanVersion:
    """As it stands in the database now, with its price lists."""
    return PlanVersion.objects.select_related("plan").prefetch_related("price_lists").get(pk=version.pk)


def _charges(version: PlanVersion) -> list[Charge]:
    """The charges in order, with all that the checks read."""
    parts = ("cells", "amounts", "meter__dimensions", "meter__bands", "meter__values", "meter__filters")
    charges = list(version.charges.select_related("meter", "version__plan").prefetch_related(*parts))
    for charge in charges:
        charge.version = version
    return charges
