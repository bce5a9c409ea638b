"""What a meter reads from one event."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.events.values import Unfit, as_number, as_text, lookup
from meters.measuring.aggregation import COUNT, SUM, UNIQUE_COUNT
from meters.measuring.extraction import Condition, Definition, DimensionSource, Operator, Value, quantities

CALLS = Definition(1, "calls", "call", COUNT)
OWN = Definition(2, "own", "call", SUM)
TOKENS = Definition(
    3,
    "tokens",
    "call",
    SUM,
    values=(Value("input", "usage.in"), Value("output", "usage.out")),
    label_dimension="token_type",
    dimensions=(DimensionSource("model", "model"), DimensionSource("batch", "options.batch")),
)


def read(
    definition: Definition, value: Decimal | None = None, **properties: Any
) -> list[tuple[dict[str, str], Decimal]]:
    return [(dict(found.dimensions), found.quantity) for found in quantities(definition, value, properties)]


def test_a_count_is_one_or_what_the_event_says() -> None:
    assert read(CALLS) == [({}, Decimal(1))]
    assert read(CALLS, Decimal(7)) == [({}, Decimal(7))]
    assert read(CALLS, Decimal(0)) == [({}, Decimal(0))]


def test_a_sum_of_the_events_own_value_needs_one() -> None:
    assert read(OWN, Decimal("2.5")) == [({}, Decimal("2.5"))]
    assert read(OWN) == []


def test_labelled_values_give_a_quantity_each() -> None:
    found = read(TOKENS, usage={"in": 374, "out": Decimal("44.5")}, model="a", options={"batch": True})
    assert found == [
        ({"model": "a", "batch": "true", "token_type": "input"}, Decimal(374)),
        ({"model": "a", "batch": "true", "token_type": "output"}, Decimal("44.5")),
    ]


@pytest.mark.parametrize("bad", [None, "many", "1e", "1e100", "1_000", " 1", "١", "NaN", "", True, [1], {"n": 1}])
def test_a_bad_value_gives_no_quantity_and_leaves_the_others(bad: object) -> None:
    assert read(TOKENS, usage={"in": bad, "out": 3}) == [({"token_type": "output"}, Decimal(3))]


def test_a_number_may_come_as_text() -> None:
    assert [number for _, number in read(TOKENS, usage={"in": "12.50", "out": "-3E-7"})] == [
        Decimal("12.5"),
        Decimal("-3e-7"),
    ]


def test_a_missing_dimension_is_absent() -> None:
    for model in (None, {"name": "a"}, ["a"]):
        assert read(TOKENS, usage={"in": 1}, model=model) == [({"token_type": "input"}, Decimal(1))]
    assert read(TOKENS, usage={"in": 1}, model="") == [({"model": "", "token_type": "input"}, Decimal(1))]


def test_what_cannot_be_counted_exactly_is_refused_at_the_door_and_passed_over_later() -> None:
    for bad, code in ((Decimal("0.1234567890123"), "value_too_precise"), (10**18, "value_too_large")):
        properties = {"usage": {"in": bad, "out": 1}}
        with pytest.raises(Unfit) as refused:
            quantities(TOKENS, None, properties, strict=True)
        assert (refused.value.code, refused.value.field) == (code, "properties.usage.in")
        assert [found.quantity for found in quantities(TOKENS, None, properties)] == [Decimal(1)]


def test_a_long_dimension_value_is_refused_at_the_door_and_absent_later() -> None:
    assert read(TOKENS, usage={"in": 1}, model="x" * 255)[0][0]["model"] == "x" * 255
    with pytest.raises(Unfit) as refused:
        quantities(TOKENS, None, {"usage": {"in": 1}, "model": "x" * 256}, strict=True)
    assert (refused.value.code, refused.value.field) == ("dimension_too_long", "properties.model")
    assert read(TOKENS, usage={"in": 1}, model="x" * 256) == [({"token_type": "input"}, Decimal(1))]


def test_an_event_that_the_meter_does_not_read_may_hold_anything() -> None:
    filtered = Definition(4, "t", "call", SUM, (Condition("kind", Operator.ONE_OF, frozenset({"x"})),), TOKENS.values)
    assert quantities(filtered, None, {"usage": {"in": 10**30}}, strict=True) == []


@pytest.mark.parametrize(
    ("operator", "values", "value", "holds"),
    [
        (Operator.ONE_OF, {"a", "1"}, "a", True),
        (Operator.ONE_OF, {"a", "1"}, Decimal("1.0"), True),
        (Operator.ONE_OF, {"a", "1"}, 2, False),
        (Operator.ONE_OF, {"true"}, True, True),
        (Operator.ONE_OF, {"a"}, None, False),
        (Operator.ONE_OF, {"None"}, None, False),
        (Operator.NONE_OF, {"a"}, "b", True),
        (Operator.NONE_OF, {"a"}, "a", False),
        (Operator.NONE_OF, {"a"}, None, True),
        (Operator.PRESENT, set(), False, True),
        (Operator.PRESENT, set(), {}, True),
        (Operator.PRESENT, set(), None, False),
        (Operator.ABSENT, set(), None, True),
        (Operator.ABSENT, set(), 0, False),
    ],
)
def test_conditions(operator: Operator, values: set[str], value: object, holds: bool) -> None:
    assert Condition("p", operator, frozenset(values)).holds({"p": value}) is holds
    if value is None:
        assert Condition("p", operator, frozenset(values)).holds({}) is holds


def test_all_conditions_must_hold() -> None:
    conditions = (Condition("a", Operator.PRESENT), Condition("b", Operator.PRESENT))
    both = Definition(5, "both", "call", COUNT, conditions)
    assert read(both, a=1) == []
    assert len(read(both, a=1, b=1)) == 1


@pytest.mark.parametrize(
    ("properties", "name", "found"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": 2}}, "a.b", 2),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": {"b": {"c": 3}}}, "a.b.c", 3),
        ({"a": 1}, "a.b", None),
        ({"a": [1]}, "a.0", None),
        ({}, "a", None),
    ],
)
def test_lookup(properties: dict[str, Any], name: str, found: object) -> None:
    assert lookup(properties, name) == found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("1.0", "1.0"),
        (1, "1"),
        (Decimal("1.0"), "1"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.10"), "0.1"),
        (Decimal("-0.0"), "0"),
        (True, "true"),
        (False, "false"),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_text_form(value: object, text: str | None) -> None:
    assert as_text(value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**17), max_value=10**17))
def test_the_text_of_a_number_is_the_number(number: Decimal) -> None:
    assert as_number(as_text(number)) == number


TOTAL = Definition(
    4,
    "total",
    "call",
    SUM,
    values=(Value("input", "in"), Value("output", "out"), Value("total", "in", ("out", "usage.cached"))),
    label_dimension="t",
)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"in": 374, "out": "44.5"}, {"input": 374, "output": Decimal("44.5"), "total": Decimal("418.5")}),
        ({"in": 1, "out": 2, "usage": {"cached": 4}}, {"input": 1, "output": 2, "total": 7}),
        ({"out": 2}, {"output": 2, "total": 2}),
        ({"in": "many", "out": 2}, {"output": 2, "total": 2}),
        ({"usage": {"cached": 4}}, {"total": 4}),
        ({"in": "many"}, {}),
    ],
)
def test_a_value_that_is_a_sum_of_what_is_there(properties: dict[str, Any], expected: dict[str, Decimal]) -> None:
    assert {dimensions["t"]: number for dimensions, number in read(TOTAL, **properties)} == expected


def test_the_events_own_value_plus_a_property() -> None:
    both = Definition(5, "both", "call", SUM, values=(Value("", "", ("extra",)),))
    assert read(both, Decimal(2), extra=3) == [({}, 5)]
    assert read(both, extra=3) == [({}, 3)]
    assert read(both, Decimal(2)) == [({}, 2)]
    assert read(both) == []


def test_a_sum_that_is_too_large_is_the_senders_to_mend() -> None:
    large = 10**18 - 1
    with pytest.raises(Unfit) as unfit:
        quantities(TOTAL, None, {"in": large, "out": large}, strict=True)
    assert (unfit.value.code, unfit.value.field) == ("value_too_large", "properties.in")
    stored = quantities(TOTAL, None, {"in": large, "out": large})
    assert [dict(each.dimensions)["t"] for each in stored] == ["input", "output"]


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ({"in": 1234, "out": "1e-99"}, ("value_too_precise", "properties.out")),
        ({"in": 1, "usage": {"cached": "1e50"}}, ("value_too_large", "properties.usage.cached")),
        ({"in": "1e50", "out": "-1e50"}, ("value_too_large", "properties.in")),
    ],
)
def test_no_part_of_a_sum_is_rounded_away(properties: dict[str, Any], fault: tuple[str, str]) -> None:
    """1234 + 1e-99 has more digits than any context keeps."""
    total = Definition(7, "total", "call", SUM, values=(Value("", "in", ("out", "usage.cached")),))
    with pytest.raises(Unfit) as unfit:
        quantities(total, None, properties, strict=True)
    assert (unfit.value.code, unfit.value.field) == fault
    assert quantities(total, None, properties) == []


def test_different_values_are_told_apart_as_text() -> None:
    users = Definition(6, "users", "call", UNIQUE_COUNT, values=(Value("", "user"),))

    def texts(*values: object) -> list[str]:
        return [each.text for value in values for each in quantities(users, None, {"user": value})]

    assert texts("u1", 1, Decimal("1.0"), Decimal("1.50"), True) == ["u1", "1", "1", "1.5", "true"]
    assert texts(None, "", [1], {"a": 1}, "x" * 256) == []
    with pytest.raises(Unfit) as unfit:
        quantities(users, None, {"user": "x" * 256}, strict=True)
    assert (unfit.value.code, unfit.value.field) == ("value_too_long", "properties.user")
    own = Definition(7, "own", "call", UNIQUE_COUNT)
    assert [each.text for each in quantities(own, Decimal("2.0"), {})] == ["2"]
