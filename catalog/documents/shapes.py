"""What the JSON of the catalogue may hold: one shape for plan documents and for the API, so that both read alike. Pure.

Whether what was read makes sense is for the checks of the verbs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.periods import Interval
from billing_site.foundation.shape_kinds import NUMBER, TEXT, by_name, choice, list_of, storable, text, whole_number
from billing_site.foundation.shapes import Field, Gathering, Shape, Simple, Unreadable, at, shown
from catalog.features.values import Kind, Several, Window
from catalog.pricing import documents as prices
from catalog.pricing.book import Timing, Unmatched
from catalog.pricing.draft_row import DraftRow
from meters.definitions.documents import IN_A_DOCUMENT
from meters.events.values import as_text

ANY = "*"
MAX_GRACE_SECONDS = 366 * 24 * 3_600
_MATCH = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]},
    "description": "Exact values by dimension; one that is left out, or `*`, may be anything.",
}


@dataclass(frozen=True)
class RowKind:
    """A row of a matrix: its match, and beside it what it costs."""

    def read(self, given: Any, place: str) -> DraftRow:
        if not isinstance(given, Mapping):
            message = f"A row is an object with a match and a price; {shown(given)} is none."
            raise Unreadable([Fault("object_invalid", message, place)])
        gathering = Gathering()
        match = gathering.read(_match, given.get("match", {}), at(place, "match"))
        if "id" in given:
            message = "“id” says which row it was, and a row is known by its match: leave it out."
            gathering.faults.append(Fault("field_read_only", message, at(place, "id")))
        price = {name: value for name, value in given.items() if name not in ("match", "id")}
        read = gathering.read(prices.from_json, price, place)
        gathering.done()
        return DraftRow(match, read)

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {"match": _MATCH, **prices.PROPERTIES}}


def _match(given: Any, place: str) -> dict[str, str]:
    """Exact values alone, as the text that usage is compared by."""
    if not isinstance(given, Mapping):
        message = f"{shown(given)} is not an object of values by dimension: put it in braces."
        raise Unreadable([Fault("match_invalid", message, place)])
    match, faults = {}, []
    for name, value in given.items():
        written = as_text(value)
        if written is None or not storable(written) or not storable(name):
            message = f"{shown(value)} is not a value that {shown(name)} can have: write a text."
            faults.append(Fault("match_invalid", message, place))
        elif written != ANY:
            match[name] = written
    if faults:
        raise Unreadable(faults)
    return match


def _sum(help_text: str) -> Field:
    return Field(NUMBER, help_text, default=None, nullable=True)


CODE = Field(TEXT, "A short name for programs: lower-case letters, digits, “_”, “.” and “-”.")
DESCRIPTION = Field(TEXT, default="")
_STATE = {"created_at": "was noted when it was made"}
PRODUCT = Shape(
    "A product",
    {
        "code": CODE,
        "name": Field(TEXT, "As customers know it, for example “Chatbot API”."),
        "description": DESCRIPTION,
        "tax_category": Field(TEXT, "Your own name for how it is taxed.", ""),
    },
    _STATE,
)
PLAN = Shape(
    "A plan",
    {
        "code": CODE,
        "name": Field(TEXT, "For people."),
        "description": DESCRIPTION,
        "consumption": Field(
            choice(("metered", "credits", "balance")),
            "How usage is paid for; it stays once a version was published.",
            "metered",
        ),
        "margin_floor": _sum("In percent: a price below cost and this is not published; null: no check."),
    },
    {"versions": "are written one by one"},
)
TERMS = Shape(
    "A version",
    {
        "currency": Field(TEXT, "Three letters, for example USD.", "USD"),
        "interval": Field(choice(Interval), "How often it is billed.", Interval.MONTH.value),
        "grace_seconds": Field(
            whole_number(0, MAX_GRACE_SECONDS), "How long after a period its invoice stays a draft.", 3_600
        ),
        "minimum": _sum("The least that all usage of a full period comes to."),
        "cap": _sum("The most that all usage of a full period comes to."),
        "commitment_product": Field(
            TEXT, "The code of the product of the minimum's line.", default=None, nullable=True
        ),
        "when_empty": Field(
            choice(("", "invoice", "block")), "When the wallet is empty; of plans that are paid for beforehand.", ""
        ),
        "included_credits": _sum("Credits that each period grants; of plans in credits."),
        "credit_price": _sum("Of one credit beyond those that were there; of plans in credits."),
    },
    {
        **_STATE,
        "id": "is given",
        "number": "is given",
        "name": "follows from the plan's",
        "status": "changes by publishing and retiring",
        "published_at": "was noted when it was published",
        "retired_at": "was noted when it was retired",
        "lists": "is written at …/price-lists/{currency}",
        "charges": "is written at …/charges",
    },
)
PRICE_LIST = Shape(
    "A price list",
    {
        "minimum": _sum("The least that all usage of a full period comes to, in this currency."),
        "cap": _sum("The most that all usage of a full period comes to, in this currency."),
        "credit_price": _sum("Of one credit, in this currency; of plans in credits."),
    },
    {"currency": "stands in the address already"},
)
ROWS = list_of(RowKind())
LISTED_CHARGE = Shape(
    "A charge in a further currency",
    {
        "amount": _sum("The fee of one full period, in this currency."),
        "minimum": _sum("The least that the charge comes to in a full period."),
        "cap": _sum("The most that the charge comes to in a full period."),
        "rows": Field(ROWS, "Its prices in this currency.", ()),
    },
)
CHARGE = Shape(
    "A charge",
    {
        "code": CODE,
        "name": Field(TEXT, "What the customer reads on the invoice."),
        "kind": Field(choice(("flat", "usage")), "A flat fee, or the usage of a meter."),
        "product": Field(TEXT, "The code of the product that is sold."),
        "position": Field(
            whole_number(0, 2**15 - 1), "Its place on the invoice, 0 first; last when left out.", None, nullable=True
        ),
        "timing": Field(choice(Timing), "When a fee is billed: advance when left out.", default=None, nullable=True),
        "amount": _sum("The fee of one full period, in the version's currency."),
        "meter": Field(TEXT, "The code of the meter whose usage is priced.", default=None, nullable=True),
        "unmatched": Field(choice(Unmatched), "What happens to usage that no row prices.", Unmatched.HOLD.value),
        "included": _sum("Units of each full period that cost nothing."),
        "minimum": _sum("The least that it comes to in a full period."),
        "cap": _sum("The most that it comes to in a full period."),
        "cost_model": Field(TEXT, "The dimension with the model, for what it costs you.", ""),
        "cost_token_type": Field(TEXT, "The dimension with the token type, for what it costs you.", ""),
        "cost_context": Field(TEXT, "The band of the request's size, for what it costs you.", ""),
        "rows": Field(ROWS, "The row with most exact values wins; then the first.", ()),
        "lists": Field(by_name(LISTED_CHARGE, "price lists"), "What it costs in each further currency.", {}),
    },
    {
        "unit": "is the meter's",
        "dimensions": "are the meter's",
    },
)
FORMAT = 1


def _value(given: Any, place: str) -> bool | int | str | list[str]:
    """What a version gives of a feature, as it is written; whether it fits is for `feature_values.read`."""
    if isinstance(given, list):
        return [text(each, at(place, index)) for index, each in enumerate(given)]
    if isinstance(given, bool | int):
        return given
    if isinstance(given, str):
        return text(given, place)
    message = f"{shown(given)} is no value of a feature: write true or false, a number as text, or a list of texts."
    raise Unreadable([Fault("value_invalid", message, place)])


_VALUES = ({"type": "boolean"}, {"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}})
VALUE = Field(
    Simple(_value, {"oneOf": _VALUES}),
    "Of a switch true or false; of a number “1000” or “unlimited”; of a list its texts, or “any”.",
)
FEATURE = Shape(
    "A feature",
    {
        "name": Field(TEXT, "As people know it."),
        "description": DESCRIPTION,
        "kind": Field(choice(Kind), "It stays as it is."),
        "meter": Field(TEXT, "The meter whose usage a number counts.", default=None, nullable=True),
        "filters": Field(by_name(list_of(TEXT), "lists by dimension"), "Of its usage only that at these values.", {}),
        "window": Field(choice(("", *Window)), "How long use is added up before it begins anew.", ""),
        "several": Field(choice(Several), "What counts when several subscriptions give it.", Several.HIGHEST.value),
        "allowed": Field(list_of(TEXT), "The values that a list can have.", ()),
    },
    {"code": "stands before it already"},
)
GIVEN = Shape("What is given of a feature", {"value": VALUE})
GIVEN_IN_A_DOCUMENT = Shape(
    GIVEN.what,
    {"value": VALUE, "definition": Field(FEATURE, "To make or change the feature.", default=None, nullable=True)},
)


def _shared(shape: Shape, what: str) -> Shape:
    """As it stands in a document, under its code."""
    return Shape(what, shape.fields).without("code", only_read={"code": "stands before it already"})


PRODUCT_IN_A_DOCUMENT = _shared(PRODUCT, "A product")
CHARGE_IN_A_DOCUMENT = _shared(CHARGE, "A charge")
DOCUMENT = Shape(
    "A plan document",
    {
        "format": Field(whole_number(FORMAT, FORMAT), "The form of the document: 1."),
        **PLAN.fields,
        "products": Field(
            by_name(PRODUCT_IN_A_DOCUMENT, "products by code"), "Those that are made or changed with the plan.", {}
        ),
        "meters": Field(by_name(IN_A_DOCUMENT, "meters by code"), "Those that are made or changed with the plan.", {}),
        **TERMS.fields,
        "lists": Field(by_name(PRICE_LIST, "price lists by currency"), "Further currencies.", {}),
        "charges": Field(by_name(CHARGE_IN_A_DOCUMENT, "charges by code"), "What it charges.", {}),
        "features": Field(by_name(GIVEN_IN_A_DOCUMENT, "features by code"), "What it gives.", {}),
    },
)
