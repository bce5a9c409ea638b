"""A whole plan as one value, and as JSON: what it sells, what it counts, and what one of its versions charges. Pure.

{"format": 1, "code": "chatbot", "name": "Chatbot", …, "currency": "USD", …,
 "products": {"chatbot-api": {…}}, "meters": {"llm_tokens": {…}},
 "lists": {"EUR": {…}}, "charges": {"tokens": {"kind": "usage", "meter": "llm_tokens", "rows": [{…}], …}}}

What is as it is by default is left out. Numbers are strings, exact. What stands under a code is in the order of codes;
rows stand in their own order, which decides between rows that are equally exact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import Unreadable, at
from catalog.documents.shapes import CHARGE_IN_A_DOCUMENT, DOCUMENT, PLAN, TERMS
from catalog.pricing.draft_row import DraftRow
from meters.definitions import documents as meter_documents
from meters.definitions.drafts import MeterDraft

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
