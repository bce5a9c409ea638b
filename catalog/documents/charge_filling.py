"""A charge of a draft made to say what a document says. What is equal is left."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import at
from catalog.documents.known import Known, unknown
from catalog.documents.plan import FLAT, ChargeDocument, ListedCharge
from catalog.models import Charge, PlanVersion, PriceList
from catalog.pricing.draft_row import DraftRow
from catalog.pricing.price import Price
from catalog.versions import charging
from catalog.writing import Gathered

NOTHING = ListedCharge()
SUMS = ("amount", "minimum", "cap")


@dataclass(frozen=True)
class Filling:
    """What charges are filled with. `currencies`: those that may be priced; `lists`: those that are there."""

    have: Known
    lists: Mapping[str, PriceList]
    currencies: Collection[str]
    gathered: Gathered


def fill_charge(
    version: PlanVersion,
    code: str,
    charge: Charge | None,
    wanted: ChargeDocument,
    standing: ChargeDocument | None,
    filling: Filling,
    place: str,
) -> None:
    """Make or change a charge. What is refused is gathered, each fault under `place`."""
    with filling.gathered.at(place):
        made = _fill_own(version, code, charge, wanted, standing, filling, place)
        if made is not None:
            _fill_lists(made, wanted.lists, standing.lists if standing else {}, filling, place)


def _fill_own(
    version: PlanVersion,
    code: str,
    charge: Charge | None,
    wanted: ChargeDocument,
    standing: ChargeDocument | None,
    filling: Filling,
    place: str,
) -> Charge | None:
    """The charge, in the version's own currency; None when it names what is not there."""
    terms = dict(wanted.terms)
    parts = {"product": filling.have.products, **({} if wanted.kind == FLAT else {"meter": filling.have.meters})}
    for name, there in parts.items():
        named = terms[name]
        if named not in there and f"{name}.{named}" not in filling.have.told:
            filling.gathered.add(unknown(name, named, name), place)
        terms[name] = there.get(named)
    if any(terms[name] is None for name in parts):
        return None
    if charge is None and wanted.kind == FLAT:
        return charging.add_flat_charge(version, code=code, **terms)
    rows = priced(wanted.rows)
    if charge is None:
        return charging.add_usage_charge(version, code=code, rows=rows, **terms)
    terms.pop("meter", None)
    changed = standing is None or wanted.rows != standing.rows
    return charging.change_charge(charge, rows=rows if changed and wanted.kind != FLAT else None, **terms)


def _fill_lists(
    charge: Charge,
    wanted: Mapping[str, ListedCharge],
    standing: Mapping[str, ListedCharge],
    filling: Filling,
    place: str,
) -> None:
    for currency in sorted(wanted.keys() | standing.keys() & filling.lists.keys()):
        after, before = wanted.get(currency, NOTHING), standing.get(currency, NOTHING)
        within = at(place, f"lists.{currency}")
        if currency not in filling.currencies:
            filling.gathered.add(no_list(currency), within)
        elif currency in filling.lists and after != before:
            sums = {name: getattr(after, name) for name in SUMS}
            same = sums == {name: getattr(before, name) for name in SUMS}
            rows = None if after.rows == before.rows else after.rows
            fill_list(charge, filling.lists[currency], {} if same else sums, rows, filling.gathered, within)


def fill_list(
    charge: Charge,
    price_list: PriceList,
    sums: Mapping[str, Decimal | None],
    rows: Collection[DraftRow] | None,
    gathered: Gathered,
    place: str,
) -> None:
    """What a charge is in a further currency: the sums that are given, and rows unless they are None."""
    if sums:
        with gathered.at(place):
            charging.set_amounts(charge, price_list, **sums)
    if rows is not None:
        with gathered.at(place):
            charging.set_rows(charge, price_list, list(rows))


def priced(rows: Collection[DraftRow]) -> list[tuple[Mapping[str, str], Price]]:
    return [(row.match, row.price) for row in rows]


def no_list(currency: str) -> Fault:
    message = f"The version has no price list in “{currency[:20]}”: make one first, under its “lists”."
    return Fault("price_list_unknown", message, "")
