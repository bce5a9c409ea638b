"""Events that are corrected while a meter still counts what was stored before it: each form counts once, or not."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from billing_site.foundation.errors import Refused
from meters.backfills import backfilling
from meters.backfills import work as backfill_work
from meters.backfills.rebuilding import differences, rebuild
from meters.definitions.metering import create
from meters.models import Meter
from tests.meters.backfills.test_backfilling import NO_TURN, draft_for, job_of
from tests.meters.correcting import amend, event_of, void
from tests.meters.making import send
from tests.meters.usage.test_aggregations import at

RUNS = count()
KINDS = ("sum", "max", "min", "average", "latest", "unique", "levels", "deltas")


def turn(meter: Meter) -> None:
    backfill_work.work(job_of(meter).pk, "w", turn=NO_TURN)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_before_and_after_the_job_has_come_to_it(kind: str, settings: Any) -> None:
    settings.BACKFILL_CHUNK_EVENTS = 2
    send(*(at(n / 10, f"r{n}", 10 + n, model="a") for n in range(6)))
    meter = create(draft_for(kind))
    turn(meter)  # r0 and r1 are counted
    void(event_of("acme", "r1"))
    void(event_of("acme", "r5"))
    amend(event_of("acme", "r0"), {"properties": {"v": 3, "model": "b"}})
    amend(event_of("acme", "r4"), {"properties": {"v": 99, "model": "a"}})
    amend(event_of("acme", "r4"), {"properties": {"v": 98, "model": "a"}}, reason="still wrong")
    assert rebuild(meter) == [], "what is not counted yet is no difference"
    backfilling.run(meter)
    assert differences(meter) == []


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["turn", "void", "amend", "send"]), st.integers(0, 9), st.integers(0, 20)), max_size=12
)


@pytest.mark.django_db(transaction=True)
@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), actions=ACTIONS)
def test_whatever_is_done_meanwhile(kind: str, actions: list[tuple[str, int, int]], settings: Any) -> None:
    run = f"run-{next(RUNS)}-"
    settings.BACKFILL_CHUNK_EVENTS = 3
    send(*(at(n / 4, f"{run}{n}", n, model="ab"[n % 2]) for n in range(8)))
    meter = create(draft_for(kind, code=f"{run}meter"))
    steps: dict[str, Callable[[int, int], object]] = {
        "turn": lambda *_: turn(meter),
        "void": lambda n, _: void(event_of("acme", f"{run}{n % 8}")),
        "amend": lambda n, value: amend(
            event_of("acme", f"{run}{n % 8}"), {"properties": {"v": value, "model": "ab"[value % 2]}}, f"{value}"
        ),
        "send": lambda n, value: send(at(n / 4, f"{run}new{n}", value, model="a")),
    }
    for action, n, value in actions:
        try:
            steps[action](n, value)
        except Refused:
            assert action in ("void", "amend"), "what was voided stays so"
    backfilling.run(meter)
    assert differences(meter) == []
