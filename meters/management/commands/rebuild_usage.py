"""`manage.py rebuild_usage`: prove that buckets are what the events come to and day totals what buckets do, or make
them so again.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_site.foundation.money import plain
from meters.backfills.rebuilding import Difference, differences, rebuild
from meters.measuring.counting import SeriesKey
from meters.models import Meter
from meters.usage import day_checks, day_totals
from meters.usage.day_checks import DayDifference

SHOWN = 20


class Command(BaseCommand):
    help = "Count usage anew from the events, and print where buckets or day totals said otherwise."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--meter", metavar="CODE", help="only this meter; all of them without it")
        parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when something differs")

    def handle(self, *args: Any, meter: str | None, check: bool, **options: Any) -> None:
        meters = list(Meter.objects.order_by("code"))
        if meter is not None:
            meters = [each for each in meters if each.code == meter]
            if not meters:
                raise CommandError(f"There is no meter “{meter}”.")
        wrong = sum(self._report(each, differences if check else rebuild) for each in meters)
        days = sum(self._report_days(each, check=check) for each in meters)
        if check and (wrong or days):
            what = " and ".join(f"{number:,} {name}" for number, name in ((wrong, "hours"), (days, "days")) if number)
            raise CommandError(f"{what} differ. Run the same command without --check to put them right.")
        if not check:
            while day_totals.renew():
                pass

    def _report(self, meter: Meter, find: Callable[[Meter], list[Difference]]) -> int:
        found = find(meter)
        if not found:
            self.stdout.write(f"{meter.code}: buckets = events")
            return 0
        self.stdout.write(f"{meter.code}: {len(found):,} hours differ")
        return self._list([_line(each) for each in found])

    def _report_days(self, meter: Meter, *, check: bool) -> int:
        found = day_checks.differences(meter) if check else day_checks.mark_differences(meter)
        if not found:
            return 0
        self.stdout.write(f"{meter.code}: the totals of {len(found):,} days differ")
        return self._list([_day_line(each) for each in found])

    def _list(self, lines: list[str]) -> int:
        for line in lines[:SHOWN]:
            self.stdout.write(f"  {line}")
        if len(lines) > SHOWN:
            self.stdout.write(f"  … and {len(lines) - SHOWN:,} more")
        return len(lines)


def _named(series: SeriesKey) -> str:
    dimensions = ", ".join(f"{name}={value}" for name, value in series.dimensions) or "no dimensions"
    return f"{series.customer} · {dimensions}"


def _day_line(found: DayDifference) -> str:
    return (
        f"{_named(found.series)} · {found.day:%Y-%m-%d}: "
        f"total {plain(Decimal(found.total.quantity or 0))} of {found.total.events} events, "
        f"buckets {plain(Decimal(found.buckets.quantity or 0))} of {found.buckets.events}"
    )


def _line(found: Difference) -> str:
    return (
        f"{_named(found.series)} · {found.hour:%Y-%m-%d %H}h: "
        f"buckets {plain(found.buckets.quantity)} of {found.buckets.events} events, "
        f"events {plain(found.events.quantity)} of {found.events.events}"
    )
