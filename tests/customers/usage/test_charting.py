"""What a chart is drawn from: the leading values, the others together, each figure read for what it stands for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from customers.subscriptions import subscribing
from customers.usage import charting
from customers.usage.charting import Chart, Line, chart
from customers.usage.pages import ask
from meters.backfills import backfilling
from meters.definitions import metering
from meters.definitions.drafts import FilterDraft
from meters.models import Event, Meter
from tests.meters.making import NOON, event, send, tokens_meter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _customer() -> None:
    subscribing.create_customer(reference="acme", name="Acme")


def charted(split: str = "model", first: str = "2026-03-10", end: str = "2026-03-12", **changes: Any) -> Chart:
    asked = {"window": "day", "filters": {}, **changes}
    return chart(ask(["acme"], ["m"], first, end, asked["window"], [split] if split else [], asked["filters"]))


def quantities(line: Line | None) -> list[str | None]:
    """Of the whole, then of each window."""
    assert line is not None
    return [figure and f"{figure.quantity.normalize():f}" for figure in (line.total, *line.figures)]


def metered(aggregation: str = "sum", **changes: Any) -> None:
    value = [] if aggregation == "count" else [("", "v")]
    tokens_meter(code="m", aggregation=aggregation, values=value, label_dimension="", **changes)


def used(model: str | None, value: Any, day: int = 0, **properties: str) -> dict[str, Any]:
    given = {"v": value, **({} if model is None else {"model": model}), **properties}
    at = NOON + timedelta(days=day)
    return event(f"{model}-{value}-{day}-{properties}", timestamp=at.isoformat(), properties=given)


def eleven() -> None:
    """m01 … m11 with 10, 20 … 110 on one day, and 1 each on the next."""
    send(*(used(f"m{n:02}", 10 * n) for n in range(1, 12)))
    send(*(used(f"m{n:02}", 1, 1) for n in range(1, 12)))


def test_the_largest_by_themselves_and_the_others_together() -> None:
    metered()
    eleven()
    drawn = charted()
    assert [line.value for line in drawn.lines] == ["m11", "m10", "m09", "m08", "m07", "m06", "m05", "m04"]
    assert quantities(drawn.lines[0]) == ["111", "110", "1"]
    assert (quantities(drawn.others), drawn.other_values) == (["63", "60", "3"], 3)  # 10 + 20 + 30, and 1 each
    assert quantities(drawn.all) == ["671", "660", "11"]
    assert drawn.all.total == (Decimal(671), 22)
    assert drawn.stacks


@pytest.mark.parametrize(
    ("aggregation", "leading", "others", "everything"),
    [
        ("max", ["110", "110", "1"], ["30", "30", "1"], ["110", "110", "1"]),
        ("average", ["55.5", "110", "1"], ["10.5", "20", "1"], ["30.5", "60", "1"]),  # 63 ÷ 6, 671 ÷ 22
        ("unique_count", ["2", "1", "1"], ["4", "3", "1"], ["12", "11", "1"]),  # the 1 of all is one value
    ],
)
def test_what_cannot_be_added_up_is_read(
    aggregation: str, leading: list[str], others: list[str], everything: list[str]
) -> None:
    metered(aggregation)
    eleven()
    drawn = charted()
    line = next(line for line in drawn.lines if line.value == ("m01" if aggregation == "unique_count" else "m11"))
    assert quantities(line) == leading
    assert quantities(drawn.others) == others
    assert quantities(drawn.all) == everything
    assert not drawn.stacks


def test_one_value_more_is_no_others() -> None:
    metered()
    send(*(used(f"m{n}", n + 1) for n in range(charting.LEADING + 1)))
    drawn = charted()
    assert (len(drawn.lines), drawn.others, drawn.other_values) == (charting.LEADING + 1, None, 0)


def test_a_missing_value_is_a_line_and_no_window_is_left_out() -> None:
    metered()
    send(used(None, 5), used("", 4), used("a", 3, 1))
    drawn = charted(end="2026-03-13")
    assert [line.value for line in drawn.lines] == [None, "", "a"]
    assert [quantities(line) for line in drawn.lines] == [
        ["5", "5", None, None],
        ["4", "4", None, None],
        ["3", None, "3", None],
    ]


def test_without_a_dimension_there_is_the_whole() -> None:
    metered()
    eleven()
    drawn = charted("")
    assert (drawn.lines, drawn.others) == ((), None)
    assert quantities(drawn.all) == ["671", "660", "11"]


def test_only_some_values() -> None:
    metered(dimensions=[("model", "model"), ("team", "team")])
    send(used("a", 1, team="x"), used("a", 2, team="y"), used("b", 4, team="x"), used("c", 8))
    drawn = charted("team", filters={"model": frozenset({"a", "c"})})
    assert {line.value: quantities(line)[0] for line in drawn.lines} == {None: "8", "y": "2", "x": "1"}
    assert quantities(drawn.all)[0] == "11"


def test_a_negative_or_a_rounded_quantity_does_not_stack() -> None:
    metered(rounding=("ceil", 0))
    send(used("a", "0.5"), used("b", "0.5"))
    assert not charted().stacks  # 1 + 1, but 1 together
    assert quantities(charted().all)[0] == "1"


def test_what_was_taken_back_does_not_stack() -> None:
    metered()
    send(used("a", 5), used("b", -2))
    assert not charted().stacks


def test_windows_are_of_the_customers_calendar() -> None:
    customer = subscribing.create_customer(reference="nepal", name="N", timezone="Asia/Kathmandu")
    subscribing.add_alias(customer, "kathmandu")
    metered()
    midnight = "2026-03-09T18:15:00Z"  # of the 10th in Kathmandu
    send(event("a", customer="nepal", timestamp=midnight, properties={"v": 1}))
    send(event("b", customer="kathmandu", timestamp="2026-03-09T18:14:59Z", properties={"v": 2}))
    drawn = chart(ask(["kathmandu"], ["m"], "2026-03-09", "2026-03-11", "day"))
    assert quantities(drawn.all) == ["3", "2", "1"]


@pytest.mark.parametrize(("end", "number"), [("2026-03-25", 744), ("2026-03-26", None)])
def test_no_more_windows_than_a_screen_shows(end: str, number: int | None) -> None:
    """31 days of hours, clocks unchanged in UTC."""
    metered()
    if number is None:
        with pytest.raises(Refused, match="at most 750 windows"):
            charted(first="2026-02-22", end=end, window="hour")
    else:
        assert len(charted(first="2026-02-22", end=end, window="hour").windows) == number


def test_no_more_series_than_are_read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    metered()
    eleven()
    monkeypatch.setattr(charting, "READINGS_AT_MOST", 22)
    charted()
    monkeypatch.setattr(charting, "READINGS_AT_MOST", 21)
    with pytest.raises(Refused, match="more than 10 combinations"):
        charted()


def test_series_of_before_the_meter_was_changed_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    metered()
    eleven()
    meter = Meter.objects.get()
    metering.change(meter, replace(metering.draft_of(meter), filters=(FilterDraft("model", "one_of", ("m01",)),)))
    backfilling.run(meter)
    monkeypatch.setattr(charting, "READINGS_AT_MOST", 2)
    assert quantities(charted().all) == ["11", "10", "1"]


@pytest.mark.parametrize("aggregation", ["sum", "unique_count", "latest"])
def test_it_costs_the_same_whatever_there_is(aggregation: str) -> None:
    metered(aggregation)

    def queries(read: Callable[[], Chart]) -> int:
        with CaptureQueriesContext(connection) as captured:
            read()
        return len(captured)

    send(used("a", 5))
    few = queries(charted)
    eleven()
    assert queries(lambda: charted(first="2026-02-10", end="2026-03-12", window="hour")) <= few + 1
    assert few <= 18
    assert Event.objects.count() == 23
