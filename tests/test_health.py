"""`/healthz` and `/readyz`: what they say, when, and to whom."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from celery.signals import after_task_publish, beat_init, heartbeat_sent, worker_shutdown
from django.db import OperationalError
from django.db.backends.postgresql.base import DatabaseWrapper
from django.test import Client

from billing_site import heartbeats
from tests.processes import Processes, wait_until


@pytest.fixture(autouse=True)
def _no_signs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(heartbeats._process, "is_beat", False)
    with heartbeats.connect() as client_:
        client_.delete(heartbeats.WORKER, heartbeats.BEAT)
        yield
        client_.delete(heartbeats.WORKER, heartbeats.BEAT)


def ready(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["parts"]


def test_alive_asks_nobody(client: Client) -> None:
    """No database fixture: a query would fail the test."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, {"status": "ok"}, "no-store")


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_a_load_balancer_may_ask_by_any_name(client: Client, address: str, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(address, HTTP_HOST="10.1.2.3:8000").status_code in (200, 503)


@pytest.mark.django_db
def test_ready_when_a_worker_gives_signs(client: Client) -> None:
    status, parts = ready(client)
    assert (status, parts["worker"]) == (503, "no sign of life in the last 15 seconds")
    heartbeat_sent.send(sender=None)
    status, parts = ready(client)
    assert (status, parts["database"], parts["redis"], parts["worker"]) == (200, "ok", "ok", "ok")
    assert parts["beat"].startswith("no sign of life")  # told, but no reason not to serve


@pytest.mark.django_db
def test_a_sign_of_a_worker_that_died_ends_by_itself_and_of_one_that_leaves_at_once(client: Client) -> None:
    heartbeat_sent.send(sender=None)
    with heartbeats.connect() as signs:
        assert 0 < signs.ttl(heartbeats.WORKER) <= heartbeats.WORKER_SECONDS
    worker_shutdown.send(sender=None)
    assert ready(client)[0] == 503


@pytest.mark.django_db
def test_beat_signs_when_it_starts_and_when_it_sends(client: Client) -> None:
    after_task_publish.send(sender="x")  # any process that sends a task
    assert ready(client)[1]["beat"] != "ok"
    beat_init.send(sender=None)
    assert ready(client)[1]["beat"] == "ok"
    with heartbeats.connect() as signs:
        signs.delete(heartbeats.BEAT)
    after_task_publish.send(sender="x")
    assert ready(client)[1]["beat"] == "ok"


@pytest.mark.django_db
def test_without_redis_it_is_not_ready_and_says_no_more(client: Client, settings: Any) -> None:
    settings.REDIS_URL = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "database": "ok",
        "redis": "cannot be reached",
        "worker": "unknown",
        "beat": "unknown",
    }
    assert "hunter2" not in answer.content.decode()
    heartbeats.give(heartbeats.WORKER, 5)  # a worker goes on without Redis


def test_without_the_database_it_is_not_ready_and_says_no_more(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: DatabaseWrapper, *args: Any) -> None:
        raise OperationalError('connection to "db.internal" as tallybook:hunter2 failed')

    heartbeat_sent.send(sender=None)
    monkeypatch.setattr(DatabaseWrapper, "cursor", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["database"] == "cannot be reached"
    for secret in ("hunter2", "internal"):
        assert secret not in json.dumps(answer.json())


def test_health_does_not_fill_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/healthz")
    assert not caplog.records


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_real_workers_and_beat_give_signs_and_take_them_back(client: Client, processes: Processes) -> None:
    worker = processes.worker()
    wait_until(lambda: ready(client)[1]["worker"] == "ok", 20, "a sign of the worker")
    beat = processes.beat()
    wait_until(lambda: ready(client)[1]["beat"] == "ok", 20, "a sign of beat")
    assert ready(client)[0] == 200
    beat.stop()
    worker.stop()
    assert ready(client)[0] == 503
