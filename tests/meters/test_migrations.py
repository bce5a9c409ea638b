"""Migrations that move what is kept: forwards and back, over data."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from meters.backfills.rebuilding import differences
from meters.models import Bucket, DayTotal, Series
from meters.usage import day_totals
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def left_as_it_was() -> Iterator[None]:
    yield
    forwards()


def back_to(app: str, name: str) -> None:
    MigrationExecutor(connection).migrate([(app, name)])


def forwards() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_buckets_keep_all_they_say_when_their_key_changes(left_as_it_was: None) -> None:
    meter, calls = tokens_meter(), calls_meter()
    later = (NOON + timedelta(hours=14)).isoformat()
    send(event("r1"), event("r2", customer="globex"), event("r3", timestamp=later), event("r4", subscription="s1"))
    Bucket.objects.create(series=Series.objects.filter(meter=calls)[0], hour=NOON, slot=9, quantity=None, events=0)
    kept = rows("SELECT series_id, hour, slot, quantity, events FROM meters_bucket ORDER BY 1, 2, 3")
    assert len(kept) == 13

    back_to("meters", "0011_bucket_fillfactor")
    assert rows("SELECT series_id, hour, slot, quantity, events FROM meters_bucket ORDER BY 1, 2, 3") == kept
    assert rows("SELECT count(DISTINCT id) FROM meters_bucket") == [(13,)]
    assert rows(
        "SELECT count(*) FROM meters_bucket AS bucket JOIN meters_series AS series ON series.id = series_id"
        " WHERE series.customer <> bucket.customer"
    ) == [(0,)]
    rows(  # as every batch of then did
        "INSERT INTO meters_bucket AS bucket (customer, series_id, hour, slot, quantity, events)"
        " SELECT customer, series_id, hour, slot, quantity, 0 FROM meters_bucket"
        " ON CONFLICT (customer, series_id, hour, slot) DO UPDATE SET events = bucket.events RETURNING id"
    )
    assert guards() == ["days_of_deleted_buckets", "no_truncate"]

    forwards()
    assert rows("SELECT series_id, hour, slot, quantity, events FROM meters_bucket ORDER BY 1, 2, 3") == kept
    assert guards() == ["days_of_deleted_buckets", "no_truncate"]
    assert (differences(meter), differences(calls)) == ([], [])
    send(event("r5"))
    assert differences(meter) == []
    day_totals.close(NOON + timedelta(days=1))
    while day_totals.work():
        pass
    Bucket.objects.filter(series__customer="globex").delete()
    assert set(DayTotal.objects.filter(stale=True).values_list("customer", flat=True)) == {"globex"}


def guards() -> list[str]:
    names = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'meters_bucket'::regclass AND NOT tgisinternal ORDER BY 1"
    return [name.removeprefix("pgtrigger_").rpartition("_")[0] for (name,) in rows(names)]
