"""What the pages of model costs say: costs side by side, their course, and what an own cost would change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, grouped, plain, round_to
from catalog.costs.books import costs_of
from catalog.costs.names import END_OF_TIME, names
from catalog.costs.own_costs import Entry, find
from catalog.pricing.model_costs import ALWAYS, Action, CostRow, Hours, ModelCosts, Source
from catalog.pricing.model_names import ModelName
from catalog.pricing.token_types import TOKEN_TYPES, chain

SIDE_BY_SIDE = ("input", "output", "cache_read", "cache_write")
MONTHS_DRAWN = 24
LINES_DRAWN = 9
_ORDER = {code: place for place, code in enumerate(TOKEN_TYPES)}
_WORDS = {
    "equals": "is",
    "starts_with": "begins with",
    "ends_with": "ends with",
    "contains": "holds",
    "regex": "is like",
}


def amount(row: CostRow) -> str:
    """What is shown of a cost: exact, for as many units as people know its price of."""
    return "–" if row.cost is None else _amount(row.cost, row.token_type)


def _amount(cost: Decimal, code: str) -> str:
    return grouped(EXACT.multiply(cost, Decimal(TOKEN_TYPES[code].per)))


def since(row: CostRow) -> str:
    return "always" if row.effective_from == ALWAYS else f"{row.effective_from:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Step:
    """A cost, above which size of input it is, and whether it is an own one."""

    amount: str
    above: str
    own: bool


def side_by_side(costs: ModelCosts, now: datetime) -> tuple[dict[str, list[Step]], list[str]]:
    """By token type what holds now, a step for each threshold; and the names of further types that have a cost."""
    held = costs.current(now)
    found = {
        code: [
            Step(amount(held[place]), f"{place[1]:,}" if place[1] else "", held[place].source is Source.OWN)
            for place in sorted(held)
            if place[0] == code
        ]
        for code in SIDE_BY_SIDE
    }
    further = sorted({code for code, _ in held} - set(SIDE_BY_SIDE), key=_order)
    return found, [TOKEN_TYPES[code].name for code in further]


def table(costs: ModelCosts, now: datetime) -> list[dict[str, Any]]:
    """What holds now, of every hour of the day; and what an own cost goes before."""
    rows = sorted(
        costs.standing(now), key=lambda row: (_order(row.token_type), row.above, row.hours is not None, row.source)
    )
    return [
        {**shown(row), "hidden": _is_hidden(row, rows), "now": costs.current(now)[row.token_type, row.above] == row}
        for row in rows
    ]


def shown(row: CostRow) -> dict[str, Any]:
    kind = TOKEN_TYPES[row.token_type]
    return {
        "row": row,
        "type": kind.name,
        "per": kind.per_text.removeprefix("per "),
        "amount": amount(row),
        "exact": "" if row.cost is None else plain(row.cost),
        "above": f"above {row.above:,}" if row.above else "",
        "hours": str(row.hours or ""),
        "since": since(row),
        "own": row.source is Source.OWN,
    }


def coming(costs: ModelCosts, now: datetime) -> list[dict[str, Any]]:
    """What is known to come, in its order. `then`: where a cost ends, what takes over, if anything does."""
    standing = costs.in_force()
    rows = [row for row in costs.rows if row.effective_from > now and row.id in standing]
    return [
        {**shown(row), "then": _then(costs, row)}
        for row in sorted(rows, key=lambda row: (row.effective_from, row.token_type, row.above))
    ]


def _then(costs: ModelCosts, row: CostRow) -> dict[str, Any] | None:
    taking_over = None if row.cost is not None else _row_at(costs, _begins(row.effective_from, row.hours), *_place(row))
    return None if taking_over is None else shown(taking_over)


def _place(row: CostRow) -> tuple[str, int]:
    return row.token_type, row.above


def _is_hidden(row: CostRow, rows: Iterable[CostRow]) -> bool:
    """An own cost of all day goes before all that the package says of the same type and threshold."""
    return row.source is Source.PACKAGE and any(
        _place(each) == _place(row) and each.source is Source.OWN and each.hours in (None, row.hours) for each in rows
    )


def _order(code: str) -> int:
    return _ORDER.get(code, len(_ORDER))


def course(costs: ModelCosts, now: datetime) -> dict[str, Any] | None:
    """Costs of tokens month by month, from when any of them changed; None when none has."""
    codes = [code for code in TOKEN_TYPES if TOKEN_TYPES[code].unit == "token"]
    codes = [code for code in codes if any(row.token_type == code and row.above == 0 for row in costs.rows)][
        :LINES_DRAWN
    ]
    rows = []
    for month in _months(costs, now):
        held = costs.current(month)
        cells = [_cell(held.get((code, 0))) for code in codes]
        rows.append({"label": f"{month:%Y-%m}", "start": month.isoformat(), "cells": cells})
    if all(row["cells"] == rows[0]["cells"] for row in rows):
        return None
    lines = [{"name": TOKEN_TYPES[code].name, "number": number} for number, code in enumerate(codes)]
    return {"lines": lines, "rows": rows}


def _cell(row: CostRow | None) -> dict[str, str] | None:
    if row is None or row.cost is None:
        return None
    per = Decimal(TOKEN_TYPES[row.token_type].per)
    return {"value": plain(EXACT.multiply(row.cost, per)), "text": amount(row)}


def _months(costs: ModelCosts, now: datetime) -> list[datetime]:
    """Noon of the first day of each month: of the last ones, and up to what is known to come."""
    last = max([now, *(row.effective_from for row in costs.rows)])
    end = min(last, now + timedelta(days=365)) + timedelta(days=31)
    month = end.replace(day=1, hour=12, minute=0, second=0, microsecond=0)
    found: list[datetime] = []
    while len(found) < MONTHS_DRAWN:
        found.append(month)
        month = (month - timedelta(days=1)).replace(day=1)
    return found[::-1]


@dataclass(frozen=True)
class Preview:
    """What recording an entry would do. `known`: the catalogue has the model; `meant`: what its name means today."""

    entry: Entry
    name: ModelName
    known: bool
    meant: ModelName | None
    before: CostRow | None
    after: CostRow | None
    replaced: CostRow | None
    next: CostRow | None
    steps: list[str]
    followers: list[str]

    @property
    def change(self) -> str:
        """In percent of what it costs before, where both are."""
        before = self.before.cost if self.before else None
        after = self.after.cost if self.after else None
        if not before or after is None:
            return ""
        percent = round_to(EXACT.divide((after - before) * 100, before), 1)
        return f"{percent:+,} %" if percent else "no change"


def preview(entry: Entry) -> Preview:
    """What an entry without faults changes, against what is known now. Reads only."""
    model = find(entry.provider, entry.model)
    name = model.key if model else ModelName(entry.provider, entry.model)
    costs = costs_of([name])[name]
    row = as_row(entry)
    with_it = ModelCosts(name.provider, name.model, (*costs.rows, row))
    at = first_hour(entry)
    same = [each for each in costs.rows if _series(each) == _series(row) and each.id in costs.in_force()]
    later = [each for each in same if each.effective_from > row.effective_from]
    return Preview(
        entry=entry,
        name=name,
        known=model is not None,
        meant=names().resolve(str(name)),
        before=_row_at(costs, at, entry.token_type, entry.above),
        after=_row_at(with_it, at, entry.token_type, entry.above),
        replaced=next((each for each in same if each.effective_from == row.effective_from), None),
        next=min(later, key=lambda each: each.effective_from, default=None),
        steps=_other_steps(with_it, at, entry),
        followers=_followers(costs, with_it, at, entry),
    )


def as_row(entry: Entry) -> CostRow:
    """The row that recording it would make: the latest of all."""
    action = Action.ENDS if entry.cost is None else Action.COSTS
    return CostRow(
        0, entry.token_type, entry.above, entry.hours, Source.OWN, action, entry.cost, entry.hour, END_OF_TIME
    )


def first_hour(entry: Entry) -> datetime:
    """The first hour in which the entry holds."""
    return _begins(entry.hour, entry.hours)


def _begins(since: datetime, hours: Hours | None) -> datetime:
    if hours is None or since.hour in hours:
        return since
    return since + timedelta(hours=(hours.start - since.hour) % 24)


def _series(row: CostRow) -> CostRow:
    """A row without what two of one series may differ in."""
    return replace(row, id=0, action=Action.COSTS, cost=None, effective_from=ALWAYS, recorded_at=ALWAYS)


def _row_at(costs: ModelCosts, at: datetime, code: str, above: int) -> CostRow | None:
    found = costs.cost_at(at, code, above)
    return found.row if found else None


def _other_steps(costs: ModelCosts, at: datetime, entry: Entry) -> list[str]:
    """Higher thresholds, whose cost goes on: an own cost is of its own threshold alone."""
    held = costs.current(at)
    places = sorted(place for place in held if place[0] == entry.token_type and place[1] > entry.above)
    return [f"Above {above:,} input tokens it goes on costing {amount(held[code, above])}" for code, above in places]


def _followers(before: ModelCosts, after: ModelCosts, at: datetime, entry: Entry) -> list[str]:
    """Types that have no cost of their own here and are billed as this one."""
    known = {row.token_type for row in (*before.rows, *after.rows)}
    kinds = [
        kind for kind in TOKEN_TYPES.values() if kind.code not in known and entry.token_type in chain(kind.code)[1:]
    ]
    return [
        kind.name
        for kind in kinds
        if "," not in kind.name
        and _row_at(before, at, kind.code, entry.above) != _row_at(after, at, kind.code, entry.above)
    ]


def rule(provider: str, model: str, stated: Sequence[Mapping[str, Any]]) -> str:
    """In words which names mean a model, by the package's rules."""
    found = [
        each["match"]
        for one in stated
        if one["id"] == provider
        for each in one["models"]
        if each["id"].lower() == model.lower()
    ]
    return _in_words(found[0]) if found else ""


def _in_words(clause: Mapping[str, Any]) -> str:
    [(kind, value)] = clause.items()
    if kind in _WORDS:
        return f"{_WORDS[kind]} “{value}”"
    return (" or " if kind == "or" else " and ").join(_in_words(part) for part in value)
