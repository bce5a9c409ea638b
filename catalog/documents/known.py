"""Products, meters and features by the codes that a document names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from billing_site.foundation.errors import Fault
from catalog.documents.plan import FLAT, ChargeDocument, VersionDocument
from catalog.models import Feature, Product
from meters.models import Meter

LOOKED_AT = 1_000


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


def unknown(what: str, code: str, field: str) -> Fault:
    """A product, a meter or a feature that is named and is not there."""
    models: Mapping[str, type[Any]] = {"product": Product, "meter": Meter, "feature": Feature}
    codes = models[what].objects.order_by("code").values_list("code", flat=True)
    close = get_close_matches(code[:100], list(codes[:LOOKED_AT]), n=1)
    mend = f"did you mean “{close[0]}”?" if close else "make it first."
    return Fault(f"{what}_unknown", f"There is no {what} “{code[:100]}”: {mend}", field)
