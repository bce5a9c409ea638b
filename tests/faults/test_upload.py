"""The shipped traffic, uploaded through the admin and loaded by real workers of which one is killed in the middle."""

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Max, Min, Sum
from django.test import Client

from billing_site.demo import traffic
from meters.models import Bucket, Event, Upload, UploadResult
from tests.meters.making import tokens_meter
from tests.processes import Processes, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]

QUICK = {"UPLOAD_LEASE_SECONDS": "2", "UPLOAD_BEAT_SECONDS": "1"}
FILE = Path(traffic.__file__).parent / "conv.csv.gz"
EVENTS = 19_366
MAPPING = {
    "do": "check",
    "target-0": "timestamp",
    "target-1": "property",
    "property-1": "input_tokens",
    "target-2": "property",
    "property-2": "output_tokens",
    "constant-type": "llm.request",
    "constant-customer": "acme",
    "properties": "model = conv",
    "timezone": "UTC",
}


def expected() -> tuple[int, int, int]:
    """Rows and token sums, read from the file without anything of ours."""
    with gzip.open(FILE, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    return len(rows), sum(int(row["ContextTokens"]) for row in rows), sum(int(row["GeneratedTokens"]) for row in rows)


@pytest.fixture
def operator(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("dana"))
    return client


def uploaded(operator: Client) -> Upload:
    answer = operator.post("/admin/meters/upload/add/", {"file": SimpleUploadedFile(FILE.name, FILE.read_bytes())})
    assert answer.status_code == 302
    return Upload.objects.latest("pk")


def begin(operator: Client, found: Upload, sent: dict[str, str]) -> None:
    assert operator.post(f"/admin/meters/upload/{found.pk}/change/", sent).status_code == 302


def come_to(found: Upload, status: str) -> None:
    def there() -> bool:
        found.refresh_from_db()
        assert found.status != "failed", found.error
        return found.status == status

    wait_until(there, 90, f"the upload to be {status}")


def sums(found: Upload, step: str) -> dict[str, Any]:
    names = ("accepted", "duplicates", "rejected")
    return UploadResult.objects.filter(upload=found, step=step).aggregate(**{name: Sum(name) for name in names})


@pytest.mark.parametrize("place", ["upload: stored, before commit", "upload: between two parts"])
def test_killed_in_the_middle(place: str, operator: Client, processes: Processes, tmp_path: Path) -> None:
    rows, tokens_in, tokens_out = expected()
    assert rows == EVENTS
    tokens_meter()
    found = uploaded(operator)
    assert (found.rows, found.columns) == (EVENTS, ["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
    marker = tmp_path / "stopped"
    stopping = {**QUICK, "STOP_AT": place, "STOP_MARKER": str(marker)}
    doomed = processes.worker(app="tests.faults.stopping", environment=stopping)
    processes.beat(environment=QUICK)
    begin(operator, found, MAPPING)
    come_to(found, "checked")
    assert sums(found, "check") == {"accepted": EVENTS, "duplicates": 0, "rejected": 0}

    begin(operator, found, {"do": "load"})
    doomed.wait_until(marker.exists, 60, f"come to: {place}")
    doomed.kill_group()
    loaded = Event.objects.count()
    found.refresh_from_db()
    assert (found.status, loaded) == ("loading", found.next_part * 1_000)
    assert 0 < loaded < EVENTS
    processes.worker(environment=QUICK)
    come_to(found, "done")

    assert sums(found, "load") == {"accepted": EVENTS, "duplicates": 0, "rejected": 0}
    assert Event.objects.filter(customer="acme", type="llm.request").count() == Event.objects.count() == EVENTS
    assert dict(Bucket.objects.values_list("series__dimensions__token_type").annotate(Sum("quantity"))) == {
        "input": Decimal(tokens_in),
        "output": Decimal(tokens_out),
    }
    assert_times()
    assert found.takes >= 3

    again = uploaded(operator)
    begin(operator, again, MAPPING)
    come_to(again, "checked")
    begin(operator, again, {"do": "load"})
    come_to(again, "done")
    assert sums(again, "load") == {"accepted": 0, "duplicates": EVENTS, "rejected": 0}
    assert Event.objects.count() == EVENTS


def assert_times() -> None:
    """The file's are UTC; of their seven decimals the seventh is cut."""
    with gzip.open(FILE, "rt", newline="") as text:
        times = [row["TIMESTAMP"] for row in csv.DictReader(text)]
    first, last = (datetime.fromisoformat(time[:26]).replace(tzinfo=UTC) for time in (min(times), max(times)))
    assert Event.objects.aggregate(first=Min("timestamp"), last=Max("timestamp")) == {"first": first, "last": last}
