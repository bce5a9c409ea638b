"""Margins of rows over what models cost, and the floor below which nothing is published."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from catalog.charges import seen_values
from catalog.charges.priceable import priceable
from catalog.charges.row_checks import DraftRow
from catalog.costs import margin_places
from catalog.costs.margins import margins_now, row_margins
from catalog.costs.names import names
from catalog.models import Charge
from catalog.pricing.margins import RowMargin, comparable, least_unit_price
from catalog.pricing.model_costs import Hours
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import (
    add_usage_charge,
    change_charge,
    change_plan,
    change_version,
    create_plan,
    draft_version,
    publish,
    review,
    set_price_list,
    set_rows,
)
from meters.definitions.metering import define_meter
from meters.explorer.scanning import TooMuch
from meters.models import Meter, Series
from tests.catalog import making
from tests.catalog.costing import own, read, utc
from tests.catalog.costing import price as cost

D = Decimal
SINCE = {"effective_from": utc(2023, 1, 1)}
TIERS = (Tier(D(1000), D("0.02")), Tier(D(2000), D(30), package=D(1000)), Tier(None, D("0.025")))


@pytest.mark.parametrize(
    ("price", "least"),
    [
        (per_unit(D("0.5")), "0.5"),
        (Price(Model.PACKAGE, unit_price=D(3), size=D(1000), free=D(10)), "0.003"),
        (Price(Model.GRADUATED, tiers=TIERS), "0.02"),
        (Price(Model.VOLUME, tiers=(Tier(D(1000), D(3), package=D(1000)), Tier(None, D(1)))), "0.003"),
        (Price(Model.COST_PLUS, percent=D(20)), "0.0012"),
        (Price(Model.STAIRSTEP, tiers=(Tier(None, flat_price=D(5)),)), "0"),
        (Price(Model.PERCENTAGE, percent=D(2), free=D(9)), "0.02"),
        (Price(Model.PERCENTAGE, percent=D(2), fixed=D("0.01")), None),
        (Price(Model.FLAT, unit_price=D(5)), "0"),
        (Price(), None),
    ],
)
def test_the_least_that_a_unit_can_cost(price: Price, least: str | None) -> None:
    assert least_unit_price(price, D("0.001")) == (None if least is None else D(least))


FLAT, BY_COST = Price(Model.FLAT, unit_price=D(5)), Price(Model.COST_PLUS, percent=D(20))


@pytest.mark.parametrize(
    ("one", "other", "numbers"),
    [
        (per_unit(D(2)), Price(Model.PACKAGE, unit_price=D(3), size=D(10)), ("2", "0.3")),
        (FLAT, Price(Model.FLAT, unit_price=D(7)), ("5", "7")),
        (FLAT, Price(Model.FLAT), None),
        (FLAT, per_unit(D(2)), None),
        (BY_COST, Price(Model.COST_PLUS, percent=D(900)), ("1.2", "10")),
        (BY_COST, per_unit(D(2)), None),
        (per_unit(D(2)), Price(Model.PERCENTAGE, percent=D(2), fixed=D(1)), None),
    ],
)
def test_prices_that_are_of_the_same_compare(one: Price, other: Price, numbers: tuple[str, str] | None) -> None:
    assert comparable(one, other) == (None if numbers is None else tuple(map(D, numbers)))


def test_a_margin_is_told_in_percent_of_cost() -> None:
    found = RowMargin(0, "a", "input", "model = a", D("0.0012"), D("0.001"))
    assert (found.percent, found.least(D(50))) == (20, D("0.0015"))
    assert (found.keeps(D(20)), found.keeps(D("20.01"))) == (True, False)
    assert RowMargin(0, "", "", "", D(1), D(0)).percent is None


@given(st.decimals(0, 100, places=6), st.decimals("0.000001", 100, places=6), st.decimals(-99, 500, places=2))
def test_a_floor_is_kept_by_its_least_price_and_by_no_lower_one(price: Decimal, cost: Decimal, floor: Decimal) -> None:
    found = RowMargin(0, "", "", "", price, cost)
    assert found.keeps(floor) == (price >= found.least(floor))
    assert RowMargin(0, "", "", "", found.least(floor), cost).keeps(floor)


@pytest.fixture
def tokens(db: None) -> Charge:
    """A draft charge of a plan with a floor of 20 %: gpt costs 2 and 8 USD a million, of input and output."""
    own("0.000002", name="acme/gpt", **SINCE)
    own("0.000008", "output", name="acme/gpt", **SINCE)
    version = draft_version(create_plan(code="p", name="Plan", margin_floor=D(20)))
    return add_usage_charge(
        version, meter=making.tokens(), code="tokens", name="Tokens", product=making.product(),
        cost_model="model", cost_token_type="token_type",
    )  # fmt: skip


def row(price: str, model: str = "*", kind: str = "*") -> tuple[dict[str, object], Decimal]:
    return {"model": model, "token_type": kind}, D(price)


def margins(charge: Charge, *rows: tuple[dict[str, object], Decimal]) -> list[tuple[int, str, str]]:
    changed = change_charge(charge, rows=rows)
    drafts = [DraftRow(cell.match, per_unit(cell.unit_price or D(0))) for cell in changed.cells.all()]
    found = row_margins(changed, drafts)
    return [(each.row, each.at, f"{each.percent:.0f}") for each in found]


def test_a_row_that_names_its_model_is_compared_with_it(tokens: Charge) -> None:
    found = margins(tokens, row("0.000003", "acme/gpt", "input"), row("0.000004", "acme/gpt"), row("1", "nobody"))
    assert found == [
        (0, "model = acme/gpt, token_type = input", "50"),
        (1, "model = acme/gpt, token_type = output", "-50"),  # input is the first row's
    ]


def test_a_row_for_any_model_is_compared_with_those_that_were_used(tokens: Charge) -> None:
    assert tokens.meter is not None
    for model in ("acme/gpt", "nobody/knows"):
        Series.objects.create(
            customer="acme", meter=tokens.meter, dimensions={"model": model, "token_type": "input"}, generation=1
        )
    assert margins(tokens, row("0.000004")) == [
        (0, "model = acme/gpt, token_type = input", "100"),
        (0, "model = acme/gpt, token_type = output", "-50"),
    ]
    assert margins(tokens, row("0.000004"), row("0.00001", "acme/gpt")) == [
        (1, "model = acme/gpt, token_type = input", "400"),
        (1, "model = acme/gpt, token_type = output", "25"),
    ]


def used(meter: Meter, *models: str, **more: str) -> None:
    Series.objects.bulk_create(
        Series(customer=f"c-{number}", meter=meter, dimensions={"model": model, **more}, generation=meter.generation)
        for number, model in enumerate(models)
    )


def test_usage_of_other_meters_hides_none_of_this_one(tokens: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it there is, and however many names come before in the alphabet."""
    assert tokens.meter is not None
    monkeypatch.setattr(seen_values, "LOOKED_AT", 3)
    used(tokens.meter, "acme/gpt", *(f"a-{number:03}" for number in range(205)))
    used(making.tokens("other"), "x", "y", "z")
    assert margins(tokens, row("0.000001")) == [
        (0, "model = acme/gpt, token_type = input", "-50"),
        (0, "model = acme/gpt, token_type = output", "-88"),
    ]
    assert {fault.code for fault in review(tokens.version).faults} == {"margin_below_floor"}
    offered = seen_values.seen_values(tokens.meter, priceable(tokens.meter))
    assert offered["model"] == ["a-202", "a-203", "a-204"]  # the latest three of this meter


