"""When a subscription is invoiced. Pure.

At a boundary, usage and fees in arrears of [due_from, due_at) are invoiced, and fees in advance for the period that
begins at due_at. A subscription with fees in advance opens with a boundary of its own, at which due_from = due_at = its
start.
"""

from datetime import datetime

from billing_site.foundation.periods import Schedule

Boundary = tuple[datetime, datetime] | tuple[None, None]


def first(schedule: Schedule, starts_at: datetime, ends_at: datetime | None, *, in_advance: bool) -> Boundary:
    """(due_from, due_at) of a new subscription; `in_advance`: its version has fees in advance."""
    if in_advance:
        return starts_at, starts_at
    return starts_at, _period_end(schedule, starts_at, ends_at)


def after(schedule: Schedule, boundary: datetime, ends_at: datetime | None) -> Boundary:
    """(due_from, due_at) once the boundary has been invoiced; (None, None) when it was the last."""
    if boundary == ends_at:
        return None, None
    return boundary, _period_end(schedule, boundary, ends_at)


def _period_end(schedule: Schedule, instant: datetime, ends_at: datetime | None) -> datetime:
    end = schedule.period_at(instant).end
    return end if ends_at is None else min(end, ends_at)
