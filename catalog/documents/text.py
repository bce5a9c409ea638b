"""Plan documents as JSON, and as the text of a file. Pure.

What is as it is by default is left out. What stands under a code is in the order of codes; rows stand in their own
order, which decides between rows that are equally exact.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import plain
from billing_site.foundation.shapes import REQUIRED, Shape
from catalog.documents import shapes
from catalog.documents.plan import ChargeDocument, ListedCharge, PlanDocument, VersionDocument
from catalog.documents.shapes import CHARGE_IN_A_DOCUMENT, FORMAT, LISTED_CHARGE, PLAN, PRICE_LIST, TERMS
from catalog.pricing import documents as prices
from catalog.pricing.draft_row import DraftRow
from meters.definitions import documents as meter_documents
from meters.definitions.drafts import MeterDraft


def to_json(document: PlanDocument) -> dict[str, Any]:
    """What `from_json` reads as the same document."""
    said = {
        "format": FORMAT,
        **_said(PLAN, document.plan),
        "products": {
            code: _said(shapes.PRODUCT_IN_A_DOCUMENT, each) for code, each in sorted(document.products.items())
        },
        "meters": {code: _meter_to_json(draft) for code, draft in sorted(document.meters.items())},
        **version_to_json(document.version, document.features),
    }
    return {name: value for name, value in said.items() if value != {}}


def version_to_json(
    version: VersionDocument, definitions: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """`definitions`: of the features, by code."""
    features = {}
    for code, value in sorted(version.features.items()):
        defined = (definitions or {}).get(code)
        features[code] = {"value": value, **({"definition": _feature_to_json(defined)} if defined else {})}
    said = {
        **_said(TERMS, version.terms),
        "lists": {currency: _said(PRICE_LIST, each) for currency, each in sorted(version.lists.items())},
        "charges": {code: _charge_to_json(charge) for code, charge in sorted(version.charges.items())},
        "features": features,
    }
    return {name: value for name, value in said.items() if value != {}}


def _charge_to_json(charge: ChargeDocument) -> dict[str, Any]:
    said = {
        **_said(CHARGE_IN_A_DOCUMENT, {"kind": charge.kind, **charge.terms}),
        "rows": [row_to_json(row) for row in charge.rows],
        "lists": {currency: _listed_to_json(each) for currency, each in sorted(charge.lists.items())},
    }
    return {name: value for name, value in said.items() if value not in ({}, [])}


def _listed_to_json(listed: ListedCharge) -> dict[str, Any]:
    sums = {name: getattr(listed, name) for name in ("amount", "minimum", "cap")}
    rows = {"rows": [row_to_json(row) for row in listed.rows]} if listed.rows else {}
    return {**_said(LISTED_CHARGE, sums), **rows}


def row_to_json(row: DraftRow) -> dict[str, Any]:
    match = {"match": dict(sorted(row.match.items()))} if row.match else {}
    return {**match, **prices.to_json(row.price)}


def _meter_to_json(draft: MeterDraft) -> dict[str, Any]:
    said = meter_documents.to_json(draft)
    fields = meter_documents.METER.fields
    return {
        name: value
        for name, value in said.items()
        if name != "code" and value not in ([], fields[name].default if fields[name].default is not REQUIRED else [])
    }


def _feature_to_json(definition: Mapping[str, Any]) -> dict[str, Any]:
    said = _said(shapes.FEATURE, definition)
    for name in ("filters", "allowed"):
        if name in said:
            said[name] = (
                {key: list(values) for key, values in sorted(said[name].items())}
                if name == "filters"
                else list(said[name])
            )
    return said


# They are what a reader looks for first, so they are written even where they are as by default.
_ALWAYS = ("consumption", "currency", "interval", "grace_seconds", "position", "timing", "unmatched")


def _said(shape: Shape, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not as they are by default, in the order of the shape."""
    said = {}
    for name, each in shape.fields.items():
        if name in values and (name in _ALWAYS or values[name] != each.default):
            value = values[name]
            said[name] = plain(value) if isinstance(value, Decimal) else value
    return said


def write(document: PlanDocument) -> str:
    """The text of a file: the same for equal documents, and each row is a line of it, or else each of its tiers."""
    return "".join(_written(to_json(document), "\n")) + "\n"


def _written(value: Any, gap: str, *, in_list: bool = False) -> Iterator[str]:
    """`gap`: the line break and the indent before what closes the value."""
    one_line = in_list and not (isinstance(value, dict) and "tiers" in value)
    if one_line or not value or not isinstance(value, dict | list):
        yield json.dumps(value, ensure_ascii=False)
        return
    names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in value] if isinstance(value, dict) else None
    opening, closing = "[]" if names is None else "{}"
    yield opening
    for index, each in enumerate(value if isinstance(value, list) else value.values()):
        yield ("," if index else "") + gap + "  " + ("" if names is None else names[index])
        yield from _written(each, gap + "  ", in_list=names is None)
    yield gap + closing
