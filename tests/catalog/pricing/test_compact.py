"""A price as one line: what is written is what is read, and what cannot be read says why."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.compact import EXAMPLES, to_text
from catalog.pricing.compact_reading import from_text
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, Price, price_faults
from catalog.pricing.tiers import Tier
from tests.catalog.pricing_texts import prices

D = Decimal


@given(prices, st.sampled_from([0, 3, 6]))
def test_every_price_is_read_as_it_was_written(price: Price, scale: int) -> None:
    text = to_text(price, scale)
    assert from_text(price.model, text, "price", scale) == price
    assert to_text(from_text(price.model, text, "price", scale), scale) == text
    assert "E" not in text


@pytest.mark.parametrize(
    ("model", "text", "price"),
    [
        ("per_unit", "0.00001", Price(unit_price=D("0.00001"))),
        ("per_unit", " 1e-05 ", Price(unit_price=D("0.00001"))),
        ("flat", "20", Price(Model.FLAT, D(20))),
        ("package", "2 per 1000, 500 free", Price(Model.PACKAGE, D(2), D(1000), D(500))),
        ("package", "2/1000", Price(Model.PACKAGE, D(2), D(1000))),
        (
            "graduated",
            "1000: 0.02; 5000: 3 per 100 + 5; : 0.01",
            Price(
                Model.GRADUATED,
                tiers=(Tier(D(1000), D("0.02")), Tier(D(5000), D(3), D(5), D(100)), Tier(None, D("0.01"))),
            ),
        ),
        ("volume", "1000:0.02\n:0.01;", Price(Model.VOLUME, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"))))),
        (
            "stairstep",
            "1000: 0; : 20; Nothing at zero",
            Price(Model.STAIRSTEP, tiers=(Tier(D(1000)), Tier(None, D(0), D(20))), flat_at_zero=False),
        ),
        ("percentage", "2.9 + 0.30", Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.30"))),
        (
            "percentage",
            "2.9% + 0.30, 100 free, 1 event free",
            Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.3"), free=D(100), free_events=1),
        ),
        ("cost_plus", "-5 %", Price(Model.COST_PLUS, percent=D(-5))),
    ],
)
def test_what_people_write(model: str, text: str, price: Price) -> None:
    assert from_text(Model(model), text, "price") == price


@pytest.mark.parametrize(("scale", "text"), [(0, "0.000015"), (3, "0.015"), (6, "15")])
def test_a_price_of_one_unit_is_written_for_many(scale: int, text: str) -> None:
    price = Price(unit_price=D("0.000015"))
    assert to_text(price, scale) == text
    assert from_text(Model.PER_UNIT, text, "price", scale) == price
    tiers = Price(Model.GRADUATED, tiers=(Tier(D(10), D("0.000015"), D(5)), Tier(None, D(7), D(0), D(100))))
    assert to_text(tiers, scale) == f"10: {text} + 5; : 7 per 100"


@pytest.mark.parametrize("model", list(Model))
def test_examples_are_prices(model: Model) -> None:
    price = from_text(model, EXAMPLES[model], "price")
    assert list(price_faults(price, "price")) == []
    assert price.model == model


@pytest.mark.parametrize(
    ("model", "text", "field", "said"),
    [
        ("per_unit", "", "price", "The price is missing. For example: 0.00001"),
        ("per_unit", "0,5", "price", "“0,5” has a comma: write a point for decimals, and nothing between thousands."),
        ("per_unit", "cheap", "price", "“cheap” is no price. For example: 0.00001"),
        ("per_unit", "$1", "price", "“$1” is no price"),
        ("per_unit", "1_000", "price", "“1_000” is no price"),
        ("per_unit", "NaN", "price", "“NaN” is no price"),
        ("per_unit", "1.2.3", "price", "“1.2.3” is no price"),
        ("per_unit", "٣", "price", "“٣” is no price"),
        ("per_unit", "1e999999", "price", "“1e999999” is no price"),
        ("per_unit", "1..2e5", "price", "“1..2e5” is not a number"),
        ("package", "2", "price", "does not say what a package costs and how many units it holds"),
        ("package", "2 per 10 per 20", "price", "does not say what a package costs"),
        ("package", "2 per ten", "price", "“ten” is no package size"),
        ("package", "2 per 10, gratis", "price.free", "“gratis” is not how many units are free"),
        ("package", "2 per 10, 1 free, 2 free", "price.free", "“2 free” is not how many units are free"),
        ("package", "2 per 10, x free", "price.free", "“x” is no number of free units"),
        ("graduated", ";", "price.tiers", "tiers"),
        ("graduated", "0.02", "price.tiers.0", "“0.02” is no tier: write its upper bound, a colon and its price"),
        ("graduated", "10: 1; x: 2", "price.tiers.1.up_to", "“x” is no upper bound"),
        ("graduated", "10: ; : 1", "price.tiers.0.unit_price", "“” is no price"),
        ("graduated", ": 1 + x", "price.tiers.0.flat_price", "“x” is no fee of a tier"),
        ("graduated", ": 1 per x", "price.tiers.0.package", "“x” is no package size"),
        ("graduated", ": 1 per 2 per 3", "price.tiers.0.package", "has two package sizes"),
        ("volume", ": x per 2", "price.tiers.0.unit_price", "“x” is no price"),
        ("stairstep", ": 1 + 2", "price.tiers.0.flat_price", "“1 + 2” is no amount"),
        ("percentage", "x%", "price.percent", "“x” is no percentage"),
        ("percentage", "1% + 2 + 3", "price.fixed", "“2 + 3” is no fee for each event"),
        ("percentage", "1%, 2 free, 3 free", "price.free", "is neither “100 free” nor “10 events free”"),
        ("percentage", "1%, x free", "price.free", "“x” is no free quantity"),
        ("percentage", "1%, 1.5 events free", "price.free_events", "“1.5” is no whole number of events"),
        ("cost_plus", "half", "price.percent", "“half” is no percentage"),
    ],
)
def test_what_cannot_be_read_says_why(model: str, text: str, field: str, said: str) -> None:
    if said == "tiers":  # no tiers at all: read as none, and refused as a price
        assert [fault.field for fault in price_faults(from_text(Model(model), text, "price"), "price")] == [field]
        return
    with pytest.raises(Unreadable) as refused:
        from_text(Model(model), text, "price")
    assert [fault.field for fault in refused.value.faults] == [field]
    assert said in str(refused.value)


def test_every_tier_that_cannot_be_read_is_told() -> None:
    with pytest.raises(Unreadable) as refused:
        from_text(Model.GRADUATED, "a: 1; b: 2; : c", "price")
    assert [fault.field for fault in refused.value.faults] == [
        "price.tiers.0.up_to",
        "price.tiers.1.up_to",
        "price.tiers.2.unit_price",
    ]


def test_a_price_that_lacks_its_figures_has_a_text() -> None:
    assert [to_text(Price(model)) for model in Model] == ["", " per ", "", "", "", "%", "", "%"]
