"""Bodies of POST /v1/events that are gzip: bounded by what they inflate to."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from billing_site.foundation import clock
from meters.events.compression import NotGzip, TooLarge, inflate
from meters.models import Event
from tests.meters.conftest import Sender
from tests.meters.making import event

pytestmark = pytest.mark.django_db
GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture
def post(sender: Callable[..., Sender]) -> Sender:
    return sender("ingest")


def body(*references: str) -> bytes:
    return json.dumps([event(each, timestamp=clock.now().isoformat()) for each in references]).encode()


@pytest.mark.parametrize("name", ["gzip", "GZIP", " gzip "])
def test_it_is_read(post: Sender, name: str) -> None:
    answer = post(gzip.compress(body("r1", "r2")), **{"Content-Encoding": name})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "duplicates": 0, "rejected": []})
    assert sorted(Event.objects.values_list("reference", flat=True)) == ["r1", "r2"]


def test_members_one_after_another_are_one_body(post: Sender) -> None:
    whole = body("r1", "r2")
    answer = post(gzip.compress(whole[:40]) + gzip.compress(b"") + gzip.compress(whole[40:]), **GZIP)
    assert answer.json()["accepted"] == 2


@pytest.mark.parametrize(
    "broken",
    [
        body("r1"),
        gzip.compress(body("r1"))[:-9],
        gzip.compress(body("r1"))[:30],
        gzip.compress(body("r1"))[:-8] + b"\0\0\0\0\0\0\0\0",
        gzip.compress(body("r1")) + b"rest",
        b"\x1f\x8b",
    ],
    ids=["plain", "no end", "half", "another checksum", "a rest", "a beginning"],
)
def test_broken(post: Sender, broken: bytes) -> None:
    answer = post(broken, **GZIP)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "malformed_gzip")
    assert not Event.objects.exists()


def test_nothing_in_it(post: Sender) -> None:
    for nothing in (b"", gzip.compress(b"")):
        answer = post(nothing, **GZIP)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "malformed_json")


def test_the_inflated_size_counts(post: Sender, settings: Any) -> None:
    whole = body("r1")
    settings.INGEST_MAX_BYTES = len(whole)
    assert post(gzip.compress(whole), **GZIP).json()["accepted"] == 1
    settings.INGEST_MAX_BYTES = len(whole) - 1
    answer = post(gzip.compress(whole), **GZIP)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "body_too_large")
    assert f"inflates to more than {len(whole) - 1:,} bytes" in answer.json()["errors"][0]["message"]


def test_a_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(b"\0" * 300_000_000, 9)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(bomb, 1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_inflate_is_exact() -> None:
    assert inflate(gzip.compress(b"12345"), 5) == b"12345"
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"12345"), 4)
    with pytest.raises(NotGzip):
        inflate(b"12345", 5)
