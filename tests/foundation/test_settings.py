"""Settings fail loudly, are checked at start, and are all written down."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from billing_site import environment
from billing_site.foundation import checks

PROJECT = Path(django_settings.BASE_DIR)
READERS = re.compile(r'\b(?:env\.(?:str|list|bool|int)|whole|decimal|seconds|boolean|one_of|address)\(\s*"([A-Z_]+)"')


def test_every_setting_is_in_the_docs_and_every_documented_one_exists() -> None:
    settings_py = (PROJECT / "billing_site/settings.py").read_text()
    procfile = (PROJECT / "Procfile").read_text()
    read = {*READERS.findall(settings_py), *re.findall(r"\$\{([A-Z_]+)", procfile), "TALLYBOOK_STATE"}
    tables = re.findall(r"^\| (`[^|]+) \|", (PROJECT / "docs/settings.md").read_text(), re.MULTILINE)
    documented = {name for cell in tables for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert documented - {"HOST", "PORT"} == read - {"HOST", "PORT"}
    assert {"HOST", "PORT"} <= documented


def test_documented_defaults_are_the_real_ones() -> None:
    text = (PROJECT / "docs/settings.md").read_text()
    source = (PROJECT / "billing_site/settings.py").read_text()
    for name, default in re.findall(r'(?:whole|seconds|decimal)\("([A-Z_]+)", ([\d_.]+)\)', source):
        [documented] = re.findall(rf"^\| `{name}` \| ([\d.]+) \|", text, re.MULTILINE)
        assert float(documented) == float(default.replace("_", "")), name


def test_every_finding_is_in_the_docs() -> None:
    found = set(re.findall(r'id="(tallybook\.[EW]\d+)"', (PROJECT / "billing_site/foundation/checks.py").read_text()))
    documented = set(re.findall(r"^\| (tallybook\.\w+) \|", (PROJECT / "docs/settings.md").read_text(), re.MULTILINE))
    assert found == documented


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (lambda: environment.whole("SOME", 5), "many", "SOME is “many”; it must be a whole number such as 5"),
        (lambda: environment.whole("SOME", 5), "1.5", "SOME is “1.5”"),
        (lambda: environment.seconds("SOME", 5), "", "SOME is “”"),
        (lambda: environment.decimal("SOME", 5.0), "5s", "SOME is “5s”; it must be a number such as 5.0"),
        (lambda: environment.boolean("SOME"), "maybe", "SOME is “maybe”; it must be true or false"),
        (lambda: environment.one_of("SOME", ("json", "text"), "text"), "xml", "must be one of json, text"),
    ],
)
def test_a_value_that_does_not_read_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, read: Any, text: str, message: str
) -> None:
    monkeypatch.setenv("SOME", text)
    with pytest.raises(ImproperlyConfigured, match=re.escape(message)):
        read()


def test_values_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME", "7")
    assert environment.whole("SOME", 5) == 7
    assert environment.seconds("SOME", 5) == timedelta(seconds=7)
    assert environment.whole("ABSENT", 5) == 5
    for text, value in (("true", True), ("On", True), ("1", True), ("false", False), ("0", False), ("", False)):
        monkeypatch.setenv("SOME", text)
        assert environment.boolean("SOME") is value


def found(settings: Any, **changed: Any) -> list[str]:
    for name, value in changed.items():
        setattr(settings, name, value)
    return [message.id or "" for message in checks.check_settings(None)]


@pytest.mark.django_db
def test_the_settings_of_the_tests_are_fine() -> None:
    assert [message.id for message in run_checks() if str(message.id).startswith("tallybook")] == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"REDIS_URL": "http://localhost"}, ["tallybook.E002"]),
        ({"REDIS_URL": "rediss://host/0"}, []),
        ({"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "127.0.0.1"]}, []),
        (
            {"DEBUG": True, "ALLOWED_HOSTS": ["billing.example.com"], "SECURE_SSL_REDIRECT": True},
            ["tallybook.E003"],
        ),
        ({"INVOICE_CHUNK_SIZE": 0}, ["tallybook.E004"]),
        ({"INVOICE_LEASE": timedelta(0)}, ["tallybook.E004"]),
        ({"INVOICE_BEAT_SECONDS": -1.0}, ["tallybook.E004"]),
        ({"DATA_UPLOAD_MAX_MEMORY_SIZE": 10}, ["tallybook.E005"]),
        ({"ALLOWED_HOSTS": ["billing.example.com"]}, ["tallybook.W001"]),
        ({"ALLOWED_HOSTS": ["*"], "SECURE_SSL_REDIRECT": True}, ["tallybook.W002"]),
        ({"INVOICE_LEASE": timedelta(seconds=58)}, ["tallybook.W003"]),
        ({"INGEST_AT_ONCE": 4}, ["tallybook.W004"]),
        ({"SERIES_LIMIT": 0}, ["tallybook.E004"]),
    ],
)
def test_misconfiguration_is_found(settings: Any, changed: dict[str, Any], expected: list[str]) -> None:
    assert found(settings, **changed) == expected


def test_another_database_engine_is_found(settings: Any) -> None:
    usual = settings.DATABASES["default"]["ENGINE"]
    settings.DATABASES["default"]["ENGINE"] = "django.db.backends.sqlite3"
    try:
        assert found(settings) == ["tallybook.E001"]
    finally:
        settings.DATABASES["default"]["ENGINE"] = usual


@pytest.mark.django_db
def test_an_old_postgresql_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_database(None, databases=["default"]) == []
    monkeypatch.setattr(checks, "connection", type("Old", (), {"pg_version": 140_009}))
    assert [error.id for error in checks.check_database(None, databases=["default"])] == ["tallybook.E006"]
    assert checks.check_database(None, databases=None) == []


@pytest.mark.django_db
def test_sessions_of_the_database_are_bounded_and_in_utc() -> None:
    with connection.cursor() as cursor:
        for name, value in (
            ("timezone", "UTC"),
            ("lock_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "2min"),
            ("application_name", "tallybook"),
        ):
            cursor.execute("SELECT current_setting(%s)", [name])
            assert cursor.fetchone()[0] == value, name


@pytest.mark.django_db
def test_pages_carry_safe_headers_and_allow_no_other_host(client: Client) -> None:
    answer = client.get("/admin/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


def test_behind_tls_cookies_and_addresses_are_safe() -> None:
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    program = f"from billing_site import settings; print(*[getattr(settings, name) for name in {names}])"

    def told(https: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DJANGO_HTTPS": https},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert told("true") == "True True True 31536000"
    assert told("false") == "False False False 0"
