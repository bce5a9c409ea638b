"""Senders while the database is stopped, and while somebody counts a meter anew: told to come again, nothing lost."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction

from billing_site import embedded
from billing_site.foundation import clock
from meters.measuring import registry
from meters.models import Event
from tests import private_site
from tests.meters.conftest import Sender
from tests.meters.making import event, tokens_meter
from tests.processes import Processes, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PREPARE = """
from django.core.management import call_command
from billing_site.foundation.api_keys import create_key
call_command("migrate", verbosity=0)
print(create_key("gateway", ["ingest"])[1])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """For a server of this test's own."""
    with private_site.folder("away") as data:
        yield data


def test_a_database_that_stops_and_comes_back(processes: Processes, folder: Path) -> None:
    address = embedded.postgres.url(folder)
    with ExitStack() as server:
        server.enter_context(embedded.postgres.running(folder))
        key = private_site.python(address, PREPARE).split()[-1]
        web = processes.web(environment={"DATABASE_URL": address})

        def post(reference: str) -> tuple[int, int, dict[str, Any]]:
            """Status, seconds after which to come again, and the answer."""
            client = http.client.HTTPConnection(urlsplit(web.base_url).netloc, timeout=30)
            body = json.dumps(event(reference, timestamp=clock.now().isoformat()))
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Host": "localhost"}
            client.request("POST", "/v1/events", body, headers)
            answer = client.getresponse()
            return answer.status, int(answer.headers.get("Retry-After", 0)), json.load(answer)

        assert post("r1")[0] == 200
        server.close()
        for _ in range(4):  # a connection that was open, and new ones, on every thread
            status, wait, answer = post("r2")
            assert (status, answer["errors"][0]["code"]) == (503, "database_unavailable")
            assert wait > 0
        server.enter_context(embedded.postgres.running(folder))
        wait_until(lambda: post("r2")[0] == 200, what="the sender's next attempt")
        with psycopg.connect(address) as private:
            found = private.execute("SELECT reference FROM meters_event ORDER BY reference").fetchall()
        assert found == [("r1",), ("r2",)]
        web.stop()


def test_a_meter_that_is_counted_anew_makes_senders_come_again(sender: Callable[..., Sender]) -> None:
    tokens_meter()
    post, answers = sender("ingest"), []

    def send() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        answers.append(post(event(timestamp=clock.now().isoformat())))
        connection.close()

    with transaction.atomic():
        registry.lock()
        sending = Thread(target=send)
        sending.start()
        sending.join(30)
    [answer] = answers
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "busy")
    assert int(answer["Retry-After"]) > 0
    assert not Event.objects.exists()
    assert post(event(timestamp=clock.now().isoformat())).json()["accepted"] == 1
