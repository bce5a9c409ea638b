"""What a model costs at an instant: figures by hand, and against a naive look-up of any rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, product

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.pricing.model_costs import ALWAYS, Action, CostRow, Hours, ModelCosts, Source
from catalog.pricing.token_types import TOKEN_TYPES, chain, with_modality

_ids = count(1)
RECORDED = datetime(2026, 1, 1, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def row(
    cost: str | None,
    effective_from: datetime = ALWAYS,
    code: str = "input",
    above: int = 0,
    hours: Hours | None = None,
    source: Source = Source.PACKAGE,
    action: Action | None = None,
) -> CostRow:
    number = next(_ids)
    action = action or (Action.ENDS if cost is None else Action.COSTS)
    amount = None if cost is None else Decimal(cost)
    recorded = RECORDED + timedelta(minutes=number)
    return CostRow(number, code, above, hours, source, action, amount, effective_from, recorded)


def own(cost: str | None, effective_from: datetime = ALWAYS, **more: object) -> CostRow:
    return row(cost, effective_from, source=Source.OWN, **more)  # type: ignore[arg-type]


def costs(*rows: CostRow) -> ModelCosts:
    return ModelCosts("acme", "acme-1", rows)


def at(costs: ModelCosts, instant: datetime, code: str = "input", above: int = 0) -> str | None:
    found = costs.cost_at(instant, code, above)
    return None if found is None else str(found.amount)


MARCH = utc(2026, 3, 1)
NOON = utc(2026, 3, 10, 12)


def test_a_later_row_takes_over_from_its_hour_on() -> None:
    model = costs(row("1"), row("2", NOON))
    assert at(model, NOON - timedelta(microseconds=1)) == "1"
    assert at(model, NOON) == "2"
    assert model.cuts(MARCH, utc(2026, 4, 1)) == (NOON,)


def test_before_anything_is_known_there_is_no_cost() -> None:
    model = costs(row("1", NOON))
    assert at(model, NOON - timedelta(hours=1)) is None
    assert at(model, NOON) == "1"
    assert at(costs(), NOON) is None
    assert model.cuts(NOON, utc(2026, 4, 1)) == ()


def test_the_one_recorded_last_holds_for_an_hour() -> None:
    assert at(costs(row("1", NOON), row("2", NOON)), NOON) == "2"


def test_an_entry_that_was_withdrawn_never_was() -> None:
    model = costs(own("1", MARCH), own("9", NOON), own(None, NOON, action=Action.WITHDRAWN))
    assert at(model, NOON) == "1"
    assert model.cuts(MARCH, utc(2026, 4, 1)) == ()
    again = costs(*model.rows, own("3", NOON))
    assert at(again, NOON) == "3"


def test_an_entry_that_ends_leaves_it_to_the_package() -> None:
    model = costs(row("1"), own("0.5", MARCH), own(None, NOON))
    assert (at(model, MARCH), at(model, NOON)) == ("0.5", "1")
    assert at(costs(row("1", MARCH), row(None, NOON)), NOON) is None


def test_own_goes_before_the_package_whatever_it_says_later() -> None:
    assert at(costs(own("0.5", MARCH), row("1"), row("2", NOON)), NOON) == "0.5"


def test_own_goes_before_the_package_for_its_threshold_alone() -> None:
    model = costs(row("1"), row("2", above=200_000), own("0.5", MARCH))
    assert (at(model, NOON), at(model, NOON, above=199_999), at(model, NOON, above=200_000)) == ("0.5", "0.5", "2")


def test_the_highest_threshold_below_decides() -> None:
    model = costs(row("1"), row("2", above=32_000), row("4", above=128_000), row(None, NOON, above=128_000))
    found = [at(model, MARCH, above=size) for size in (0, 31_999, 32_000, 127_999, 128_000, 10**9)]
    assert found == ["1", "1", "2", "2", "4", "4"]
    assert at(model, NOON, above=128_000) == "2"
    assert model.thresholds(MARCH) == (32_000, 128_000)
    assert model.thresholds(NOON) == (32_000,)


def test_whether_a_cost_goes_by_the_size_of_a_request() -> None:
    model = costs(row("1"), row("2", NOON, above=200_000), row("4", code="output"), row("4", code="output", above=9))
    assert [model.steps_at(instant, "input") for instant in (MARCH, NOON)] == [False, True]
    assert model.steps_at(NOON, "cache_read")  # which falls back to input
    assert not model.steps_at(NOON, "output")
    assert not costs().steps_at(NOON, "input")


def test_hours_of_the_day_go_before_the_whole_day() -> None:
    night = Hours(22, 6)
    model = costs(row("2"), row("1", hours=night))
    assert [at(model, utc(2026, 3, 10, hour)) for hour in (21, 22, 0, 5, 6)] == ["2", "1", "1", "1", "2"]
    assert model.cuts(utc(2026, 3, 10), utc(2026, 3, 11)) == (utc(2026, 3, 10, 6), utc(2026, 3, 10, 22))
    # A period that begins within an hour, at a place whose clocks are half an hour off.
    assert model.cuts(utc(2026, 3, 10, 21, 30), utc(2026, 3, 10, 22, 30)) == (utc(2026, 3, 10, 22),)
    assert at(costs(*model.rows, own("9")), utc(2026, 3, 10, 23)) == "9"


def test_of_hours_that_overlap_those_recorded_last_hold() -> None:
    model = costs(own("1", hours=Hours(0, 12)), own("2", hours=Hours(6, 18)), own("3"))
    assert [at(model, utc(2026, 3, 10, hour)) for hour in (5, 6, 12, 18)] == ["1", "2", "2", "3"]


def test_what_has_no_cost_of_its_own_is_billed_as_what_it_falls_back_to() -> None:
    model = costs(row("1"), row("4", code="output"), row("0.1", code="cache_read"))
    assert at(model, NOON, "reasoning") == "4"
    assert at(model, NOON, "cache_read_audio") == "0.1"
    assert at(model, NOON, "cache_write_1h") == "1"
    assert at(model, NOON, "web_searches") is None
    found = model.cost_at(NOON, "reasoning_audio")
    assert found is not None
    assert found.row.token_type == "output"


def test_cuts_of_some_token_types_alone() -> None:
    model = costs(row("1"), row("2", NOON), row("4", code="output"), row("5", MARCH, code="output"))
    before, after = utc(2026, 2, 1), utc(2026, 4, 1)
    assert model.cuts(before, after) == (MARCH, NOON)
    assert model.cuts(before, after, "reasoning") == (MARCH,)
    assert model.cuts(before, after, "web_searches") == ()


def test_a_change_to_the_same_cost_cuts_nothing() -> None:
    assert costs(row("1.0"), row("1", NOON)).cuts(MARCH, utc(2026, 4, 1)) == ()


def test_current_and_in_force() -> None:
    first, second, wrong = row("1"), own("2", MARCH), own("3", NOON)
    withdrawal = own(None, NOON, action=Action.WITHDRAWN)
    model = costs(first, second, wrong, withdrawal)
    assert model.current(NOON) == {("input", 0): second}
    assert model.current(utc(2026, 2, 1)) == {("input", 0): first}
    assert costs(row(None)).current(NOON) == {}
    assert model.in_force() == {first.id, second.id}
    assert model.standing(NOON) == [first, second]
    assert costs(row(None)).standing(NOON) == []


def test_the_vocabulary() -> None:
    assert chain("reasoning") == ("reasoning", "output")
    assert chain("cache_write_1h") == ("cache_write_1h", "cache_write", "input")
    assert chain(with_modality("cache_read", "audio")) == ("cache_read_audio", "cache_read", "input_audio", "input")
    assert chain("input_audio_hours") == ("input_audio_hours", "audio_hours")
    assert TOKEN_TYPES["input"].per_text == "per 1,000,000 tokens"
    assert TOKEN_TYPES["audio_hours"].per_text == "per hour"
    assert TOKEN_TYPES["web_searches"].per_text == "per 1,000 searches"
    assert all(each in TOKEN_TYPES for kind in TOKEN_TYPES for each in chain(kind))


def test_hours_are_shown() -> None:
    assert str(Hours(22, 6)) == "22:00–06:00 UTC"


# Against a look-up that goes through all rows for every question.

CODES = ("input", "cache_read", "output")
START = utc(2026, 3, 1, 5, 30)
END = utc(2026, 3, 4)
some_rows = st.lists(
    st.builds(
        CostRow,
        id=st.integers(1, 10**6),
        token_type=st.sampled_from(CODES),
        above=st.sampled_from([0, 0, 100, 200]),
        hours=st.none() | st.sampled_from([Hours(0, 8), Hours(20, 4), Hours(7, 9)]),
        source=st.sampled_from(Source),
        action=st.just(Action.COSTS),
        cost=st.sampled_from([Decimal(1), Decimal(2), Decimal("0.5")]),
        effective_from=st.integers(-40, 80).map(lambda hours: utc(2026, 3, 1) + timedelta(hours=hours)),
        recorded_at=st.integers(0, 3).map(lambda hours: RECORDED + timedelta(hours=hours)),
    ),
    max_size=14,
    unique_by=lambda row: row.id,
)
actions = st.lists(
    st.sampled_from([Action.COSTS, Action.COSTS, Action.ENDS, Action.WITHDRAWN]), min_size=14, max_size=14
)


def naive(rows: Sequence[CostRow], instant: datetime, code: str, above: int) -> Decimal | None:
    """Each type as which it may be billed, each threshold from above, own rows first, those of certain hours first."""
    forms = {"reasoning": ("output",), "cache_read": ("cache_read", "input")}.get(code, (code,))
    sizes = sorted({row.above for row in rows if row.above <= above}, reverse=True)
    for form, size, source, by_hours in product(forms, sizes, (Source.OWN, Source.PACKAGE), (True, False)):
        fitting = [
            row
            for row in rows
            if (row.token_type, row.above, row.source, row.hours is not None) == (form, size, source, by_hours)
            and (row.hours is None or instant.hour in around(row.hours))
        ]
        found = [held for hours in {row.hours for row in fitting} if (held := naive_series(fitting, hours, instant))]
        if found:
            return max(found, key=lambda row: (row.recorded_at, row.id)).cost
    return None


def around(hours: Hours) -> list[int]:
    return [(hours.start + step) % 24 for step in range((hours.end - hours.start) % 24)]


def naive_series(rows: Sequence[CostRow], hours: Hours | None, instant: datetime) -> CostRow | None:
    told: dict[datetime, CostRow] = {}
    for row in sorted(rows, key=lambda row: (row.recorded_at, row.id)):
        if row.hours == hours and row.effective_from <= instant:
            told[row.effective_from] = row
    left = [row for row in told.values() if row.action is not Action.WITHDRAWN]
    last = max(left, key=lambda row: row.effective_from, default=None)
    return last if last is not None and last.cost is not None else None


@given(some_rows, actions)
@settings(max_examples=150, deadline=None)
def test_any_rows_against_a_naive_look_up(rows: list[CostRow], actions: list[Action]) -> None:
    rows = [
        CostRow(**{**row.__dict__, "action": action, "cost": row.cost if action is Action.COSTS else None})
        for row, action in zip(rows, actions, strict=False)
    ]
    model = costs(*rows)
    hours = [START, *(utc(2026, 3, 1, 6) + timedelta(hours=hour) for hour in range(66))]
    places = [(code, above) for code in (*CODES, "reasoning") for above in (0, 99, 100, 250)]
    tables = [[naive(rows, hour, *place) for place in places] for hour in hours]
    for hour, table in zip(hours, tables, strict=True):
        found = [model.cost_at(hour, *place) for place in places]
        assert [each and each.amount for each in found] == table
    changed = {hour for hour, before, after in zip(hours[1:], tables, tables[1:], strict=False) if before != after}
    cuts = model.cuts(START, END)
    # Nothing changes but at a cut; a cut may be of a cost that another one hides.
    assert changed <= set(cuts)
    assert list(cuts) == sorted(set(cuts))
    assert all(START < cut < END and cut in hours for cut in cuts)
