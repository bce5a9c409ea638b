"""What every test may use. See `tests/servers.py` for the servers and `tests/processes.py` for real processes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pgtrigger
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db.backends.postgresql.operations import DatabaseOperations
from redis import Redis
from whitenoise.middleware import WhiteNoiseMiddleware

from billing_site import embedded
from meters.ingestion import ingest
from meters.usage import interning
from tests.processes import Processes

SLOW = ("test_supervisor", "test_api_conformance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test is told apart; and files that take long come first, lest one keep the others waiting at the end."""
    for item in items:
        # schemathesis writes the operation into the name alone; pytest 9.2 leaves it out of the id that xdist goes by.
        if not item.nodeid.endswith(item.name) and item.parent is not None:
            item._id = item.parent.id.child(item.name)
    same = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if same:
        raise pytest.UsageError(f"Of tests of one name only one would run: {', '.join(same[:5])}.")
    slow = {item.path for item in items if _takes_long(item)}
    items.sort(key=lambda item: item.path not in slow)


def _takes_long(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("browser", "faults", "scenarios"))
    return marked or "processes" in getattr(item, "fixturenames", ()) or item.path.stem in SLOW


@pytest.fixture(scope="session", autouse=True)
def _tables_may_be_emptied_after_a_test() -> Iterator[None]:
    """A test that commits leaves its rows; emptying the tables afterwards is not what the triggers guard against."""
    usual = DatabaseOperations.execute_sql_flush

    def unguarded(self: Any, sql_list: list[str]) -> None:
        with pgtrigger.ignore():
            usual(self, sql_list)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", unguarded)
        yield


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_hashed_quickly() -> Iterator[None]:
    """In the usual form, which other processes understand, but not a million times: many tests make an operator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_looked_for_once() -> Iterator[None]:
    """A site does so when it starts. Every client of a test is a site that starts."""
    usual, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, dict[str, Any]]()

    def once(self: WhiteNoiseMiddleware) -> None:
        if self.static_prefix not in found:
            usual(self)
            found[self.static_prefix] = dict(self.files)
        self.files.update(found[self.static_prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", once)
        yield


@pytest.fixture(autouse=True)
def _what_the_process_knows_is_forgotten() -> Iterator[None]:
    """A test's rows go away behind the back of what ingestion remembers of them."""
    yield
    interning.forget()
    ingest._Expected.duplicates = False


@pytest.fixture
def processes(transactional_db: None) -> Iterator[Processes]:
    """Real web, worker and beat processes on this test's database. The queue is empty when the test begins."""
    if settings.REDIS_URL.startswith(embedded.redis_url().partition("?")[0]):  # never empty somebody else's
        with Redis.from_url(settings.REDIS_URL) as client:
            client.flushdb()
    running = Processes()
    yield running
    running.close()
