"""Plan documents for tests: any that can be imported, with every price model, in several currencies."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier

D = Decimal
SUMS = st.decimals(min_value=0, max_value=10**6, places=2).map(str)
MAYBE = st.one_of(st.none(), SUMS)
FINE = st.decimals(min_value=0, max_value=10**6, places=15)
UNITS = st.decimals(min_value=0, max_value=10**9, places=12)
SIZES = st.decimals(min_value=D("0.001"), max_value=10**6, places=6)
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)
PERCENTS = st.decimals(min_value=0, max_value=500, places=9)
BOUNDS = st.lists(st.decimals(min_value=D("0.001"), max_value=10**9, places=6), max_size=4, unique=True).map(sorted)


@st.composite
def tiers(draw: st.DrawFn, *, flat_only: bool = False) -> tuple[Tier, ...]:
    made = []
    for bound in [*draw(BOUNDS), None]:
        price = D(0) if flat_only else draw(FINE)
        package = None if flat_only else draw(st.one_of(st.none(), SIZES))
        made.append(Tier(bound, price, draw(FINE), package))
    return tuple(made)


def prices(*, dimensions: bool) -> st.SearchStrategy[Price]:
    """Of every model; a flat fee at nothing is for charges without dimensions alone."""
    at_zero = st.just(value=True) if dimensions else st.booleans()
    return st.one_of(
        st.builds(Price, unit_price=FINE),
        st.builds(Price, st.just(Model.PACKAGE), unit_price=FINE, size=SIZES, free=UNITS),
        st.builds(Price, st.just(Model.GRADUATED), tiers=tiers(), flat_at_zero=at_zero),
        st.builds(Price, st.just(Model.VOLUME), tiers=tiers(), flat_at_zero=at_zero),
        st.builds(Price, st.just(Model.STAIRSTEP), tiers=tiers(flat_only=True), flat_at_zero=at_zero),
        st.builds(
            Price, st.just(Model.PERCENTAGE), percent=PERCENTS, free=UNITS, fixed=FINE, free_events=st.integers(0, 99)
        ),
        st.builds(Price, st.just(Model.FLAT), unit_price=FINE),
        st.builds(Price, st.just(Model.COST_PLUS), percent=PERCENTS),
    )


def rows(*, dimensions: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    from catalog.pricing.documents import to_json

    values = {"model": st.sampled_from(["a", "B", "ü", "1"]), "token_type": st.sampled_from(["input", "output"])}
    matches = st.fixed_dictionaries({}, optional=values) if dimensions else st.just({})
    row = st.builds(lambda match, price: {"match": match, **to_json(price)}, matches, prices(dimensions=dimensions))
    return st.lists(row, max_size=4, unique_by=lambda each: tuple(sorted(each["match"].items())))


METERS: dict[str, Any] = {
    "calls": {"name": "Calls", "event_type": "llm.request", "aggregation": "count", "unit": "call"},
    "tokens": {
        "name": "Tokens",
        "event_type": "llm.request",
        "aggregation": "sum",
        "unit": "token",
        "label_dimension": "token_type",
        "values": [{"property": "in", "label": "input"}, {"property": "out", "label": "output", "plus": ["thought"]}],
        "dimensions": [
            {"name": "model", "property": "model"},
            {"name": "region", "property": "region", "status": "pending"},
        ],
        "bands": [{"name": "size", "properties": ["in"], "thresholds": ["1000", "200000.5"]}],
        "filters": [{"property": "kind", "operator": "none_of", "values": ["test"]}],
    },
}


@st.composite
def charges(draw: st.DrawFn, currencies: list[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["flat", "calls", "tokens"]))
    said: dict[str, Any] = {"name": draw(NAMES), "product": draw(st.sampled_from(["api", "support"]))}
    if kind == "flat":
        said |= {"kind": "flat", "amount": draw(SUMS), "timing": draw(st.sampled_from(["advance", "arrears", "once"]))}
        said["lists"] = {currency: {"amount": draw(MAYBE)} for currency in currencies if draw(st.booleans())}
        return said
    many = rows(dimensions=kind == "tokens")
    said |= {"kind": "usage", "meter": kind, "rows": draw(many), "unmatched": draw(st.sampled_from(["hold", "zero"]))}
    said |= {"included": draw(st.one_of(st.none(), UNITS.map(str))), "cap": draw(MAYBE)}
    if kind == "tokens" and draw(st.booleans()):
        said |= {"cost_model": "model", "cost_token_type": "token_type", "cost_context": "size"}
    said["lists"] = {
        currency: {"minimum": draw(MAYBE), "rows": draw(many)} for currency in currencies if draw(st.booleans())
    }
    return said


FEATURES: dict[str, Any] = {
    "sso": {"name": "Single sign-on", "kind": "switch"},
    "tokens": {
        "name": "Tokens",
        "description": "Of large models",
        "kind": "number",
        "meter": "tokens",
        "filters": {"model": ["large", ""]},
        "window": "month",
        "several": "sum",
    },
    "seats": {"name": "Seats", "kind": "number"},
    "models": {"name": "Models", "kind": "list", "allowed": ["small", "large", "ü"]},
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "sso": st.booleans(),
    "tokens": st.one_of(st.just("unlimited"), st.integers(0, 10**9), st.decimals(0, 10**9, places=3).map(str)),
    "seats": st.integers(0, 99).map(str),
    "models": st.one_of(st.just("any"), st.lists(st.sampled_from(["large", "small", "ü"]), unique=True)),
}


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """As somebody could write one; its version is a draft, so prices may be missing."""
    currencies = draw(st.sampled_from([[], ["EUR"], ["EUR", "GBP"]]))
    codes = draw(st.lists(st.sampled_from(["base", "a.b", "z-1", "tokens", "0"]), max_size=4, unique=True))
    return {
        "format": 1,
        "code": "any.plan",
        "name": draw(NAMES),
        "description": draw(st.one_of(st.just(""), NAMES)),
        "margin_floor": draw(st.one_of(st.none(), st.just("12.5"))),
        "products": {"api": {"name": draw(NAMES)}, "support": {"name": "Support", "tax_category": draw(NAMES)}},
        "meters": METERS,
        "currency": "USD",
        "interval": draw(st.sampled_from(["week", "month", "quarter", "year"])),
        "grace_seconds": draw(st.integers(0, 10**6)),
        "minimum": "1.50",
        "commitment_product": "support",
        "lists": {currency: {"cap": draw(MAYBE)} for currency in currencies},
        "charges": {code: draw(charges(currencies)) for code in codes},
        "features": {
            code: {"value": draw(value), "definition": FEATURES[code]}
            for code, value in VALUES.items()
            if draw(st.booleans())
        },
    }


def chatbot(**changes: Any) -> dict[str, Any]:
    """20 USD or 18.50 EUR a month, and tokens by model; it can be published."""
    said: dict[str, Any] = {
        "format": 1,
        "code": "chatbot",
        "name": "Chatbot",
        "products": {"api": {"name": "Chatbot API"}},
        "meters": {"tokens": METERS["tokens"]},
        "lists": {"EUR": {}},
        "charges": {
            "base": {
                "name": "Base",
                "kind": "flat",
                "product": "api",
                "amount": "20",
                "lists": {"EUR": {"amount": "18.50"}},
            },
            "tokens": {
                "name": "Tokens",
                "kind": "usage",
                "product": "api",
                "meter": "tokens",
                "rows": [{"match": {"model": "large"}, "unit_price": "0.00003"}, {"unit_price": "0.00001"}],
                "lists": {"EUR": {"rows": [{"unit_price": "0.000009"}]}},
            },
        },
    }
    return said | changes
