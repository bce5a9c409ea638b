"""Shapes of JSON: what they read, how they refuse, and that their schema says the same."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.shape_kinds import NUMBER, TEXT, YES_OR_NO, by_name, choice, list_of, number, whole_number
from billing_site.foundation.shapes import Field, Shape, Unreadable, shown

INNER = Shape("A part", {"size": Field(whole_number(1, 5), "How large.")})
SHAPE = Shape(
    "A thing",
    {
        "name": Field(TEXT),
        "kind": Field(choice(("red", "green", "")), "Its colour.", "red", nullable=True),
        "price": Field(NUMBER, default=None, nullable=True),
        "on": Field(YES_OR_NO, default=False),
        "parts": Field(list_of(INNER), default=()),
        "by_code": Field(by_name(INNER, "parts by code"), default={}),
    },
    {"id": "is given"},
)


def refused(given: Any, place: str = "", *, whole: bool = True) -> list[tuple[str, str]]:
    with pytest.raises(Unreadable) as error:
        (SHAPE.read if whole else SHAPE.read_some)(given, place)
    return [(fault.field, fault.code) for fault in error.value.faults]


def test_what_is_left_out_has_its_default() -> None:
    assert SHAPE.read({"name": " x "}) == {
        "name": " x ",
        "kind": "red",
        "price": None,
        "on": False,
        "parts": (),
        "by_code": {},
    }
    assert SHAPE.read_some({"price": "1.50", "kind": None}) == {"price": Decimal("1.5"), "kind": None}
    assert SHAPE.read_some({}) == {}
    full = {"name": "", "kind": "", "price": 3, "on": True, "parts": [{"size": 5}], "by_code": {"a": {"size": 1}}}
    assert SHAPE.read(full) == {**full, "price": Decimal(3), "parts": ({"size": 5},)}


def test_everything_that_is_wrong_is_told_at_its_place() -> None:
    wrong = {
        "nmae": 1,
        "id": 7,
        "kind": "gren",
        "price": "x",
        "on": 1,
        "parts": [{"size": 6}, {}, 3],
        "by_code": {"a": {"size": True}, "b\0": {"size": 1}},
    }
    assert refused(wrong, "thing") == [
        ("thing.nmae", "field_unknown"),
        ("thing.id", "field_read_only"),
        ("thing.name", "required"),
        ("thing.kind", "choice_unknown"),
        ("thing.price", "number_invalid"),
        ("thing.on", "boolean_invalid"),
        ("thing.parts.0.size", "number_invalid"),
        ("thing.parts.1.size", "required"),
        ("thing.parts.2", "object_invalid"),
        ("thing.by_code.b\0", "text_invalid"),
        ("thing.by_code.a.size", "number_invalid"),
    ]
    assert ("name", "required") not in refused(wrong, whole=False)
    assert refused({"name": None, "parts": {}, "by_code": []}) == [
        ("name", "null"),
        ("parts", "list_invalid"),
        ("by_code", "object_invalid"),
    ]
    assert refused([]) == [("", "object_invalid")]
    assert refused({"name": 3}) == [("name", "text_invalid")]
    assert refused({"name": "\udfff"}) == [("name", "text_invalid")]


def test_words_say_how_to_mend() -> None:
    with pytest.raises(Unreadable) as error:
        SHAPE.read({"nmae": 1, "elephant": 1, "id": 1, "kind": "blue", "parts": [{}]}, "t")
    assert [fault.message for fault in error.value.faults] == [
        "A thing has no “nmae”: did you mean “name”?",
        "A thing has no “elephant”: it has name, kind, price, on, parts, by_code.",
        "“id” is given: leave it out.",
        "A thing needs “name”.",
        "“blue” is not possible here: use one of red, green.",
        "A part needs “size”. How large.",
    ]
    assert str(error.value).startswith("A thing has no “nmae”")


@pytest.mark.parametrize(
    "given", ["", "x", "1_000", "٣", "1e81", "-1e-81", "1e99999999999", "9" * 81, "NaN", "inf", True, None, 0.1, []]
)
def test_what_is_no_number(given: Any) -> None:
    with pytest.raises(Unreadable):
        number(given, "x")


def test_a_number_that_came_as_one_is_quoted_as_people_write_it() -> None:
    for given_number, quoted in ((0.00001, "“0.00001”"), (1.5, "“1.5”"), (float("inf"), "“inf”"), (7, "“7”")):
        assert shown(given_number) == quoted


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12))
def test_a_number_is_read_exactly(value: Decimal) -> None:
    assert number(str(value), "x") == number(f" {value} ", "x") == number(value, "x") == value


def test_the_schema_says_what_is_read() -> None:
    assert SHAPE.schema() == {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "kind": {
                "type": "string",
                "enum": ["red", "green", "", None],
                "nullable": True,
                "description": "Its colour.",
            },
            "price": {"oneOf": [{"type": "string", "nullable": True}, {"type": "integer"}]},
            "on": {"type": "boolean"},
            "parts": {"type": "array", "items": INNER.schema()},
            "by_code": {"type": "object", "additionalProperties": INNER.schema()},
        },
    }
    assert "required" not in SHAPE.schema(whole=False)
    assert Field(TEXT, nullable=True).schema() == {"type": "string", "nullable": True}


def test_a_shape_with_less_and_one_with_other_kinds() -> None:
    less = SHAPE.without("name", only_read={"name": "stands in the address"})
    assert less.read({})["kind"] == "red"
    with pytest.raises(Unreadable, match="“name” stands in the address: leave it out"):
        less.read({"name": "x"})
    assert SHAPE.with_kinds(name=YES_OR_NO).read({"name": True})["name"] is True
