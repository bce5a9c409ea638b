"""The house stands as docs/architecture.md draws it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest
from django.core.management import call_command

PROJECT = Path(__file__).resolve().parent.parent
APPS = ("meters", "catalog", "customers", "invoicing")
FACES = ("admin", "api", "forms", "management", "portal", "serializers", "tasks", "urls", "views")
NOT_OURS = {
    ".git",
    ".coverage",
    ".env",
    ".venv",
    ".state",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
}
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|opt|root|Users|work)/\w")
REGISTRY = re.compile(r"https?://[\w.:@-]*(?:pypi|pythonhosted|artifactory|nexus|devpi|npmjs)[\w.:-]*", re.IGNORECASE)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("billing_site", *APPS, cache_dir=None)


def is_face(module: str) -> bool:
    """`meters.admin`, `meters.explorer.unknown_admin`, `meters.ingestion.api_schema`, `meters.management.x`; not
    `meters.ingestion.ingest`."""
    names = module.split(".")[1:]
    return any(own == face or own.startswith(f"{face}_") or own.endswith(f"_{face}") for own in names for face in FACES)


def files() -> Iterator[Path]:
    """Every file of the project that a checkout holds."""
    for path in sorted(PROJECT.rglob("*")):
        if path.is_file() and NOT_OURS.isdisjoint(path.relative_to(PROJECT).parts):
            yield path


def mentions(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(PROJECT)}: {match[0]}" for match in pattern.finditer(text)]
    return found


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo", "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_apps_know_only_the_foundation_of_the_site() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer in graph().modules
        if importer.split(".")[0] in APPS or importer.startswith("billing_site.foundation")
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported.startswith("billing_site.") and not imported.startswith("billing_site.foundation")
    ]

    assert wrong == []


def test_only_faces_import_faces() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer in graph().modules
        if importer.split(".")[0] in APPS and not is_face(importer) and importer.split(".")[-1] != "apps"
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported.split(".")[0] in APPS and is_face(imported)
    ]

    assert wrong == []


def test_there_is_no_room_for_everything_else() -> None:
    names = {"common", "helpers", "misc", "services", "utils"}

    assert [module for module in graph().modules if names & set(module.split("."))] == []


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=1)


def test_no_file_names_a_machine_or_a_registry() -> None:
    assert mentions(MACHINE_PATH) == []
    assert mentions(REGISTRY) == []


@pytest.mark.parametrize("name", ["app", "dev"])
def test_every_pin_of_a_lock_has_its_hashes(name: str) -> None:
    lock = (PROJECT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    pins = [pin for pin in re.split(r"\n(?=\S)", lock.strip()) if not pin.startswith("#")]

    assert len(pins) > 50
    assert [pin for pin in pins if not re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+", pin)] == []
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in lock


def test_what_runs_is_also_what_is_tested() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (PROJECT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))

    tested = pins("dev")
    assert {package: tested.get(package) for package in pins("app")} == pins("app")
