"""How far stored events are counted, in a real browser: a real worker, a hostile name, a desk and a phone."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from meters.definitions.metering import create
from meters.models import Backfill
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.meters.backfills.test_backfilling import CALLS, turn
from tests.meters.making import event, send
from tests.processes import Processes, wait_until

pytestmark = pytest.mark.browser

ATTACK = "<img src=x onerror=alert(1)> " + "long" * 40


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_meter_counts_what_is_stored(
    size: tuple[int, int], processes: Processes, signed_in: Callable[..., Operator], settings: object
) -> None:
    settings.BACKFILL_CHUNK_EVENTS = 2  # type: ignore[attr-defined]
    send(*(event(f"r{n}", type=ATTACK) for n in range(6)), *(event(f"s{n}") for n in range(1_200)))
    web = processes.web()
    operator = signed_in(web.base_url, size)
    operator.go("/admin/meters/meter/add/")
    operator.enter("event_type", ATTACK)
    operator.sees("6 events of the type")
    operator.enter("event_type", "nobody sent it")
    operator.sees("there is nothing to count")
    operator.enter("event_type", "llm.request")
    operator.sees("1,200 events of the type “llm.request” are stored")
    fits(operator, "add")
    operator.fill(name="Calls", code="calls", unit="call", aggregation="Count: how many events")
    operator.press("Save")
    operator.sees("Counting stored events…", "Waiting for a worker", "0 %")

    failed = create(replace(CALLS, code="failed", name=ATTACK[:190], event_type=ATTACK))
    turn(failed)
    Backfill.objects.filter(meter=failed).update(status="failed", error=f"DataError: {ATTACK}")
    operator.go(f"/admin/meters/meter/{failed.pk}/change/")
    operator.sees("The count of stored events failed", ATTACK[:30])
    fits(operator, "failed")
    operator.go("/admin/meters/meter/")
    operator.sees("failed at 0 %")
    fits(operator, "list")

    made = Backfill.objects.exclude(meter=failed).get()
    turn(made.meter, 150)
    operator.go(f"/admin/meters/meter/{made.meter_id}/change/")
    operator.sees("Counting stored events…", "left")
    fits(operator, "counting")
    processes.worker()
    processes.beat(environment={"BACKFILL_BEAT_SECONDS": "1"})
    expect(operator.page.locator("#counting")).to_contain_text("Stored events are counted", timeout=60_000)
    expect(operator.page.locator("#counting")).to_contain_text("1,200 stored events")
    fits(operator, "counted")
    operator.go(f"/admin/meters/meter/{failed.pk}/change/")
    operator.press("Go on")
    wait_until(lambda: Backfill.objects.get(meter=failed).status == "done", 30, "the count to go on")


def fits(operator: Operator, name: str) -> None:
    """Not wider than the window. SCREENSHOTS names a folder to keep pictures in."""
    held, window = operator.widths()
    if folder := os.environ.get("SCREENSHOTS"):
        operator.page.screenshot(path=f"{folder}/backfill-{name}-{window}.png", full_page=True)
    assert held <= window
