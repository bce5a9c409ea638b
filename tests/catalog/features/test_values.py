"""What is given of a feature: read, combined, said."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.errors import Refused
from catalog.features.values import UNLIMITED, Kind, Several, Value, combine, read, words, written

MODELS = ("small", "large", "huge")


@pytest.mark.parametrize(
    ("kind", "given_value", "value"),
    [
        (Kind.SWITCH, True, True),
        (Kind.SWITCH, False, False),
        (Kind.NUMBER, 1000, Decimal(1000)),
        (Kind.NUMBER, "0.5", Decimal("0.5")),
        (Kind.NUMBER, Decimal("1E+3"), Decimal(1000)),
        (Kind.NUMBER, "unlimited", UNLIMITED),
        (Kind.NUMBER, UNLIMITED, UNLIMITED),
        (Kind.LIST, ["large", "small", "large"], ("small", "large")),
        (Kind.LIST, [], ()),
        (Kind.LIST, "any", UNLIMITED),
    ],
)
def test_what_somebody_writes_is_read(kind: Kind, given_value: object, value: Value) -> None:
    assert read(kind, given_value, MODELS) == value


@pytest.mark.parametrize(
    ("kind", "given_value", "code", "says"),
    [
        (Kind.SWITCH, "yes", "value_invalid", "“yes” is not a switch's value"),
        (Kind.SWITCH, "unlimited", "value_invalid", "use true or false"),
        (Kind.SWITCH, 1, "value_invalid", "use true or false"),
        (Kind.NUMBER, "many", "value_invalid", "“many” is not a number"),
        (Kind.NUMBER, True, "value_invalid", "is not a number"),
        (Kind.NUMBER, 0.5, "value_invalid", "is not a number"),
        (Kind.NUMBER, Decimal("NaN"), "value_invalid", "is not a number"),
        (Kind.NUMBER, "any", "value_invalid", "is not a number"),
        (Kind.NUMBER, -1, "value_negative", "-1 is negative"),
        (Kind.NUMBER, "1" + "0" * 18, "value_too_large", "18 digits"),
        (Kind.NUMBER, "0.0000000000001", "value_too_precise", "12 decimal places"),
        (Kind.LIST, "small", "value_invalid", "is not a list of texts"),
        (Kind.LIST, [1], "value_invalid", "is not a list of texts"),
        (Kind.LIST, ["smal"], "value_unknown", "did you mean “small”"),
        (Kind.LIST, ["gpt"], "value_unknown", "it has “small”, “large”, “huge”"),
    ],
)
def test_what_cannot_be_read_is_refused_with_how_to_mend_it(
    kind: Kind, given_value: object, code: str, says: str
) -> None:
    with pytest.raises(Refused) as refused:
        read(kind, given_value, MODELS)

    [fault] = refused.value.faults
    assert (fault.code, fault.field) == (code, "value")
    assert says in fault.message


@pytest.mark.parametrize(
    ("kind", "value", "text", "said"),
    [
        (Kind.SWITCH, True, True, "on"),
        (Kind.SWITCH, False, False, "off"),
        (Kind.NUMBER, Decimal("1234567.50"), "1234567.5", "1,234,567.5 token"),
        (Kind.NUMBER, UNLIMITED, "unlimited", "unlimited"),
        (Kind.LIST, ("small", "huge"), ["small", "huge"], "small, huge"),
        (Kind.LIST, (), [], "none"),
        (Kind.LIST, UNLIMITED, "any", "any"),
    ],
)
def test_a_value_is_written_for_programs_and_for_people(kind: Kind, value: Value, text: Any, said: str) -> None:
    assert written(kind, value) == text
    assert words(kind, value, "token" if kind is Kind.NUMBER else "") == said


def test_several_grants_are_one() -> None:
    assert combine(Kind.SWITCH, [False, True]) is True
    assert combine(Kind.SWITCH, [False, False]) is False
    numbers = [Decimal(100), Decimal(250)]
    assert combine(Kind.NUMBER, numbers) == Decimal(250)
    assert combine(Kind.NUMBER, numbers, Several.SUM) == Decimal(350)
    assert combine(Kind.NUMBER, [*numbers, UNLIMITED], Several.SUM) is UNLIMITED
    assert combine(Kind.NUMBER, []) == 0
    assert combine(Kind.LIST, [("small", "large"), ("large", "huge")]) == ("small", "large", "huge")
    assert combine(Kind.LIST, [("small",), UNLIMITED]) is UNLIMITED


VALUES = {
    Kind.SWITCH: st.booleans(),
    Kind.NUMBER: st.just(UNLIMITED) | st.decimals(0, 10**15, places=3),
    Kind.LIST: st.just(UNLIMITED) | st.lists(st.sampled_from(MODELS), unique=True).map(tuple),
}


@given(st.sampled_from(list(Kind)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_what_is_written_is_read_as_the_same(pair: tuple[Kind, Value]) -> None:
    kind, value = pair
    back = read(kind, written(kind, value), MODELS)

    assert back == (tuple(text for text in MODELS if text in value) if isinstance(value, tuple) else value)


@given(
    st.sampled_from(list(Kind)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(VALUES[kind], min_size=1), VALUES[kind])
    ),
    st.sampled_from(list(Several)),
)
def test_one_more_grant_never_takes_away(case: tuple[Kind, list[Value], Value], several: Several) -> None:
    kind, values, further = case
    before, after = combine(kind, values, several), combine(kind, [*values, further], several)

    if before is UNLIMITED or after is UNLIMITED:
        assert after is UNLIMITED
    elif isinstance(before, tuple):
        assert set(before) <= set(after)  # type: ignore[arg-type]
    else:
        assert before <= after  # type: ignore[operator]
