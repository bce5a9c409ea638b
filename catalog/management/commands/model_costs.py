"""`manage.py model_costs`: read the newest costs of models, or show what the catalogue has of one."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_site.foundation import clock
from billing_site.foundation.money import grouped
from catalog.costs import books as costs
from catalog.costs import names as cost_names
from catalog.costs import package_prices
from catalog.costs import reading as cost_reading
from catalog.models import CostReading
from catalog.pricing.model_costs import ALWAYS, CostRow
from catalog.pricing.token_types import TOKEN_TYPES
from catalog.pricing.words import counted


class Command(BaseCommand):
    help = "Read in what model providers charge, or show what the catalogue has of one model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        asked = parser.add_subparsers(dest="what", required=True)
        importing = asked.add_parser("import", help="record what is new")
        importing.add_argument(
            "--offline", action="store_true", help="what the installed package brings, though newer data was read"
        )
        showing = asked.add_parser("show", help="what one model costs now")
        showing.add_argument("name", help="in any form: gpt-4o, azure/openai/gpt-4o, bedrock/anthropic.claude-…")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "show":
            self._show(options["name"])
        else:
            self._import(offline=options["offline"])

    def _import(self, *, offline: bool) -> None:
        reading = cost_reading.read_in(package_prices.bundled()) if offline else cost_reading.refresh()
        if reading is None:
            latest = CostReading.objects.order_by("recorded_at", "id").last()
            self.stdout.write(f"Nothing was read. {latest.problem if latest else ''}".rstrip())
            return
        self.stdout.write(
            f"{reading.origin}: {counted(reading.models_stated, 'model')},"
            f" {counted(reading.costs_recorded, 'cost')} recorded"
        )
        if reading.problem:
            self.stdout.write(reading.problem)

    def _show(self, name: str) -> None:
        names = cost_names.names()
        model = names.resolve(name)
        if model is None:
            like = ", ".join(names.closest(name))
            raise CommandError(f"“{name}” means no model of the catalogue." + (f" Like it: {like}." if like else ""))
        self.stdout.write(f"{model} · {clock.now():%Y-%m-%d %H:%M} UTC · USD")
        held = costs.costs_of([model])[model].current(clock.now())
        for (code, above), row in sorted(held.items()):
            self.stdout.write(f"  {_line(code, above, row)}")
        if not held:
            self.stdout.write("  no cost is known")


def _line(code: str, above: int, row: CostRow) -> str:
    kind = TOKEN_TYPES[code]
    assert row.cost is not None
    parts = [f"{kind.name}: {grouped(row.cost * kind.per)} {kind.per_text}"]
    parts += [f"above {above:,} input tokens"] if above else []
    parts += [str(row.hours)] if row.hours else []
    parts += [f"since {row.effective_from:%Y-%m-%d %H:%M} UTC"] if row.effective_from > ALWAYS else []
    return " · ".join([*parts, row.source])
