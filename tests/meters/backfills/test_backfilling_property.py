"""Any history, with a meter made or changed anywhere in it and its job killed anywhere, equals a naive recount."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_site.foundation.periods import Period
from meters.backfills import backfilling
from meters.backfills import leases as backfill_leases
from meters.backfills import work as backfill_work
from meters.backfills.rebuilding import rebuild
from meters.definitions.drafts import DimensionDraft, MeterDraft, ValueDraft
from meters.definitions.metering import change, create, draft_of
from meters.models import Backfill, Bucket, Meter, Point, UniqueValue
from meters.usage.reading import Window, read
from tests.meters import naive
from tests.meters.making import NOON
from tests.meters.usage.test_aggregations import EVERY, PHASES, _event, _facts, _send_in_batches, codes, sent_events

pytestmark = pytest.mark.django_db

ALL = Period(NOON, NOON + timedelta(hours=5, minutes=17))


class Killed(Exception):
    """The worker is gone, and with it its transaction."""


def drafted(name: str, event_type: str) -> MeterDraft:
    asked = EVERY[name]
    return MeterDraft(
        code=f"m{next(codes)}",
        name="M",
        event_type=event_type,
        aggregation=asked.aggregation,
        value_kind=asked.value_kind,
        recurring=asked.recurring,
        rounding=asked.rounding[0],
        rounding_places=asked.rounding[1],
        unit="u",
        values=() if name == "count" else (ValueDraft("", "v"),),
        dimensions=(DimensionDraft("model", "model"), DimensionDraft("region", "region")),
    )


def turn(meter: Meter, *, killed: bool) -> None:
    """One chunk, which is done or, after all its statements, undone; whoever comes next may take it at once."""
    job = Backfill.objects.filter(meter=meter).order_by("-pk")[:1]
    moved = backfill_leases._moved

    def die(*args: Any, **changes: Any) -> None:
        moved(*args, **changes)
        raise Killed

    with mock.patch.object(backfill_leases, "_moved", die if killed else moved):
        try:
            backfill_work.work(job[0].pk if job else 0, "w", turn=timedelta(0))
        except Killed:
            Backfill.objects.filter(status__in=backfill_leases.IN_WORK).update(leased_until=None, failures=0)


@settings(max_examples=6, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), before=sent_events, after=sent_events, chunk=st.integers(1, 6))
def test_any_history_is_counted_once(data: st.DataObject, before: list[Any], after: list[Any], chunk: int) -> None:
    run = f"t{next(codes)}"
    rows = [*before, *after]
    names = data.draw(st.lists(st.sampled_from(sorted(EVERY)), min_size=2, max_size=3, unique=True))
    changed = data.draw(st.booleans())
    with override_settings(BACKFILL_CHUNK_EVENTS=chunk):
        early = [create(drafted(names[-1], run))] if changed else []
        order = _send_in_batches(data, run, before)
        meters = [create(drafted(name, run)) for name in names[: len(names) - changed]]
        for meter in early:  # it counted by another definition until now
            change(meter, replace(draft_of(meter), dimensions=()))
            turn(meter, killed=data.draw(st.booleans()))
            change(meter, replace(drafted(names[-1], run), code=meter.code))
        meters += early
        _turns(data, meters)
        # References go on where those before end, so that none is taken for a repetition.
        later = _sent_after(data, run, after, len(before))
        order |= {len(before) + number: len(before) + place for number, place in later.items()}
        _turns(data, meters)
        for meter in meters:
            backfilling.run(meter)
    facts = {name: _facts(name, rows, order) for name in names}
    for name, meter in zip(names, meters, strict=True):
        found = read([Window(1, (f"{run}c", f"{run}d"), meter.pk, ALL)])[1]
        told = {tuple(each.dimensions.items()): (each.quantity, each.events) for each in found}
        assert told == naive.usage(EVERY[name], facts[name], ALL, None), name
        assert rebuild(meter) == [], name
        meter.refresh_from_db()
        for kept in (Bucket, Point, UniqueValue):
            assert not kept.objects.filter(series__meter=meter, series__generation__lt=meter.generation).exists()


def _turns(data: st.DataObject, meters: list[Meter]) -> None:
    for _ in range(data.draw(st.integers(0, 6))):
        meter = data.draw(st.sampled_from(meters))
        turn(meter, killed=data.draw(st.booleans()))
        assert rebuild(meter) == [], "what is counted so far is what those events come to"


def _sent_after(data: st.DataObject, run: str, rows: list[Any], first: int) -> dict[int, int]:
    with mock.patch("tests.meters.usage.test_aggregations._event", _shifted(first)):
        return _send_in_batches(data, run, rows)


def _shifted(first: int) -> Any:
    return lambda run, reference, row: _event(run, f"r{first + int(reference[1:]):03}", row)
