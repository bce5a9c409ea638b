"""A whole plan as one value, and as JSON: what it sells, what it counts, and what one of its versions charges. Pure.

{"format": 1, "code": "chatbot", "name": "Chatbot", …, "currency": "USD", …,
 "products": {"chatbot-api": {…}}, "meters": {"llm_tokens": {…}},
 "lists": {"EUR": {…}}, "charges": {"tokens": {"kind": "usage", "meter": "llm_tokens", "rows": [{…}], …}}}

What is as it is by default is left out. Numbers are strings, exact. What stands under a code is in the order of codes;
rows stand in their own order, which decides between rows that are equally exact.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from billing_site.foundation.shapes import REQUIRED, Shape, Unreadable, at
from catalog import document_shapes as shapes
from catalog.document_shapes import CHARGE_IN_A_DOCUMENT, DOCUMENT, FORMAT, LISTED_CHARGE, PLAN, PRICE_LIST, TERMS
from catalog.pricing import documents as prices
from catalog.pricing.draft_row import DraftRow
from meters import meter_documents
from meters.drafts import MeterDraft

FLAT, USAGE = "flat", "usage"
# What a charge of the other kind has; `timing` of usage is always in arrears.
_NOT_OF = {
    FLAT: (
        *("meter", "unmatched", "included", "minimum", "cap", "cost_model", "cost_token_type", "cost_context"),
        "rows",
    ),
    USAGE: ("amount",),
}
_NOT_OF_LISTED = {FLAT: ("minimum", "cap", "rows"), USAGE: ("amount",)}
_NEEDED = {FLAT: "amount", USAGE: "meter"}
_KIND = {FLAT: "A flat fee", USAGE: "A charge for usage"}


@dataclass(frozen=True)
class ListedCharge:
    """What a charge is in a further currency."""

    amount: Decimal | None = None
    minimum: Decimal | None = None
    cap: Decimal | None = None
    rows: tuple[DraftRow, ...] = ()


@dataclass(frozen=True)
class ChargeDocument:
    """`terms`: the fields of its kind but for rows and lists; `product` and `meter` are codes."""

    kind: str
    terms: Mapping[str, Any]
    rows: tuple[DraftRow, ...] = ()
    lists: Mapping[str, ListedCharge] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionDocument:
    """What a version says; two that are equal charge the same. `terms`: its `grace_seconds` and `commitment_product`
    are a number and a code. `lists`: by currency; `charges`, `features`: by code, those as they are written.
    """

    terms: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, Any]]
    charges: Mapping[str, ChargeDocument]
    features: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanDocument:
    """`plan`: code, name and what else is the same for all versions. Products and definitions stand by code."""

    plan: Mapping[str, Any]
    products: Mapping[str, Mapping[str, Any]]
    meters: Mapping[str, MeterDraft]
    version: VersionDocument
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def from_json(given: Any) -> PlanDocument:
    """The plan that was said. Raises Unreadable with all that is wrong with the form."""
    read = DOCUMENT.read(given)
    faults: list[Fault] = []
    for code, charge in read["charges"].items():
        faults += charge_faults(charge, at("charges", code))
    if faults:
        raise Unreadable(faults)
    return PlanDocument(
        plan={name: read[name] for name in PLAN.fields},
        products=read["products"],
        meters={
            code: MeterDraft(code=code, **meter_documents.as_changes(meter)) for code, meter in read["meters"].items()
        },
        version=ranked(
            VersionDocument(
                terms={name: read[name] for name in TERMS.fields},
                lists=read["lists"],
                charges={code: charge_document(charge) for code, charge in read["charges"].items()},
                features={code: given["value"] for code, given in read["features"].items()},
            )
        ),
        features={code: given["definition"] for code, given in read["features"].items() if given["definition"]},
    )


def charge_faults(given: Mapping[str, Any], place: str = "", kind: str | None = None) -> Iterator[Fault]:
    """What does not go together in what a shape has read: a fee has no rows. `kind`: of a charge that is changed."""
    fixed = kind or given["kind"]
    if kind is None and given[_NEEDED[fixed]] is None:
        what = CHARGE_IN_A_DOCUMENT.fields[_NEEDED[fixed]].help
        message = f"{_KIND[fixed]} needs “{_NEEDED[fixed]}”. {what}"
        yield Fault("required", message, at(place, _NEEDED[fixed]))
    for name in _NOT_OF[fixed]:
        if given.get(name) not in (None, "", (), "hold"):
            yield _misplaced(fixed, at(place, name))
    if fixed == USAGE and given.get("timing") not in (None, "arrears"):
        message = "Usage is billed in arrears, when it is known: leave the timing out."
        yield Fault("field_of_other_kind", message, at(place, "timing"))
    for currency, listed in given.get("lists", {}).items():
        for name in _NOT_OF_LISTED[fixed]:
            if listed.get(name) not in (None, ()):
                yield _misplaced(fixed, at(place, f"lists.{currency}.{name}"))


def _misplaced(kind: str, place: str) -> Fault:
    name = place.rpartition(".")[2]
    return Fault("field_of_other_kind", f"{_KIND[kind]} has no “{name}”: leave it out.", place)


def charge_document(read: Mapping[str, Any]) -> ChargeDocument:
    """Of what the shape has read and `charge_faults` found right."""
    kind = read["kind"]
    terms = {name: read[name] for name in terms_of(kind)}
    if kind == FLAT and terms["timing"] is None:
        terms["timing"] = "advance"
    lists = {currency: ListedCharge(**listed) for currency, listed in read["lists"].items()}
    return ChargeDocument(kind, terms, read["rows"], {name: each for name, each in lists.items() if each != _NOTHING})


_NOTHING = ListedCharge()


def terms_of(kind: str) -> tuple[str, ...]:
    """The fields of a charge of this kind, but for its kind, rows and lists."""
    left_out = {"kind", "rows", "lists", *_NOT_OF[kind], *(("timing",) if kind == USAGE else ())}
    return tuple(name for name in CHARGE_IN_A_DOCUMENT.fields if name not in left_out)


def ranked(version: VersionDocument) -> VersionDocument:
    """With positions 0, 1, 2 …; those that say none come last, in the order in which they stand."""
    places = list(version.charges)

    def place(code: str) -> tuple[bool, int, int]:
        position = version.charges[code].terms["position"]
        return position is None, position or 0, places.index(code)

    charges = {}
    for rank, code in enumerate(sorted(places, key=place)):
        charge = version.charges[code]
        charges[code] = replace(charge, terms={**charge.terms, "position": rank})
    return replace(version, charges=charges)


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
