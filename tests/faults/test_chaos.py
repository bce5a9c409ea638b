"""Real traffic at speed, duplicated and out of order, while web workers, the web server and the database are killed.

Everything is real: granian with two workers, a PostgreSQL of the test's own, SIGKILL. CHAOS_SEED repeats what chance
has chosen (the machine's own timing it cannot repeat); CHAOS_ROUNDS makes it longer.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal

import psutil
import psycopg
import pytest

from billing_site import embedded
from billing_site.children import Child
from tests import private_site
from tests.faults.chaos import Event, Key, Replay
from tests.processes import Processes, Web, wait_until

pytestmark = pytest.mark.faults

CLIENTS = 8
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "2"))
KILLS = ("granian worker", "granian worker", "web server", "database", "database connection")
WORKERS = 2
TRACE = 28_185  # events of the shipped traffic: all of it is sent, whatever the machine
MEET = 25  # answers after which everybody is at work again

# Every kind of aggregation, so that buckets, points and values all have to hold.
PREPARE = """
from django.core.management import call_command
from billing_site.foundation.api_keys import create_key
from meters.definitions.metering import define_meter
call_command("migrate", verbosity=0)
model = [("model", "model")]
for code, aggregation, values, more in [
    ("tokens", "sum", [("input", "input_tokens"), ("output", "output_tokens")], {"label_dimension": "token_type"}),
    ("calls", "count", [], {}),
    ("largest", "max", [("", "input_tokens")], {}),
    ("mean", "average", [("", "input_tokens")], {}),
    ("last", "latest", [("", "output_tokens")], {}),
    ("sizes", "unique_count", [("", "output_tokens")], {}),
    ("level", "weighted_sum", [("", "input_tokens")], {"value_kind": "level"}),
]:
    define_meter(code=code, name=code, event_type="llm.request", aggregation=aggregation, unit="u", values=values,
        dimensions=model, **more)
print(create_key("gateway", ["ingest", "backfill"])[1])
"""
CHECK = """
from django.core.management import call_command
from django.core.management.base import CommandError
try:
    call_command("rebuild_usage", check=True)
except CommandError as error:
    print(error)
