"""What is to be recorded of what a source states, and that it is the package's own price at every hour."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.pricing.cost_changes import Change, Condition, Series, Timeline, changes, timelines
from catalog.pricing.model_costs import ALWAYS, Hours

HOUR = datetime(2026, 5, 20, 14, tzinfo=UTC)
INPUT = ("input", 0, None)
Recorded = dict[Series, dict[datetime, Decimal | None]]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def prices(**found: str) -> dict[tuple[str, int], Decimal]:
    return {(code, 0): Decimal(cost) for code, cost in found.items()}


def line(*steps: tuple[datetime | None, str | None]) -> Timeline:
    return tuple((start, None if cost is None else Decimal(cost)) for start, cost in steps)


def recorded(**steps: str) -> dict[datetime, Decimal | None]:
    """By the day of May or `always`."""
    return {ALWAYS if day == "always" else utc(2026, 5, int(day[1:])): Decimal(cost) for day, cost in steps.items()}


def new(timeline: Timeline, rows: dict[datetime, Decimal | None] | None = None) -> list[tuple[datetime, str | None]]:
    found = changes({INPUT: timeline}, {INPUT: rows} if rows else {}, HOUR, is_new=rows is None)
    return [(each.effective_from, None if each.cost is None else str(each.cost)) for each in found]


# Conditions as series.


def test_one_price_is_one_series() -> None:
    assert timelines([Condition({("input", 0): Decimal(1), ("input", 200_000): Decimal(2)})]) == {
        ("input", 0, None): line((None, "1")),
        ("input", 200_000, None): line((None, "2")),
    }


def test_dates_are_steps_and_what_stays_the_same_is_none() -> None:
    told = timelines(
        [
            Condition(prices(input="1", output="4")),
            Condition(prices(input="2", output="4"), start=date(2026, 5, 1)),
            Condition(prices(input="2", output="4", cache_read="0.1"), start=date(2026, 5, 3)),
            Condition(prices(input="2", output="4"), start=date(2026, 5, 9)),
        ]
    )
    assert told == {
        ("input", 0, None): line((None, "1"), (utc(2026, 5, 1), "2")),
        ("output", 0, None): line((None, "4")),
        ("cache_read", 0, None): line((None, None), (utc(2026, 5, 3), "0.1"), (utc(2026, 5, 9), None)),
    }


def test_times_of_day_are_hours_rounded() -> None:
    peak = Condition(prices(input="2"), daily=(time(0, 30), time(16, 29)))
    assert timelines([Condition(prices(input="1")), peak]) == {
        ("input", 0, None): line((None, "1")),
        ("input", 0, Hours(1, 16)): line((None, "2")),
    }


def test_hours_past_midnight_and_two_ranges() -> None:
    told = timelines(
        [
            Condition(prices(input="1")),
            Condition(prices(input="2"), daily=(time(22), time(2))),
            Condition(prices(input="3"), daily=(time(6), time(10))),
        ]
    )
    assert told == {
        ("input", 0, None): line((None, "1")),
        ("input", 0, Hours(22, 2)): line((None, "2")),
        ("input", 0, Hours(6, 10)): line((None, "3")),
    }


def test_hours_without_a_price_of_their_own_do_not_take_the_usual_one() -> None:
    told = timelines(
        [
            Condition({**prices(input="4", cache_read="1", web_searches="9"), ("input", 200_000): Decimal(8)}),
            Condition(prices(input="2"), daily=(time(0), time(6))),
        ]
    )
    night = Hours(0, 6)
    assert {key[:2]: timeline for key, timeline in told.items() if key[2] == night} == {
        ("input", 0): line((None, "2")),
        ("input", 200_000): line((None, "2")),
        ("cache_read", 0): line((None, "2")),
        ("web_searches", 0): line((None, None)),
    }


def test_a_price_of_certain_hours_alone_is_also_the_usual_one() -> None:
    """Of conditions that do not hold the first one counts."""
    told = timelines([Condition(prices(input="2"), daily=(time(0), time(6)))])
    assert told == {("input", 0, None): line((None, "2"))}


def test_a_time_too_short_for_an_hour_is_none() -> None:
    short = Condition(prices(input="2"), daily=(time(6, 5), time(6, 25)))
    assert timelines([Condition(prices(input="1")), short]) == {("input", 0, None): line((None, "1"))}


# What is new.


def test_a_new_model_has_always_cost_what_has_no_date() -> None:
    timeline = line((None, "1"), (utc(2026, 5, 1), "2"), (utc(2026, 6, 1), "3"))
    assert new(timeline) == [(ALWAYS, "1"), (utc(2026, 5, 1), "2"), (utc(2026, 6, 1), "3")]


def test_the_same_again_is_nothing() -> None:
    assert new(line((None, "1"), (utc(2026, 5, 1), "2")), recorded(always="1", d1="2")) == []


def test_a_change_without_a_date_holds_from_this_hour() -> None:
    assert new(line((None, "2")), recorded(always="1")) == [(HOUR, "2")]


def test_and_is_not_recorded_again_an_hour_later() -> None:
    rows = {ALWAYS: Decimal(1), utc(2026, 5, 20, 9): Decimal(2)}
    assert new(line((None, "2")), rows) == []
    assert new(line((None, "1")), rows) == [(HOUR, "1")]


def test_a_date_is_believed_also_when_it_has_passed() -> None:
    assert new(line((None, "1"), (utc(2026, 5, 10), "2")), recorded(always="1")) == [(utc(2026, 5, 10), "2")]


def test_a_dated_price_that_is_corrected_is_corrected_from_its_date() -> None:
    timeline = line((None, "1"), (utc(2026, 5, 10), "2.5"))
    assert new(timeline, recorded(always="1", d10="2")) == [(utc(2026, 5, 10), "2.5")]


def test_a_date_that_moves() -> None:
    later = line((None, "1"), (utc(2026, 5, 12), "2"))
    assert new(later, recorded(always="1", d10="2")) == []  # what was said of the time before its first date stays
    moved = line((None, "1"), (utc(2026, 6, 12), "2"))
    rows = {ALWAYS: Decimal(1), utc(2026, 6, 10): Decimal(2)}
    assert new(moved, rows) == [(utc(2026, 6, 10), "1"), (utc(2026, 6, 12), "2")]


def test_history_that_is_dropped_stays() -> None:
    assert new(line((None, "2")), recorded(always="1", d10="2")) == []


def test_a_series_that_is_stated_no_more_ends() -> None:
    assert new(line((None, None)), recorded(always="1")) == [(HOUR, None)]
    assert list(changes({}, {INPUT: recorded(always="1")}, HOUR, is_new=False)) == [Change(INPUT, HOUR, None)]


def test_a_new_series_of_a_known_model_holds_from_this_hour() -> None:
    found = changes({("cache_read", 0, None): line((None, "0.1"))}, {}, HOUR, is_new=False)
    assert [(each.series[0], each.effective_from) for each in found] == [("cache_read", HOUR)]


# The package's own semantics, hour by hour, for any conditions.

CODES = ("input", "output")
some_prices = st.dictionaries(
    st.tuples(st.sampled_from(CODES), st.just(0)), st.sampled_from([Decimal(1), Decimal(2), Decimal(3)]), max_size=2
)
some_conditions = st.lists(
    st.builds(
        Condition,
        some_prices,
        start=st.none() | st.integers(1, 25).map(lambda day: date(2026, 5, day)),
        daily=st.none() | st.tuples(st.integers(0, 23).map(time), st.integers(0, 23).map(time)),
    ).filter(lambda each: each.start is None or each.daily is None),
    min_size=1,
    max_size=5,
).filter(lambda found: found[0].daily is None)


def by_the_package(conditions: Sequence[Condition], at: datetime, code: str) -> Decimal | None:
    """The last one that is active at the instant; the first one when none is."""
    for each in reversed(conditions):
        if each.start is not None and at.date() < each.start:
            continue
        if each.daily is not None:
            start, end = each.daily
            now = at.time()
            if not (start <= now < end if start <= end else now >= start or now < end):
                continue
        return each.prices.get((code, 0))
    return conditions[0].prices.get((code, 0))


def by_rows(rows: Mapping[Series, Mapping[datetime, Decimal | None]], at: datetime, code: str) -> Decimal | None:
    found = None
    for (each, _, hours), inside in sorted(rows.items(), key=lambda item: item[0][2] is not None):
        starts = [start for start in inside if start <= at]
        if each == code and (hours is None or at.hour in hours) and starts:
            found = inside[max(starts)] if inside[max(starts)] is not None else found
    return found


def record(rows: Recorded, conditions: Sequence[Condition], hour: datetime) -> int:
    found = list(changes(timelines(conditions), rows, hour, is_new=not rows))
    for each in found:
        rows.setdefault(each.series, {})[each.effective_from] = each.cost
    return len(found)


@given(some_conditions)
@settings(max_examples=200, deadline=None)
def test_a_new_model_costs_what_the_package_says_at_every_hour(conditions: list[Condition]) -> None:
    rows: Recorded = {}
    record(rows, conditions, HOUR)
    usual = {code: any((code, 0) in each.prices for each in conditions) for code in CODES}
    for step in range(0, 31 * 24, 5):
        at = utc(2026, 5, 1) - timedelta(days=2) + timedelta(hours=step)
        for code in CODES:
            wanted = by_the_package(conditions, at, code)
            if wanted is not None or not usual[code] or all(each.daily is None for each in conditions):
                assert by_rows(rows, at, code) == wanted


@given(some_conditions, some_conditions, st.integers(0, 24 * 20))
@settings(max_examples=200, deadline=None)
def test_what_is_stated_later_holds_from_then_on_and_is_recorded_once(
    before: list[Condition], after: list[Condition], hours: int
) -> None:
    rows: Recorded = {}
    record(rows, before, HOUR - timedelta(days=10))
    known = {series: dict(inside) for series, inside in rows.items()}
    then = HOUR - timedelta(days=10) + timedelta(hours=hours)
    record(rows, after, then)
    assert record(rows, after, then) == 0
    assert record(rows, after, then + timedelta(days=3)) == 0
    fresh: Recorded = {}
    record(fresh, after, then)
    first = min((each.start for each in after if each.start is not None), default=date.max)
    for step in range(0, 12 * 24, 7):
        at = then + timedelta(hours=step)
        for code in CODES:
            assert not known or by_rows(rows, at, code) == by_rows(fresh, at, code)
    for step in range(1, 100, 7):
        at = then - timedelta(hours=step)
        if known and at.date() < first:
            assert [by_rows(rows, at, code) for code in CODES] == [by_rows(known, at, code) for code in CODES]
