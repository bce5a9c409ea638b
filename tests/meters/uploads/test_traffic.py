"""The whole of the shipped traffic in one file: every event of it is accepted, and every token counted."""

import gzip
import json
from decimal import Decimal

import pytest
from django.db.models import Sum

from billing_site.demo import traffic
from billing_site.foundation import clock
from meters.files.mapping import Mapping
from meters.models import Bucket, Event, Upload
from meters.uploads import uploading
from meters.uploads import work as upload_work
from tests.meters.making import tokens_meter
from tests.meters.uploads.making import somebody, totals, upload

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = 28_185  # and, by the publisher, these tokens:
TOKENS = {
    ("model-a", "input"): 22_361_870,
    ("model-a", "output"): 4_088_665,
    ("model-b", "input"): 18_059_974,
    ("model-b", "output"): 245_896,
}


def done(found: Upload) -> None:
    while upload_work.work(found.pk, "here"):
        pass  # turns end after some seconds
    found.refresh_from_db()


@pytest.mark.parametrize("kind", ["jsonl.gz", "json"])
def test_in_one_go(kind: str) -> None:
    tokens_meter()
    lines = [json.dumps(event) for event in traffic.events("acme")]
    data = gzip.compress("\n".join(lines).encode()) if kind == "jsonl.gz" else f"[{','.join(lines)}]".encode()
    found = upload(data, f"traffic.{kind}")
    uploading.check(found.pk, Mapping(), clock.now(), backfill=True)
    done(found)
    assert (found.status, totals(found, "check")) == ("checked", {"accepted": EVENTS})
    uploading.load(found.pk, somebody(), clock.now(), backfill=True)
    done(found)
    assert (found.status, totals(found, "load")) == ("done", {"accepted": EVENTS})

    assert Event.objects.count() == EVENTS
    names = ("series__dimensions__model", "series__dimensions__token_type")
    counted = {
        (model, kind): total for model, kind, total in Bucket.objects.values_list(*names).annotate(Sum("quantity"))
    }
    assert counted == {key: Decimal(total) for key, total in TOKENS.items()}