"""


class Victims:
    """The site, and how each part of it is killed and comes back. Children are started by the main thread only."""

    def __init__(self, processes: Processes, stack: ExitStack, chance: random.Random) -> None:
        self.processes, self.stack, self.chance = processes, stack, chance
        self.folder = stack.enter_context(private_site.folder("chaos"))
        self.address = embedded.postgres.url(self.folder)
        self.database: Child = stack.enter_context(embedded.postgres.running(self.folder))
        self.web: Web

    def serve(self) -> None:
        names = {"DATABASE_URL": self.address, "INGEST_EVENTS_PER_SECOND": "10000000", "LOG_LEVEL": "ERROR"}
        self.web = self.processes.web(workers=WORKERS, threads=3, environment=names)

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.web.child.pid).children()
        return [each for each in children if each.status() != psutil.STATUS_ZOMBIE]

    def keep_running(self) -> None:
        """As the supervisor does: granian ends when a worker dies again within seconds of its start."""
        if not self.web.is_running():
            self.web.kill_group()
            self.serve()

    def wait_until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        def came_true() -> object:
            self.keep_running()
            return condition()

        wait_until(came_true, seconds, what)

    def kill(self, victim: str) -> None:
        kills: dict[str, Callable[[], None]] = {
            "granian worker": self._worker,
            "web server": self._web,
            "database": self._database,
            "database connection": self._connection,
        }
        kills[victim]()

    def _worker(self) -> None:
        """One of the two; granian starts another."""
        self.wait_until(self.workers, 30, "a granian worker")
        self.chance.choice(self.workers()).send_signal(signal.SIGKILL)

    def _web(self) -> None:
        self.web.kill_group()
        self.serve()

    def _database(self) -> None:
        private_site.kill_all(self.database)
        self.database = self.stack.enter_context(embedded.postgres.running(self.folder))

    def _connection(self) -> None:
        """PostgreSQL ends all other connections too, and recovers, when one dies like this."""
        self.wait_until(lambda: private_site.backends(self.database), 30, "a connection")
        self.chance.choice(private_site.backends(self.database)).send_signal(signal.SIGKILL)


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


@pytest.fixture
def victims(processes: Processes, seed: int) -> Iterator[Victims]:
    with ExitStack() as stack:
        yield Victims(processes, stack, random.Random(seed))  # noqa: S311


def test_nothing_is_lost_or_counted_twice(victims: Victims, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance, began = random.Random(seed), time.monotonic()  # noqa: S311
    secret = private_site.python(victims.address, PREPARE).split()[-1]
    victims.serve()
    replay = Replay(chance, secret, lambda: victims.web.base_url)
    clients = replay.run(CLIENTS)
    plan = [kill for _ in range(ROUNDS) for kill in chance.sample(KILLS, len(KILLS))]
    for victim in plan:
        answered = replay.answers["200"]
        victims.wait_until(lambda: replay.answers["200"] >= answered + MEET, 60, f"{MEET} answers")  # noqa: B023
        time.sleep(chance.uniform(0, 0.7))
        victims.kill(victim)
    victims.wait_until(lambda: len(replay.sent) >= TRACE, 120, "the whole of the traffic")
    victims.wait_until(lambda: len(victims.workers()) == WORKERS, 30, "two granian workers again")
    replay.finish()
    for client in clients:
        client.join(60)
    assert not any(client.is_alive() for client in clients)

    differences = private_site.python(victims.address, CHECK).splitlines()
    differing = [line for line in differences if not line.endswith("buckets = events")]
    with capsys.disabled():
        print(  # noqa: T201
            f"\n  seed {seed}: {len(plan)} kills ({_told(Counter(plan))}); {_told(replay.answers)}; "
            f"{len(replay.sent):,} events sent, {len(replay.acknowledged):,} acknowledged, "
            f"{len(differing)} differences; {time.monotonic() - began:.0f} s"
        )
    assert replay.wrong == []
    assert replay.acknowledged == set(replay.sent)
    assert_stored_once(victims.address, replay.sent)
    assert_counted(victims.address, replay.sent)
    assert differing == []
    assert len(differences) == 7


def assert_stored_once(address: str, sent: dict[Key, Event]) -> None:
    """Every event that was sent is stored once, as it was sent; and nothing else is."""
    with psycopg.connect(address) as private:
        rows = private.execute("SELECT customer, reference, properties, timestamp FROM meters_event").fetchall()
    assert len(rows) == len(sent)
    stored = {(customer, reference): (properties, at.isoformat()) for customer, reference, properties, at in rows}
    assert stored.keys() == sent.keys()
    for key, (properties, timestamp) in stored.items():
        assert properties == sent[key]["properties"]
        assert timestamp[:19] == str(sent[key]["timestamp"])[:19]


def assert_counted(address: str, sent: dict[Key, Event]) -> None:
    """Sums of tokens by customer and model, reckoned here from what was sent, without anything of ours."""
    expected: Counter[tuple[str, str, str]] = Counter()
    for (customer, _), event in sent.items():
        properties = event["properties"]
        assert isinstance(properties, dict)
        for kind in ("input", "output"):
            expected[customer, properties["model"], kind] += properties[f"{kind}_tokens"]
    with psycopg.connect(address) as private:
        rows = private.execute(
            "SELECT series.customer, dimensions->>'model', dimensions->>'token_type', sum(quantity)"
            " FROM meters_bucket JOIN meters_series AS series ON series.id = series_id"
            " JOIN meters_meter AS meter ON meter.id = meter_id WHERE meter.code = 'tokens' GROUP BY 1, 2, 3"
        ).fetchall()
    assert {tuple(key): total for *key, total in rows} == {key: Decimal(total) for key, total in expected.items()}


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} × {name}" for name, number in counts.most_common())
