"""What a price says: what is wrong with it, how it is written down, and what computes it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing import documents
from catalog.pricing.models import computing
from catalog.pricing.price import Model, Price, per_unit, price_faults
from catalog.pricing.tiers import Tier
from catalog.pricing.words import counted, in_words, shown_per

D = Decimal
TIERS = (Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5)))
PRICES = [
    per_unit(D("0.00001")),
    Price(Model.PACKAGE, unit_price=D(2), size=D(1000), free=D(100)),
    Price(Model.GRADUATED, tiers=TIERS),
    Price(Model.VOLUME, tiers=TIERS, flat_at_zero=False),
    Price(Model.STAIRSTEP, tiers=(Tier(D(10), flat_price=D(5)), Tier(None, flat_price=D(8)))),
    Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.30"), free=D(50), free_events=3),
    Price(Model.FLAT, unit_price=D(49)),
    Price(Model.COST_PLUS, percent=D(20)),
]
numbers = st.decimals(min_value=0, max_value=10**12, places=9).map(lambda n: n.normalize() + 0)


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.model.value)
def test_a_sound_price_has_no_faults_and_comes_back_from_json(price: Price) -> None:
    assert list(price_faults(price, "rows.0")) == []
    assert documents.from_json(documents.to_json(price), "rows.0") == price


@pytest.mark.parametrize(
    ("price", "quantity", "events", "amount"),
    [
        (PRICES[0], 22_361_870, 1, "223.6187"),
        (PRICES[1], 1101, 1, "4"),  # (1101 − 100) / 1000, begun ones in full
        (PRICES[2], 1500, 1, "30"),  # 1000 × 0.02 + 500 × 0.01 + 5
        (PRICES[3], 1500, 1, "20"),  # 1500 × 0.01 + 5
        (PRICES[4], 10, 1, "5"),
        (PRICES[4], 11, 1, "8"),
        (PRICES[5], 150, 5, "3.5"),  # (150 − 50) × 2.9 % + 2 × 0.30
        (PRICES[6], 3, 1, "49"),
        (PRICES[6], 0, 0, "0"),
    ],
)
def test_what_is_written_is_what_computes(price: Price, quantity: int, events: int, amount: str) -> None:
    model = computing(price)
    assert not isinstance(model, type(computing(PRICES[7])))
    priced = model.price(D(quantity), "token", events)  # type: ignore[union-attr]
    assert priced.amount == D(amount)


def test_a_price_by_cost_knows_no_costs_until_it_is_told() -> None:
    assert computing(PRICES[7]).at({"model": "gpt"}) is None  # type: ignore[union-attr]


def test_a_price_that_lacks_a_figure_computes_nothing() -> None:
    with pytest.raises(ValueError, match="lacks a figure"):
        computing(Price())


@pytest.mark.parametrize(
    ("price", "code", "field", "said"),
    [
        (Price(), "price_missing", "unit_price", "The unit price is missing"),
        (per_unit(D(-1)), "price_negative", "unit_price", "-1 is negative"),
        (per_unit(D("NaN")), "price_invalid", "unit_price", "is not a number"),
        (per_unit(D("1e15")), "price_too_large", "unit_price", "16 digits before the point"),
        (per_unit(D("1e-16")), "price_too_precise", "unit_price", "has 16 decimals"),
        (Price(unit_price=D(1), size=D(3)), "price_field_unused", "size", "has no package size"),
        (Price(Model.PACKAGE, unit_price=D(1), size=D(0)), "price_invalid", "size", "package size is 0"),
        (Price(Model.PACKAGE, unit_price=D(1), size=D("1e-13")), "price_too_precise", "size", "13 decimals"),
        (Price(Model.PERCENTAGE, percent=D(1), free_events=-1), "price_invalid", "free_events", "write 0 or more"),
        (Price(Model.COST_PLUS, percent=D(-101)), "price_negative", "percent", "margin -101 is too small: write -100"),
        (Price(Model.GRADUATED), "tiers_missing", "tiers", "write one at least"),
        (Price(Model.GRADUATED, tiers=(Tier(D(5)),)), "tier_not_open", "tiers.0.up_to", "the last one"),
        (Price(Model.VOLUME, tiers=(Tier(None, D("NaN")),)), "price_invalid", "tiers.0.unit_price", "of tier 1"),
        (
            Price(Model.VOLUME, tiers=(Tier(D("1e-13"), D(1)), Tier(None))),
            "price_too_precise",
            "tiers.0.up_to",
            "upper bound of tier 1",
        ),
        (
            Price(Model.VOLUME, tiers=(Tier(None, package=D("1e27")),)),
            "price_too_large",
            "tiers.0.package",
            "package size of tier 1",
        ),
        (Price(Model.STAIRSTEP, tiers=(Tier(None, D(1)),)), "tier_unit_price", "tiers.0.unit_price", "flat fees alone"),
    ],
)
def test_faults_name_the_field_and_the_mend(price: Price, code: str, field: str, said: str) -> None:
    [fault] = price_faults(price, "rows.2")
    assert (fault.code, fault.field) == (code, f"rows.2.{field}")
    assert said in fault.message


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"model": "dutch"}, "model", "“dutch” is no price model"),
        ({"price": "1"}, "price", "A price has no “price”"),
        ({"unit_price": "cheap"}, "unit_price", "“cheap” is not a number"),
        ({"unit_price": True}, "unit_price", "is not a number"),
        ({"unit_price": "1_0"}, "unit_price", "is not a number"),
        ({"unit_price": "1" * 81}, "unit_price", "is not a number"),
        ({"free_events": "3"}, "free_events", "not a whole number"),
        ({"free_events": True}, "free_events", "not a whole number"),
        ({"flat_at_zero": "yes"}, "flat_at_zero", "neither true nor false"),
        ({"tiers": {}}, "tiers", "a list of objects"),
        ({"tiers": ["1"]}, "tiers.0", "A tier is an object"),
        ({"tiers": [{"up": 1}]}, "tiers.0.up", "A tier has no “up”"),
        ({"tiers": [{"up_to": "x"}]}, "tiers.0.up_to", "“x” is not a number"),
    ],
)
def test_what_cannot_be_read_is_named(sent: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(documents.Unreadable, match=said) as refused:
        documents.from_json(sent, "rows.0")
    assert [fault.field for fault in refused.value.faults] == [f"rows.0.{field}"]


def test_all_that_cannot_be_read_is_said_at_once() -> None:
    with pytest.raises(documents.Unreadable) as refused:
        documents.from_json({"model": "x", "size": "y", "tiers": [{"up_to": "z"}, 1]}, "price")
    fields = [fault.field for fault in refused.value.faults]
    assert fields == ["price.model", "price.size", "price.tiers.0.up_to", "price.tiers.1"]


@given(numbers, numbers, numbers, st.booleans())
def test_no_digit_is_lost_in_json(first: Decimal, second: Decimal, third: Decimal, at_zero: bool) -> None:
    tiers = (Tier(first + 1, second, third), Tier(first + 2, third, second, first + 1), Tier(None, first))
    price = Price(Model.GRADUATED, tiers=tiers, flat_at_zero=at_zero)
    assert documents.from_json(documents.to_json(price), "") == price


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (PRICES[0], "0.00001 USD per token"),
        (PRICES[1], "2 USD per package of 1,000 token, 100 token free"),
        (PRICES[2], "graduated, in USD: up to 1,000 token 0.02 each; above 1,000 token 0.01 each + 5"),
        (PRICES[3], "volume, in USD: up to 1,000 token 0.02 each; above 1,000 token 0.01 each + 5; nothing at zero"),
        (PRICES[4], "stairstep, in USD: up to 10 token 5; above 10 token 8"),
        (PRICES[5], "2.9 % of the token and 0.3 USD for each event, 50 token and 3 events free"),
        (PRICES[6], "49 USD flat, once there is usage"),
        (PRICES[7], "what a token costs, plus 20 %"),
        (Price(), "? USD per token"),
        (Price(Model.GRADUATED, tiers=(Tier(None, D(2), package=D(10)),)), "graduated, in USD: any token 2 per 10"),
        (Price(Model.PACKAGE, unit_price=D(1), size=D(2)), "1 USD per package of 2 token"),
        (Price(Model.PERCENTAGE, percent=D(1)), "1 % of the token"),
    ],
)
def test_prices_in_words(price: Price, words: str) -> None:
    assert in_words(price, "USD", "token") == words


@pytest.mark.parametrize(
    ("prices", "per"),
    [
        ([], 1),
        ([PRICES[6], PRICES[1], PRICES[4], Price()], 1),
        ([per_unit(D(0)), per_unit(D("0.01"))], 1),
        ([per_unit(D("0.0099")), per_unit(D(20))], 1_000),
        ([per_unit(D("0.001"))], 1_000),
        ([per_unit(D("0.00099")), per_unit(D("0.04"))], 1_000_000),
        ([Price(Model.VOLUME, tiers=(Tier(D(5), D("0.02")), Tier(None, D("0.002"))))], 1_000),
        ([Price(Model.GRADUATED, tiers=(Tier(None, D("0.002"), package=D(10)),))], 1),
        ([Price(Model.STAIRSTEP, tiers=(Tier(None, D(0), D("0.002")),))], 1),
    ],
)
def test_prices_of_a_charge_are_told_for_as_many_units_as_make_the_least_easy_to_read(
    prices: list[Price], per: int
) -> None:
    assert shown_per(prices) == per


def test_what_has_no_size_of_its_own_is_told_for_many_units() -> None:
    assert in_words(per_unit(D("0.00001")), "USD", "token", 1_000_000) == "10 USD per 1,000,000 token"
    assert in_words(per_unit(D("0.04")), "USD", "token", 1_000) == "40 USD per 1,000 token"
    assert in_words(Price(), "USD", "token", 1_000) == "? USD per 1,000 token"
    words = "graduated, in USD: up to 1,000 token 20 per 1,000; above 1,000 token 10 per 1,000 + 5"
    assert in_words(PRICES[2], "USD", "token", 1_000) == words
    packages = Price(Model.GRADUATED, tiers=(Tier(None, D(2), package=D(10)),))
    for price in (packages, PRICES[1], PRICES[4], PRICES[5], PRICES[6], PRICES[7]):
        assert in_words(price, "USD", "token", 1_000_000) == in_words(price, "USD", "token")


@given(numbers, st.sampled_from([1, 1_000, 1_000_000]))
def test_no_digit_is_lost_in_words(number: Decimal, per: int) -> None:
    said = in_words(per_unit(number), "USD", "token", per).split()[0].replace(",", "")
    assert Decimal(said) == number * per


def test_one_of_something_is_no_many() -> None:
    assert [counted(each, "row") for each in (0, 1, 2, 1_200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    one = Price(Model.PERCENTAGE, percent=D(1), free_events=1)
    assert in_words(one, "USD", "payment") == "1 % of the payment, 1 event free"
