"""When a subscription is invoiced next."""

from datetime import UTC, date, datetime

import pytest

from billing_site.foundation.periods import Alignment, Interval, Schedule, midnight
from customers.subscriptions import boundaries

CALENDAR = Schedule(Interval.MONTH, Alignment.CALENDAR, date(2023, 1, 10), "UTC")
ANNIVERSARY = Schedule(Interval.MONTH, Alignment.ANNIVERSARY, date(2023, 1, 31), "Europe/Berlin")


def day(month: int, number: int, year: int = 2023) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def walk(schedule: Schedule, starts_at: datetime, ends_at: datetime | None, *, in_advance: bool, steps: int) -> list:
    """The boundaries of a subscription, one after the other."""
    at = boundaries.first(schedule, starts_at, ends_at, in_advance=in_advance)
    seen = [at]
    while at[1] is not None and len(seen) < steps:
        at = boundaries.after(schedule, at[1], ends_at)
        seen.append(at)
    return seen


def test_without_fees_in_advance_the_first_boundary_is_the_end_of_the_first_period() -> None:
    assert walk(CALENDAR, day(1, 10), None, in_advance=False, steps=3) == [
        (day(1, 10), day(2, 1)),
        (day(2, 1), day(3, 1)),
        (day(3, 1), day(4, 1)),
    ]


def test_fees_in_advance_open_the_subscription_with_a_boundary_of_its_own() -> None:
    assert walk(CALENDAR, day(1, 10), None, in_advance=True, steps=3) == [
        (day(1, 10), day(1, 10)),
        (day(1, 10), day(2, 1)),
        (day(2, 1), day(3, 1)),
    ]


@pytest.mark.parametrize("in_advance", [False, True])
def test_an_end_inside_a_period_is_the_last_boundary(in_advance: bool) -> None:
    seen = walk(CALENDAR, day(1, 10), day(2, 20), in_advance=in_advance, steps=9)
    assert seen[-2:] == [(day(2, 1), day(2, 20)), (None, None)]


def test_an_end_at_a_periods_end_leaves_no_empty_period_behind() -> None:
    assert walk(CALENDAR, day(1, 10), day(2, 1), in_advance=False, steps=9) == [(day(1, 10), day(2, 1)), (None, None)]


def test_an_anchor_on_the_31st_is_clamped_to_each_month_and_never_chained() -> None:
    start = midnight(date(2023, 1, 31), "Europe/Berlin")
    seen = walk(ANNIVERSARY, start, None, in_advance=False, steps=4)
    assert [at for _, at in seen] == [
        midnight(date(2023, month, number), "Europe/Berlin") for month, number in [(2, 28), (3, 31), (4, 30), (5, 31)]
    ]
    # Berlin is an hour ahead of UTC in winter, two in summer.
    assert [at.hour for _, at in seen] == [23, 22, 22, 22]
