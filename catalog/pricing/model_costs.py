"""What one model costs, at any instant, from the rows that the catalogue has of it. Pure.

A row holds from its hour on until a later one of the same series (token type, threshold, hours of the day, source)
takes over. Of two rows of one series and one hour the one that was recorded last holds; one that says *withdrawn*
undoes that hour's row as if it had never been, one that says *ends* leaves the series without a cost from then on. At
any instant an own row goes before the package's, and a row of certain hours of the day before one of all day.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from catalog.pricing.token_types import chain

# From when on a cost holds whose beginning nobody knows.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Source(StrEnum):
    """Who says it, in the order in which they are heard."""

    OWN = "own"
    PACKAGE = "package"


class Action(StrEnum):
    COSTS = "costs"
    ENDS = "ends"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, order=True)
class Hours:
    """Hours of the UTC day, [start, end); when `end` is not after `start` they go on past midnight."""

    start: int
    end: int

    def __contains__(self, hour: int) -> bool:
        return (hour - self.start) % 24 < ((self.end - self.start) % 24 or 24)

    def __str__(self) -> str:
        return f"{self.start:02}:00–{self.end:02}:00 UTC"


@dataclass(frozen=True)
class CostRow:
    """`above`: it is the price of requests with more input tokens than that. `cost`: USD for one unit, if it costs."""

    id: int
    token_type: str
    above: int
    hours: Hours | None
    source: Source
    action: Action
    cost: Decimal | None
    effective_from: datetime
    recorded_at: datetime

    @property
    def latest(self) -> tuple[datetime, int]:
        """By which the row that was recorded last is found."""
        return self.recorded_at, self.id


@dataclass(frozen=True)
class Cost:
    """USD for one unit, and the row that says so: its token type may be one that was fallen back to."""

    amount: Decimal
    row: CostRow


class _Series:
    """The rows of one series that hold at some time, by the instant from which on they do."""

    def __init__(self, rows: Iterable[CostRow]) -> None:
        last: dict[datetime, CostRow] = {}
        for row in sorted(rows, key=lambda row: row.latest):
            last[row.effective_from] = row
        self.rows = [last[start] for start in sorted(last) if last[start].action is not Action.WITHDRAWN]
        self._starts = [row.effective_from for row in self.rows]

    def at(self, instant: datetime) -> CostRow | None:
        place = bisect_right(self._starts, instant)
        return self.rows[place - 1] if place else None


@dataclass(frozen=True)
class ModelCosts:
    """All that a model costs, by the rows that were known."""

    provider: str
    model: str
    rows: tuple[CostRow, ...] = ()

    def cost_at(self, instant: datetime, token_type: str, above: int = 0) -> Cost | None:
        """What one unit costs in a request with more than `above` input tokens; None when nothing says so.

        `above` is the lower bound of a band of contexts: the highest threshold up to it decides.
        """
        return next(
            (
                Cost(row.cost, row)
                for code in chain(token_type)
                for threshold in reversed(self._thresholds.get(code, ()))
                if threshold <= above and (row := self._holds(code, threshold, instant)) and row.cost is not None
            ),
            None,
        )

    def steps_at(self, instant: datetime, token_type: str) -> bool:
        """Whether what one unit costs goes by the size of its request."""
        sizes = {0, *(size for code in chain(token_type) for size in self._thresholds.get(code, ()))}
        found = [self.cost_at(instant, token_type, size) for size in sizes]
        return len({None if cost is None else cost.amount for cost in found}) > 1

    def cuts(self, start: datetime, end: datetime, *token_types: str) -> tuple[datetime, ...]:
        """The hours inside (start, end) at which a cost becomes another; of these token types, or of all."""
        codes = {code for token_type in token_types for code in chain(token_type)} or self._thresholds.keys()
        places = [(code, above) for code in codes for above in self._thresholds.get(code, ())]
        found, before = [], self._all(places, start)
        for instant in sorted(set(self._candidates(codes, start, end))):
            after = self._all(places, instant)
            if after != before:
                found.append(instant)
            before = after
        return tuple(found)

    def current(self, instant: datetime) -> dict[tuple[str, int], CostRow]:
        """Every row that holds at an instant, by token type and threshold."""
        places = [(code, above) for code, thresholds in self._thresholds.items() for above in thresholds]
        held = {place: self._holds(*place, instant) for place in places}
        return {place: row for place, row in held.items() if row is not None}

    def standing(self, instant: datetime) -> list[CostRow]:
        """Every series' row that costs at an instant, also where another one goes before it or at other hours."""
        found = (series.at(instant) for inside in self._series.values() for series in inside.values())
        return [row for row in found if row is not None and row.action is Action.COSTS]

    def thresholds(self, since: datetime) -> tuple[int, ...]:
        """The sizes of input above which a price was, is or will be another one at any time from `since` on."""
        return tuple(
            sorted(
                {
                    above
                    for (_, above), series in self._series.items()
                    for each in series.values()
                    if above and _costs_after(each, since)
                }
            )
        )

    def in_force(self) -> frozenset[int]:
        """The ids of the rows that hold at some time, as far as is known: neither recorded anew nor withdrawn."""
        return frozenset(row.id for series in self._series.values() for each in series.values() for row in each.rows)

    @cached_property
    def _series(self) -> Mapping[tuple[str, int], Mapping[tuple[Source, Hours | None], _Series]]:
        apart: dict[tuple[str, int], dict[tuple[Source, Hours | None], list[CostRow]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in self.rows:
            apart[row.token_type, row.above][row.source, row.hours].append(row)
        return {place: {series: _Series(rows) for series, rows in inside.items()} for place, inside in apart.items()}

    @cached_property
    def _thresholds(self) -> Mapping[str, tuple[int, ...]]:
        found = defaultdict(list)
        for code, above in sorted(self._series):
            found[code].append(above)
        return {code: tuple(thresholds) for code, thresholds in found.items()}

    def _holds(self, code: str, above: int, instant: datetime) -> CostRow | None:
        """The row that decides at an instant. Of several ranges of hours that hold, the one recorded last."""
        hour = instant.astimezone(UTC).hour
        found = [
            row
            for (_, hours), each in self._series[code, above].items()
            if (hours is None or hour in hours) and (row := each.at(instant)) and row.action is Action.COSTS
        ]
        return max(found, key=lambda row: (row.source is Source.OWN, row.hours is not None, row.latest), default=None)

    def _all(self, places: list[tuple[str, int]], instant: datetime) -> list[Decimal | None]:
        held = (self._holds(*place, instant) for place in places)
        return [row.cost if row else None for row in held]

    def _candidates(self, codes: Iterable[str], start: datetime, end: datetime) -> Iterator[datetime]:
        wanted = set(codes)
        rows = [row for row in self.rows if row.token_type in wanted]
        for row in rows:
            if start < row.effective_from < end:
                yield row.effective_from
        bounds = {hour for row in rows if row.hours for hour in (row.hours.start, row.hours.end)}
        midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while bounds and midnight < end:
            yield from (each for hour in bounds if start < (each := midnight + hour * HOUR) < end)
            midnight += DAY


def _costs_after(series: _Series, since: datetime) -> bool:
    held = series.at(since)
    later = [row for row in series.rows if row.effective_from > since]
    return any(row.action is Action.COSTS for row in (held, *later) if row)
