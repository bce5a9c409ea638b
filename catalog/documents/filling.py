"""A draft made to say exactly what a document says, by the verbs that people's clicks end in. What is equal is left."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from billing_site.foundation.shapes import at
from catalog.documents.charge_filling import Filling, fill_charge
from catalog.documents.known import Known, unknown
from catalog.documents.plan import VersionDocument
from catalog.features import featuring
from catalog.models import Feature, PlanVersion
from catalog.versions import charging, drafting
from catalog.writing import Gathered


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
