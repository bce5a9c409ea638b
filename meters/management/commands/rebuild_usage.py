"""`manage.py rebuild_usage`: prove that buckets are what the events come to, or make them so again."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_site.foundation.money import plain
from meters.models import Meter
from meters.rebuilding import Difference, differences, rebuild

SHOWN = 20


class Command(BaseCommand):
    help = "Count usage anew from the events, and print where the buckets said otherwise."

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
        if check and wrong:
            raise CommandError(f"{wrong:,} hours differ. Run the same command without --check to put them right.")

    def _report(self, meter: Meter, find: Callable[[Meter], list[Difference]]) -> int:
        found = find(meter)
        if not found:
            self.stdout.write(f"{meter.code}: buckets = events")
            return 0
        self.stdout.write(f"{meter.code}: {len(found):,} hours differ")
        for each in found[:SHOWN]:
            self.stdout.write(f"  {_line(each)}")
        if len(found) > SHOWN:
            self.stdout.write(f"  … and {len(found) - SHOWN:,} more")
        return len(found)


def _line(found: Difference) -> str:
    dimensions = ", ".join(f"{name}={value}" for name, value in found.series.dimensions) or "no dimensions"
    return (
        f"{found.series.customer} · {dimensions} · {found.hour:%Y-%m-%d %H}h: "
        f"buckets {plain(found.buckets.quantity)} of {found.buckets.events} events, "
        f"events {plain(found.events.quantity)} of {found.events.events}"
    )
