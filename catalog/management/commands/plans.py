"""`manage.py plans export` and `plans import`: a catalogue as files, so that it can live in git."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shaped_bodies import once_each
from billing_site.foundation.shapes import Unreadable
from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.documents import text as document_text
from catalog.documents.importing import Did, Outcome, bring
from catalog.documents.plan import PlanDocument
from catalog.models import Plan, PlanVersion
from catalog.pricing.words import counted

SHOWN = 20


class Command(BaseCommand):
    help = "Write plans as files, one for each, and read such files into drafts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        export = actions.add_parser("export", help="write plans as JSON: to standard output, or a file for each")
        export.add_argument("codes", nargs="*", metavar="CODE", help="these plans; all of them without any")
        export.add_argument("--version", type=int, metavar="N", dest="number", help="this version of the one plan")
        export.add_argument("--every-version", action="store_true", help="a file CODE.vN.json for each version")
        export.add_argument("--with-definitions", action="store_true", help="those of their meters and features, too")
        export.add_argument("--to", type=Path, metavar="DIR", help="write DIR/CODE.json for each plan")
        bring_in = actions.add_parser("import", help="make the plans' drafts what files say; exit with 1 when refused")
        bring_in.add_argument("files", nargs="+", metavar="FILE", help="as export writes them; - is standard input")
        bring_in.add_argument("--dry-run", action="store_true", help="say what would come of it, and change nothing")
        bring_in.add_argument("--publish", action="store_true", help="publish what is not published yet")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "export":
            self._export(options)
        else:
            self._import(options)

    def _export(self, options: dict[str, Any]) -> None:
        versions = _wanted(options["codes"], options["number"], every=options["every_version"])
        if options["to"] is None and len(versions) > 1:
            raise CommandError("Standard output takes one plan: name it by its code, or give a folder with --to.")
        read = exporting.exported(list(versions.values()), definitions=options["with_definitions"])
        for name, version in versions.items():
            written = document_text.write(read[version.pk])
            if options["to"] is None:
                self.stdout.write(written, ending="")
                continue
            options["to"].mkdir(parents=True, exist_ok=True)
            path = options["to"] / f"{name}.json"
            same = path.exists() and path.read_text(encoding="utf-8") == written
            if not same:
                path.write_text(written, encoding="utf-8")
            self.stdout.write(f"{path}: version {version.number}, {version.status}{', as it was' if same else ''}")

    def _import(self, options: dict[str, Any]) -> None:
        refused = 0
        for name in options["files"]:
            try:
                outcome = bring(_document(name), publish=options["publish"], dry_run=options["dry_run"])
            except (Unreadable, Refused) as error:
                refused += 1
                self._list(f"{name}: refused, and nothing was changed", [_line(fault) for fault in error.faults])
            else:
                self._tell(name, outcome, dry_run=options["dry_run"])
        done = len(options["files"]) - refused
        if refused:
            raise CommandError(
                f"{refused} of {counted(refused + done, 'file')} {'was' if refused == 1 else 'were'} refused."
            )
        self.stdout.write(f"{counted(done, 'file')} {'would be ' if options['dry_run'] else ''}brought in.")

    def _tell(self, name: str, outcome: Outcome, *, dry_run: bool) -> None:
        version = outcome.version
        state = "published now" if outcome.published else version.status
        would = " (nothing is changed: --dry-run)" if dry_run else ""
        said = "unchanged" if outcome.did == Did.UNCHANGED and not outcome.notes else str(outcome.did)
        told = [*outcome.notes, *outcome.changes]
        told += [f"Before it can be published: {_line(fault)}" for fault in outcome.faults]
        told += [f"Worth a look: {warning}" for warning in outcome.warnings]
        self._list(f"{name}: {version.plan.code} version {version.number}, {state}: {said}{would}", told)

    def _list(self, title: str, lines: list[str]) -> None:
        self.stdout.write(title)
        for line in lines[:SHOWN]:
            self.stdout.write(f"  {line}")
        if len(lines) > SHOWN:
            self.stdout.write(f"  … and {len(lines) - SHOWN:,} more")


def _wanted(codes: list[str], number: int | None, *, every: bool) -> dict[str, PlanVersion]:
    """The versions to be written, by the name of their file."""
    plans = {plan.code: plan for plan in Plan.objects.order_by("code")}
    for code in codes:
        if code not in plans:
            raise CommandError(f"There is no plan “{code}”.")
    wanted = [plans[code] for code in codes] if codes else list(plans.values())
    if number is not None:
        return dict(_numbered(wanted, number))
    if every:
        versions = PlanVersion.objects.filter(plan__in=wanted).select_related("plan").order_by("plan__code", "number")
        return {f"{version.plan.code}.v{version.number}": version for version in versions}
    standing = exporting.chosen(wanted)
    return {plan.code: standing[plan.pk] for plan in wanted if plan.pk in standing}


def _numbered(plans: list[Plan], number: int) -> Iterator[tuple[str, PlanVersion]]:
    if len(plans) != 1:
        raise CommandError("--version is of one plan: name it by its code.")
    version = PlanVersion.objects.filter(plan=plans[0], number=number).select_related("plan").first()
    if version is None:
        raise CommandError(f"There is no version {number} of the plan “{plans[0].code}”.")
    yield plans[0].code, version


def _document(name: str) -> PlanDocument:
    """The document in a file. Raises Unreadable."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        given = json.loads(text, object_pairs_hook=once_each)
    except OSError as error:
        raise Unreadable([Fault("file_unreadable", f"It cannot be read: {error.strerror}.")]) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable([Fault("malformed_json", f"It is not JSON: {error}.")]) from None
    return documents.from_json(given)


def _line(fault: Fault) -> str:
    return f"{fault.field}: {fault.message}" if fault.field else fault.message
