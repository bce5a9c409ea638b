"""A draft made to say exactly what a document says, by the verbs that people's clicks end in. What is equal is left."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, cast

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import at
from catalog import charging, drafting, featuring
from catalog.documents import FLAT, ChargeDocument, ListedCharge, VersionDocument
from catalog.models import Charge, Feature, PlanVersion, PriceList, Product
from catalog.pricing.draft_row import DraftRow
from catalog.pricing.price import Price
from catalog.writing import Gathered
from meters.models import Meter

NOTHING = ListedCharge()
SUMS = ("amount", "minimum", "cap")


@dataclass(frozen=True)
class Known:
    """Each by code. `told`: codes of those whose faults are told already, as “product.code”."""

    products: Mapping[str, Product]
    meters: Mapping[str, Meter]
    features: Mapping[str, Feature] = field(default_factory=dict)
    told: Collection[str] = ()


def known(version: VersionDocument, told: Collection[str] = ()) -> Known:
    """Those that a document names and that are there. Three queries, and what pricing reads of meters."""
    given = Feature.objects.filter(code__in=version.features)
    features = {each.code: each for each in given}
    return replace(
        known_of(list(version.charges.values()), version.terms["commitment_product"]), features=features, told=told
    )


def known_of(charges: Collection[ChargeDocument], product: str | None = None) -> Known:
    """The same of some charges, and of one product more."""
    named = {str(charge.terms["product"]) for charge in charges} | {product or ""}
    counted = {charge.terms["meter"] for charge in charges if charge.kind != FLAT}
    meters = Meter.objects.filter(code__in=counted).prefetch_related("dimensions", "bands", "values")
    return Known(known_products(named), {each.code: each for each in meters})


def known_products(codes: Collection[str]) -> dict[str, Product]:
    return {each.code: each for each in Product.objects.filter(code__in=codes)}


def fill(
    version: PlanVersion, standing: VersionDocument, wanted: VersionDocument, have: Known, gathered: Gathered
) -> None:
    """Make a draft that is `standing` what is `wanted`. What is refused is gathered, each fault at its place."""
    for currency in standing.lists.keys() - wanted.lists.keys():
        with gathered.at(at("lists", currency)):
            drafting.remove_price_list(version, currency)
    if standing.terms != wanted.terms:
        _fill_terms(version, wanted.terms, have, gathered)
    for currency, sums in wanted.lists.items():
        if standing.lists.get(currency) != sums:
            with gathered.at(at("lists", currency)):
                drafting.set_price_list(version, currency, **sums)
    if standing.features != wanted.features:
        gone = Feature.objects.filter(code__in=standing.features.keys() - wanted.features.keys())
        with gathered.at("features"):
            values = {have.features[code]: value for code, value in wanted.features.items()}
            featuring.set_feature_values(version, {**dict.fromkeys(gone), **values})
    lists = {each.currency: each for each in version.price_lists.all()}
    _fill_charges(version, standing, wanted, Filling(have, lists, wanted.lists.keys(), gathered))


def _fill_terms(version: PlanVersion, terms: Mapping[str, Any], have: Known, gathered: Gathered) -> None:
    given = {name: value for name, value in terms.items() if name not in ("grace_seconds", "commitment_product")}
    given["grace"] = timedelta(seconds=terms["grace_seconds"])
    code = terms["commitment_product"]
    given["commitment_product"] = None if code is None else have.products.get(code)
    if code is not None and code not in have.products:
        if f"product.{code}" not in have.told:
            gathered.add(unknown("product", code, "commitment_product"), "")
        given["minimum"] = None  # it goes with its product, which is at fault
    with gathered.at(""):
        drafting.change_version(version, **cast("drafting.Terms", given))


@dataclass(frozen=True)
class Filling:
    """What charges are filled with. `currencies`: those that may be priced; `lists`: those that are there."""

    have: Known
    lists: Mapping[str, PriceList]
    currencies: Collection[str]
    gathered: Gathered


def _fill_charges(version: PlanVersion, standing: VersionDocument, wanted: VersionDocument, filling: Filling) -> None:
    charges = {charge.code: charge for charge in version.charges.select_related("meter")}
    for code, before in standing.charges.items():
        kept = wanted.charges.get(code)
        if kept is None or (before.kind, before.terms.get("meter")) != (kept.kind, kept.terms.get("meter")):
            charging.remove_charge(charges.pop(code))
    for code, after in wanted.charges.items():
        was = standing.charges[code] if code in charges else None
        # A rank says nothing of where a charge that stays as it is stands among those that come.
        if was is None or was != after or charges[code].position != after.terms["position"]:
            fill_charge(version, code, charges.get(code), after, was, filling, at("charges", code))


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


def unknown(what: str, code: str, field: str) -> Fault:
    """A product, a meter or a feature that is named and is not there."""
    models: Mapping[str, type[Any]] = {"product": Product, "meter": Meter, "feature": Feature}
    codes = models[what].objects.order_by("code").values_list("code", flat=True)
    close = get_close_matches(code[:100], list(codes[:1_000]), n=1)
    mend = f"did you mean “{close[0]}”?" if close else "make it first."
    return Fault(f"{what}_unknown", f"There is no {what} “{code[:100]}”: {mend}", field)
