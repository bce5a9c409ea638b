"""The processes that tests start are real, work on the test's own database, and are gone afterwards."""

import os

import psutil
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from httpx2 import Client

from billing_site.celery import app
from tests.processes import NotReadyError, Processes, database_url, wait_until


def sign_in(base_url: str, username: str, password: str) -> int:
    with Client(base_url=base_url, follow_redirects=False) as client:
        client.get("/admin/login/")
        answer = client.post(
            "/admin/login/",
            data={"username": username, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]},
        )
        return answer.status_code


def test_web_serves_what_the_test_has_written(processes: Processes) -> None:
    get_user_model().objects.create_superuser("ada", password="a long password for ada")

    web = processes.web(workers=2)

    assert sign_in(web.base_url, "ada", "a long password for ada") == 302
    assert sign_in(web.base_url, "ada", "another password") == 200


def test_the_worker_takes_from_this_tests_queue(processes: Processes) -> None:
    worker = processes.worker()

    wait_until(lambda: app.control.ping(timeout=0.5), what="the worker's answer")

    name = f"worker-{worker.child.pid}@"
    assert [next(iter(answer)).startswith(name) for answer in app.control.ping(timeout=1.0)] == [True]


def test_kill_group_leaves_no_child_running(processes: Processes) -> None:
    worker = processes.worker(concurrency=2)
    family = psutil.Process(worker.child.pid).children(recursive=True)
    assert len(family) == 2

    worker.kill_group()

    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert worker.child.returncode == -9


def test_beat_starts_and_stops(processes: Processes) -> None:
    beat = processes.beat()

    assert beat.is_running()
    beat.stop()
    assert beat.child.returncode == 0


def test_a_process_that_cannot_start_says_why(processes: Processes) -> None:
    with pytest.raises(NotReadyError, match="no_such_app"):
        processes.worker(app="no_such_app")


def test_the_address_names_the_test_database() -> None:
    name = connection.settings_dict["NAME"]

    assert name.startswith("test_")
    assert f"/{name}?" in database_url() or database_url().endswith(f"/{name}")
    assert database_url() != os.environ["DATABASE_URL"]