def test_series_of_a_meter_are_found_by_index(tokens: Charge) -> None:
    assert tokens.meter is not None
    used(making.tokens("other"), *(f"model-{number}" for number in range(5_000)))
    used(tokens.meter, "acme/gpt")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE meters_series")
    for ask in (
        lambda meter: seen_values.used_values(meter, "model"),
        lambda meter: seen_values.seen_values(meter, priceable(meter))["model"],
    ):
        with CaptureQueriesContext(connection) as captured:
            assert ask(tokens.meter) == ["acme/gpt"]
        [asked] = [each["sql"] for each in captured if "meters_series" in each["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {asked}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "series_meter" in plan
        assert "Seq Scan on meters_series" not in plan


def test_how_many_rows_are_compared_with_nothing_is_said(tokens: Charge) -> None:
    change_charge(
        tokens, rows=[row("1", "acme/gpt", "input"), row("1", "nobody", "input"), row("1", "acme/gpt"), row("1")]
    )
    told = "The margin floor compares {0} of 4 rows of “Tokens” with nothing: {1}."
    unknown = "nobody knows what 1 of them cost (model = nobody, token_type = input)"
    unused = "no usage so far is for 1 of them (everything (*))"
    assert told.format(2, f"{unused}; {unknown}") in review(tokens.version).warnings
    assert tokens.meter is not None
    used(tokens.meter, "acme/gpt", "nobody")
    unknown = "nobody knows what 2 of them cost (model = nobody, token_type = input)"
    assert told.format(2, unknown) in review(tokens.version).warnings
    own("0.000001", "output", name="nobody/nobody", **SINCE)
    found = [each for each in review(tokens.version).warnings if "floor" in each]
    assert found == [told.format(1, unknown.replace("2", "1"))]
    change_charge(tokens, rows=[row("1")])
    found = [each for each in review(tokens.version).warnings if "floor" in each]
    why = "nobody knows what some of their usage costs (model = nobody, token_type = input)"
    assert found == [f"The margin floor sees 1 of 1 row of “Tokens” only in part: {why}."]


def test_more_names_than_models_can_have_are_told(tokens: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens.meter is not None
    for module in (seen_values, margin_places):
        monkeypatch.setattr(module, "USED_AT_MOST", 2)
    used(tokens.meter, "acme/gpt", "x", "y", "acme/gpt")
    change_charge(tokens, rows=[row("1")])
    why = "usage has had more than 2 values of model, of which the rarest were left out"
    assert f"The margin floor does not see all usage of “Tokens”: {why}." in review(tokens.version).warnings
    assert [each.model for each in row_margins(tokens, [DraftRow({}, per_unit(D(1)))])] == ["acme/gpt"] * 2


def test_usage_that_takes_too_long_to_read_is_told(tokens: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(meter: Meter, name: str) -> list[str]:
        raise TooMuch

    monkeypatch.setattr(margin_places, "used_values", slow)
    change_charge(tokens, rows=[row("1")])
    why = "there is more usage than can be looked through for its values of model"
    assert f"The margin floor does not see all usage of “Tokens”: {why}." in review(tokens.version).warnings


def test_what_breaks_the_floor_is_not_published_and_says_what_to_ask_for(tokens: Charge) -> None:
    change_charge(tokens, rows=[row("0.000003", "acme/gpt", "input"), row("0.000009", "acme/gpt", "output"), row("1")])
    with pytest.raises(Refused) as refused:
        publish(tokens.version)
    [fault] = refused.value.faults
    assert (fault.code, fault.field) == ("margin_below_floor", "charges.tokens.rows.1.unit_price")
    assert fault.message == (
        "Charge “Tokens”: row 2 sells model = acme/gpt, token_type = output at 9 USD per 1,000,000 token, which costs"
        " 8: ask for 9.6 or more, the cost and 20 %."
    )
    change_charge(tokens, rows=[row("0.000003", "acme/gpt", "input"), row("0.0000096", "acme/gpt", "output"), row("1")])
    assert publish(tokens.version).status == "published"


def test_a_lower_margin_by_cost_breaks_the_floor_too(tokens: Charge) -> None:
    set_rows(tokens, None, [DraftRow({"model": "acme/gpt"}, Price(Model.COST_PLUS, percent=D("19.99")))])
    assert [fault.code for fault in review(tokens.version).faults] == ["margin_below_floor"] * 2
    set_rows(tokens, None, [DraftRow({"model": "acme/gpt"}, Price(Model.COST_PLUS, percent=D(20)))])
    assert review(tokens.version).faults == []


def faults(charge: Charge, price: Price, **match: str) -> list[str]:
    """What refuses to publish gpt's input at a price."""
    set_rows(charge, None, [DraftRow({"model": "acme/gpt", "token_type": "input", **match}, price)])
    assert {fault.code for fault in review(charge.version).faults} <= {"margin_below_floor"}
    return [fault.message.removeprefix("Charge “Tokens”: ") for fault in review(charge.version).faults]


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (Price(Model.STAIRSTEP, tiers=(Tier(D(10), flat_price=D(9)), Tier(None, flat_price=D("0.01")))), "tiers"),
        (Price(Model.FLAT, unit_price=D("0.01")), "unit_price"),
    ],
)
def test_one_amount_for_any_quantity_breaks_the_floor(tokens: Charge, price: Price, field: str) -> None:
    """Whoever uses 6,000 tokens pays less than the 0.012 that they cost; unless they cost nothing."""
    [told] = faults(tokens, price)
    assert told == (
        "row 1 sells any quantity of model = acme/gpt, token_type = input for one amount, and 1,000,000 token cost 2"
        " USD: whoever uses enough pays less than that. Give a unit a price."
    )
    assert [each.field for each in review(tokens.version).faults] == [f"charges.tokens.rows.0.{field}"]
    own("0", name="acme/gpt", **SINCE)
    assert faults(tokens, price) == []


MILLION = D(1_000_000)


@pytest.mark.parametrize(
    ("model", "prices", "within", "tier"),
    [
        (Model.GRADUATED, ("3", "4", "0.5"), "above 5,000,000", 2),
        (Model.VOLUME, ("3", "0.5", "4"), "above 1,000,000 and up to 5,000,000", 1),
        (Model.GRADUATED, ("0.5", "3", "0.5"), "up to 1,000,000", 0),
    ],
)
def test_the_tier_that_sells_too_low_is_named(
    tokens: Charge, model: Model, prices: tuple[str, ...], within: str, tier: int
) -> None:
    """0.5 USD a million, at a cost of 2, is the price of one tier alone."""
    bounds = (MILLION, 5 * MILLION, None)
    tiers = tuple(Tier(bound, D(price) / MILLION) for bound, price in zip(bounds, prices, strict=True))
    [told] = faults(tokens, Price(model, tiers=tiers))
    assert told == (
        f"row 1 sells model = acme/gpt, token_type = input at 0.5 USD per 1,000,000 token {within}, which costs 2:"
        " ask for 2.4 or more, the cost and 20 %."
    )
    [fault] = review(tokens.version).faults
    assert fault.field == f"charges.tokens.rows.0.tiers.{tier}.unit_price"


def test_a_tier_for_every_quantity_has_no_bounds(tokens: Charge) -> None:
    [told] = faults(tokens, Price(Model.GRADUATED, tiers=(Tier(None, D("0.0000005")),)))
    assert "at 0.5 USD per 1,000,000 token, which costs 2" in told


def test_a_percentage_is_the_price_of_a_unit(tokens: Charge) -> None:
    assert len(faults(tokens, Price(Model.PERCENTAGE, percent=D(0)))) == 1
    assert len(faults(tokens, Price(Model.PERCENTAGE, percent=D("0.000239")))) == 1
    assert faults(tokens, Price(Model.PERCENTAGE, percent=D("0.00024"))) == []


def test_a_fixed_fee_for_each_event_is_said_to_be_compared_with_nothing(tokens: Charge) -> None:
    assert faults(tokens, Price(Model.PERCENTAGE, percent=D(0), fixed=D("0.01"))) == []
    [told] = [each for each in review(tokens.version).warnings if "floor" in each]
    assert told == (
        "The margin floor compares 1 of 1 row of “Tokens” with nothing: they have a fixed fee for each event (model ="
        " acme/gpt, token_type = input), and what a unit comes to goes by how many it has."
    )


THREE = per_unit(D("0.000003"))


def test_the_floor_sees_costs_that_are_recorded_to_come(tokens: Charge) -> None:
    """Ten times as high in two hours; also one that is hidden until an own cost ends."""
    with time_machine.travel(utc(2026, 5, 20, 9, 40)):
        assert faults(tokens, THREE) == []
        own("0.00002", name="acme/gpt", effective_from=utc(2026, 5, 20, 12))
        [told] = faults(tokens, THREE)
        assert "which costs 20 from 2026-05-20 12:00 UTC on: ask for 24 or more" in told
        own("0.000001", name="acme/gpt", effective_from=utc(2026, 5, 20, 12))
        assert faults(tokens, THREE) == []


def test_the_floor_sees_the_package_when_an_own_cost_is_to_end(tokens: Charge) -> None:
    read(gpt=cost(input_mtok="5"))
    with time_machine.travel(utc(2026, 5, 20, 9)):
        assert faults(tokens, THREE) == []
        own(None, name="acme/gpt", effective_from=utc(2026, 6, 1))
        [told] = faults(tokens, THREE)
        assert "which costs 5 from 2026-06-01 00:00 UTC on: ask for 6 or more" in told


@pytest.mark.parametrize("hour", [0, 1, 2, 13])
def test_the_hour_of_the_click_decides_nothing(tokens: Charge, hour: int) -> None:
    """10 USD, and 1 from one to two in the night; then 1, and 10 in that hour."""
    night = {"hours": Hours(1, 2), "name": "acme/gpt", **SINCE}
    own("0.00001", name="acme/gpt", **SINCE)
    own("0.000001", **night)
    with time_machine.travel(utc(2026, 5, 20, hour, 30)):
        [told] = faults(tokens, THREE)
        assert "which costs 10: ask for 12 or more" in told
        own("0.000001", name="acme/gpt", **SINCE)
        own("0.00001", **night)
        [told] = faults(tokens, THREE)
        assert "which costs 10 at 01:00–02:00 UTC: ask for 12 or more" in told


def test_the_floor_sees_the_cost_of_the_largest_requests_that_are_priced_alike(tokens: Charge) -> None:
    """gpt costs 4 above 200,000 and 6 above 400,000 input tokens."""
    own("0.000004", name="acme/gpt", above=200_000, **SINCE)
    own("0.000006", name="acme/gpt", above=400_000, **SINCE)
    assert faults(tokens, per_unit(D("0.0000072"))) == []
    [told] = faults(tokens, per_unit(D("0.0000071")))
    assert "which costs 6 above 400,000 input tokens: ask for 7.2 or more" in told
    [told] = faults(tokens, Price(Model.COST_PLUS, percent=D(20)))
    assert "at 2.4 USD per 1,000,000 token, which costs 6 above 400,000 input tokens" in told


@pytest.mark.parametrize(
    ("band", "costs"),
    [("0-100000", "2"), ("100000-400000", "4 above 200,000 input tokens"), ("400000+", "6")],
)
def test_a_band_bounds_the_requests_that_are_priced_alike(db: None, band: str, costs: str) -> None:
    for above, dollars in ((0, "2"), (200_000, "4"), (400_000, "6")):
        own(f"0.00000{dollars}", name="acme/gpt", above=above, **SINCE)
    meter = define_meter(
        code="sized", name="Sized", event_type="llm", aggregation="sum", unit="token", values=[("", "n")],
        dimensions=[("model", "model")], bands=[("size", ["n"], [100_000, 400_000])],
    )  # fmt: skip
    version = draft_version(create_plan(code="p", name="Plan", margin_floor=D(0)))
    charge = add_usage_charge(
        version, meter=meter, code="sized", name="Sized", product=making.product(), cost_model="model",
        cost_context="size", rows=[({"model": "acme/gpt", "size": band}, D("0.0000001"))],
    )  # fmt: skip
    [fault] = review(charge.version).faults
    assert f"which costs {costs}: ask for" in fault.message


def test_a_preview_is_made_of_the_cost_of_this_hour(tokens: Charge) -> None:
    own("0.00002", name="acme/gpt", effective_from=clock.now() + timedelta(days=1))
    by_cost = DraftRow({"model": "acme/gpt", "token_type": "input"}, Price(Model.COST_PLUS, percent=D(20)))
    assert [each.cost for each in margins_now(tokens, [by_cost])] == [D("0.000002")]


def test_costs_are_asked_in_as_many_queries_for_many_rows(tokens: Charge) -> None:
    def asked(count: int) -> int:
        row_margins(tokens, [])
        models = [f"acme/m-{number}" for number in range(count)]
        for model in models:
            own("0.000002", name=model, effective_from=utc(2026, 5, 1))
        names()
        with CaptureQueriesContext(connection) as captured:
            found = row_margins(tokens, [DraftRow({"model": model}, THREE) for model in models])
        assert len(found) == count
        return len(captured)

    assert asked(2) == asked(20)


def test_without_a_floor_nothing_is_asked(tokens: Charge) -> None:
    plan = tokens.version.plan
    plan.margin_floor = None
    change_plan(plan)
    change_charge(tokens, rows=[row("0")])
    assert publish(tokens.version).status == "published"


def test_what_the_floor_does_not_see_is_said(tokens: Charge) -> None:
    change_charge(tokens, rows=[row("1")])
    calls = making.usage(tokens.version, making.calls(), [({}, D(1))], code="calls")
    more = making.usage(tokens.version, making.tokens("more"), [({}, D(1))], code="more")
    euro = set_price_list(tokens.version, "EUR")
    for charge in (tokens, calls, more):
        set_rows(charge, euro, [DraftRow({}, per_unit(D(1)))])
    why = "no usage so far is for 1 of them (everything (*))"
    assert review(tokens.version).warnings[:4] == [
        "The margin floor does not see the prices of “Tokens” in EUR: costs are in USD.",
        f"The margin floor compares 1 of 1 row of “Tokens” with nothing: {why}.",
        "The margin floor does not see “Calls”: its meter tells no models apart, so no cost is known.",
        "The margin floor does not see “More”: say which of its dimensions holds the model.",
    ]


def test_the_floor_holds_for_a_price_list_in_the_currency_of_costs(tokens: Charge) -> None:
    """A plan in euros that is sold in dollars, too, does not get around it."""
    change_version(tokens.version, currency="EUR")
    change_charge(tokens, rows=[row("0.000001", "acme/gpt", "input")])
    dollars = set_price_list(tokens.version, "USD")
    set_rows(tokens, dollars, [DraftRow({"model": "acme/gpt", "token_type": "input"}, per_unit(D("0.0000023")))])
    found = review(tokens.version)
    assert [(each.code, each.field) for each in found.faults] == [
        ("margin_below_floor", "charges.tokens.lists.USD.rows.0.unit_price")
    ]
    assert "in EUR: costs are in USD" in found.warnings[0]
    set_rows(tokens, dollars, [DraftRow({"model": "acme/gpt", "token_type": "input"}, per_unit(D("0.0000024")))])
    assert review(tokens.version).faults == []


def test_prices_in_credits_are_not_compared_with_dollars(tokens: Charge) -> None:
    """0.000001 credits of a token are no dollars: neither the floor nor the lint judges them."""
    plan = tokens.version.plan
    plan.consumption = "credits"
    change_plan(plan)
    change_version(tokens.version, when_empty="block")
    change_charge(tokens, rows=[row("0.000001", "acme/gpt", "input")])
    found = review(tokens.version)
    assert found.faults == []
    assert "The margin floor does not see “Tokens”: it is priced in credits, and costs are in USD." in found.warnings
    assert not any("which costs" in each for each in found.warnings)
