"""Rows for what was really used, 5,000 rows, small windows and hostile names; the scripts' own arithmetic."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from billing_site.foundation import clock
from billing_site.foundation.money import EXACT, plain, round_to
from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.compact import to_text
from catalog.pricing.documents import to_json
from catalog.pricing.price import Model, Price
from catalog.versions.charging import drafted
from catalog.versions.publishing import set_price_list, set_rows
from meters.definitions.metering import define_meter
from tests.browser.grid import HOSTILE, NAME, PRICE, Grid, pasted, stored
from tests.browser.visiting import PHONE, Operator
from tests.catalog import making
from tests.catalog.pricing_texts import prices
from tests.meters.making import event, send

pytestmark = pytest.mark.browser

D = Decimal


def test_rows_are_added_for_what_was_really_used(
    operator: Operator, charge: Charge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 4, 15, tzinfo=UTC))
    set_rows(charge, None, drafted([({"model": "model-a"}, D(1)), ({}, D(2))]))
    used = [("model-a", 700), ("model-c", 200), (HOSTILE["markup"], 100)]
    send(
        *(
            event(f"u{number}", properties={"model": model, "input_tokens": tokens})
            for number, (model, tokens) in enumerate(used)
        )
    )
    grid = Grid(operator).open(charge)
    grid.found("30 % of the usage of March 2026 hits the default row, 2.")
    grid.do("addUsed")
    dialog = grid.page.locator("dialog")
    expect(dialog.locator("tbody tr")).to_have_count(2)
    expect(dialog.locator("tbody tr").first).to_contain_text("model-cinput20 %default row")
    expect(dialog.locator("tbody tr").last).to_contain_text(HOSTILE["markup"])
    dialog.get_by_role("button", name="Add rows for these").click()
    grid.counts("4 rows")
    assert [line[1:] for line in grid.cells()] == [
        ["model-a", "*", "Per unit", "1"],
        ["model-c", "input", "Per unit", ""],
        [HOSTILE["markup"], "input", "Per unit", ""],
        ["*", "*", "Per unit", "2"],
    ]


def test_a_month_without_usage_is_no_month_that_is_priced(
    operator: Operator, charge: Charge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 31, 23, tzinfo=UTC))
    set_rows(charge, None, drafted([({}, D(2))]))
    grid = Grid(operator).open(charge)
    expect(grid.page.locator("[data-part=findings]")).to_contain_text("There was no usage in February 2026.")
    dialog = grid.page.locator("dialog")
    grid.do("addUsed")
    expect(dialog).to_contain_text("There was no usage in February 2026.")
    dialog.get_by_role("button", name="Look at this month so far").click()
    expect(dialog).to_contain_text("There was no usage in March 2026 so far.")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    send(event(properties={"model": "model-c", "input_tokens": 300}))
    grid.do("addUsed")
    dialog.get_by_role("button", name="Look at this month so far").click()
    expect(dialog.locator("thead")).to_contain_text("of March 2026 so far")
    expect(dialog.locator("tbody tr")).to_have_text(["model-cinput100 %default row"])
    dialog.get_by_role("button", name="Add rows for these").click()
    grid.counts("2 rows")
    assert grid.cells()[0][1:] == ["model-c", "input", "Per unit", ""]


@pytest.mark.parametrize("size", [PHONE, (820, 1180)], ids=["phone", "tablet"])
def test_no_name_breaks_the_grid_in_a_small_window(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    meter = define_meter(
        code="w" * 100,
        name="W" * 200,
        event_type="x",
        aggregation="count",
        unit="U" * 50,
        dimensions=[("d" * 100, "p"), ("price", "q"), ("a.b", "r")],
    )
    charge = making.usage(making.draft(), meter, [({"d" * 100: each}, D(1)) for each in HOSTILE.values()])
    set_price_list(charge.version, "EUR")
    operator = signed_in(live_server.url, size)
    grid = Grid(operator).open(charge)
    assert grid.column(1)[:3] == list(HOSTILE.values())[:3]
    holds, window = operator.widths()
    assert holds <= window
    grid.type(1, 2, "5")
    grid.type(1, 3, "6")
    grid.choose(1, 5)
    grid.page.locator("[data-part=panel]").get_by_label("Price model").select_option("percentage")
    grid.page.locator("[data-name=percent]").fill("3")
    grid.page.locator("[data-name=percent]").blur()
    grid.save()
    assert stored(charge)[0] == DraftRow(
        {"d" * 100: HOSTILE["markup"], "price": "5", "a.b": "6"}, Price(Model.PERCENTAGE, percent=D(3))
    )
    holds, window = operator.widths()
    assert holds <= window


def test_5000_rows_stay_fluid(operator: Operator, charge: Charge) -> None:
    rows = [({"model": f"model-{each:04d}", "token_type": "input"}, D(each + 1) / 10**6) for each in range(5_000)]
    set_rows(charge, None, drafted(rows))
    begun = perf_counter()
    grid = Grid(operator).open(charge)
    loaded = perf_counter() - begun
    grid.counts("5,000 rows")
    assert grid.page.locator(".tabulator-row").count() < 200
    idle, scrolling = frame(grid, 0), frame(grid, 400)
    # The rows are looked at: the page sends them, waits, and marks what was found, while somebody scrolls.
    with grid.page.expect_request("**/grid/check/"):
        grid.type(3, PRICE, "9")
    looked_at = frame(grid, 400, until="The price of row 3 ")
    grid.found("The price of row 3 (model = model-0002, token_type = input) is")
    grid.choose(3, NAME)
    begun = perf_counter()
    grid.paste(pasted(500))
    grid.said("500 rows are pasted.")
    took = perf_counter() - begun
    begun = perf_counter()
    grid.do("save")
    grid.said("Saved.", seconds=60)
    saved = perf_counter() - begun
    figures = f"loaded {loaded:.1f} s, 500 pasted {took:.1f} s, saved {saved:.1f} s"
    figures += f", a frame {idle:.0f} ms, of scrolling {scrolling:.0f} ms, looked at meanwhile {looked_at:.0f} ms"
    print(f"5,000 rows: {figures}")  # noqa: T201
    assert (loaded < 20, took < 10, saved < 30) == (True, True, True)
    assert scrolling < 15 * idle, figures
    assert looked_at < 5 * scrolling, figures


def frame(grid: Grid, by: int, until: str = "") -> float:
    """How many ms a frame takes in the middle, while rows are scrolled by so many pixels at each.

    `until`: and for as long as the findings do not say this.
    """
    took: list[float] = grid.page.evaluate(
        """async ([by, until]) => {
            const holder = document.querySelector(".tabulator-tableholder"), took = [];
            const known = () => document.querySelector("[data-part=findings]").textContent.includes(until);
            for (let step = 0; step < 20 || (step < 600 && until && !known()); step += 1) {
                const begun = performance.now();
                holder.scrollTop += by;
                await new Promise(requestAnimationFrame);
                took.push(performance.now() - begun);
            }
            holder.scrollTop = 0;
            await new Promise(requestAnimationFrame);
            return took.sort((a, b) => a - b);
        }""",
        [by, until],
    )
    return took[len(took) // 2]


numbers = st.decimals(-(10**15), 10**15, allow_nan=False, places=15)


# The first example is all zeros.
@settings(
    max_examples=8, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(numbers, numbers, st.integers(-12, 12)), min_size=200, max_size=200),
    st.lists(st.tuples(prices, st.sampled_from([0, 3, 6])), min_size=200, max_size=200),
)
def test_numbers_and_prices_are_texts_as_the_server_has_them(
    grid: Grid, pairs: list[tuple[D, D, int]], priced: list[tuple[Price, int]]
) -> None:
    given_ = [[str(one), str(other), by] for one, other, by in pairs]
    found = grid.page.evaluate(
        """async (given) => {
            const { canonical, shift, multiply, round } = await import("/static/catalog/grid/decimals.js");
            return given.map(([a, b, by]) => [canonical(a), shift(a, by), multiply(a, b), round(a, 3)]);
        }""",
        given_,
    )
    assert found == [
        [plain(a), plain(EXACT.scaleb(a, D(by))), plain(EXACT.multiply(a, b)), plain(round_to(a, 3))]
        for a, b, by in pairs
    ]
    texts = grid.page.evaluate(
        """async (given) => {
            const { textOf } = await import("/static/catalog/grid/prices.js");
            return given.map(([price, scale]) => textOf(price, scale));
        }""",
        [[json.loads(json.dumps(to_json(price))), scale] for price, scale in priced],
    )
    assert texts == [to_text(price, scale) for price, scale in priced]
