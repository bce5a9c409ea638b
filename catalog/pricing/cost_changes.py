"""What is to be recorded, so that the catalogue says what a source says now. Pure.

A source states each series (token type, threshold, hours of the day) as a timeline: a cost without a date, then others
from dates on. A date is believed, also one that has passed. What is stated without a date has held for ever when the
model is new; later it is a change that nobody has dated, and takes effect from the hour in which it was read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import groupby

from catalog.pricing.model_costs import ALWAYS, Hours
from catalog.pricing.token_types import chain

Place = tuple[str, int]
Series = tuple[str, int, Hours | None]
Prices = Mapping[Place, Decimal]
# A cost, or none, from its start on until the next one's; the first start is None.
Timeline = tuple[tuple[datetime | None, Decimal | None], ...]
# An hour is judged at its last instant before the half, so that bounds at half past the hour are rounded up.
_BEFORE_HALF = time(0, 29, 59, 999_999)


@dataclass(frozen=True)
class Condition:
    """Prices (USD for one unit) that hold from a day on, at certain times of every day, or whenever nothing else does.

    Of several that hold, the last one counts; when none does, the first.
    """

    prices: Prices
    start: date | None = None
    daily: tuple[time, time] | None = None

    def holds(self, segment: date | None, hour: int) -> bool:
        if self.start is not None:
            return segment is not None and segment >= self.start
        if self.daily is None:
            return True
        start, end = self.daily
        at = _BEFORE_HALF.replace(hour=hour)
        return start <= at < end if start <= end else at >= start or at < end


@dataclass(frozen=True)
class Change:
    """A row to record. `cost` None: the series ends."""

    series: Series
    effective_from: datetime
    cost: Decimal | None


def timelines(conditions: Sequence[Condition]) -> dict[Series, Timeline]:
    """A model's conditions as series: of all day, and where the price goes by the clock also of those hours."""
    segments = [None, *sorted({each.start for each in conditions if each.start is not None})]
    dated = [each for each in conditions if each.daily is None] or conditions[:1]
    usual = [_prices(dated, segment, 0) for segment in segments]
    hours = range(24) if any(each.daily for each in conditions) else ()
    by_hour = [[_prices(conditions, segment, hour) for segment in segments] for hour in hours]
    found: dict[Series, Timeline] = {}
    for place in sorted({place for prices in (*usual, *(each for one in by_hour for each in one)) for place in prices}):
        all_day = _timeline(segments, [prices.get(place) for prices in usual])
        at = [_timeline(segments, list(map(_cost_of(place), hourly, usual))) for hourly in by_hour]
        for run, timeline in _runs(all_day, at):
            found[*place, run] = timeline
    return found


def changes(
    stated: Mapping[Series, Timeline],
    recorded: Mapping[Series, Mapping[datetime, Decimal | None]],
    hour: datetime,
    *,
    is_new: bool,
) -> Iterator[Change]:
    """What to record of a model in this hour; nothing when it was recorded before.

    `recorded`: of each series the rows that hold at some time, by the instant from which on they do.
    """
    since = ALWAYS if is_new else hour
    for series in sorted({*stated, *recorded}, key=lambda each: (each[0], each[1], each[2] or Hours(-1, -1))):
        timeline = stated.get(series, ((None, None),))
        yield from _changes(series, timeline, recorded.get(series, {}), since)


def _changes(
    series: Series, timeline: Timeline, rows: Mapping[datetime, Decimal | None], since: datetime
) -> Iterator[Change]:
    [(_, undated), *dated] = timeline
    first = dated[0][0] if dated else None
    starts = {start: cost for start, cost in dated if start is not None}
    if first is None or since < first:
        starts.setdefault(since, undated)
    now = wanted = None
    from_here = min(starts, default=since)
    for instant in sorted({*starts, *rows}):
        wanted = starts.get(instant, wanted)
        now = rows.get(instant, now)
        if instant >= from_here and now != wanted:
            yield Change(series, instant, wanted)
            now = wanted


def _prices(conditions: Sequence[Condition], segment: date | None, hour: int) -> Prices:
    return next((each.prices for each in reversed(conditions) if each.holds(segment, hour)), conditions[0].prices)


def _cost_of(place: Place) -> Callable[[Prices, Prices], Decimal | None]:
    """What is paid in hours that have `prices`; `usual`: those of the hours that have none of their own.

    Such hours must not take the usual price of what they have no price for: it is paid for as what it falls back to.
    """
    code, above = place

    def cost(prices: Prices, usual: Prices) -> Decimal | None:
        if prices is usual:
            return prices.get(place)
        fitting = [(each, size) for each in chain(code) for size in _sizes(prices, each) if size <= above]
        return prices[fitting[0]] if fitting else None

    return cost


def _sizes(prices: Prices, code: str) -> list[int]:
    return sorted((above for each, above in prices if each == code), reverse=True)


def _timeline(segments: Sequence[date | None], costs: Sequence[Decimal | None]) -> Timeline:
    told = zip(segments, costs, (None, *costs), strict=False)
    return tuple((_midnight(day), cost) for day, cost, before in told if day is None or cost != before)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _runs(all_day: Timeline, at: Sequence[Timeline]) -> Iterable[tuple[Hours | None, Timeline]]:
    """The usual timeline, and each run of hours, past midnight too, that has another one."""
    if all(each == at[0] for each in at):
        return [(None, at[0] if at else all_day)]
    turn = next(hour for hour in range(24) if at[hour] != at[hour - 1])
    hours = [(turn + step) % 24 for step in range(24)]
    runs = [(list(inside), timeline) for timeline, inside in groupby(hours, key=lambda hour: at[hour])]
    apart = [(Hours(run[0], (run[-1] + 1) % 24), timeline) for run, timeline in runs if timeline != all_day]
    return [(None, all_day), *apart]
