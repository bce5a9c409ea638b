"""A meter that is made after its events: an invoice waits until all of them are counted, and goes on by itself."""

from datetime import timedelta

import pytest
from django.conf import settings

from invoicing.models import Invoice
from meters.backfills import backfilling
from meters.backfills import work as backfill_work
from meters.definitions.drafts import MeterDraft
from meters.definitions.metering import create
from meters.models import Backfill
from tests.invoicing.running import lines, plan_with, run, subscribed, utc
from tests.invoicing.sending import event, send

pytestmark = pytest.mark.django_db

END = utc(2024, 2, 1)
CLOSING = END + timedelta(hours=2)
REQUESTS = MeterDraft(code="requests", name="Requests", event_type="request", aggregation="count", unit="request")


def test_the_invoice_waits_and_goes_on_by_itself(settings_of_a_chunk: None) -> None:
    send([event(utc(2024, 1, 10, hour)) for hour in range(5)])
    meter = create(REQUESTS)
    subscribed(plan_with(meter, price="2"))
    run(END + timedelta(minutes=1))
    run(CLOSING)
    draft = Invoice.objects.get(kind="period", period_end=END)
    assert (draft.status, draft.number, lines(draft)) == ("draft", "", [])
    assert "is still counting stored events (0 %)" in draft.hold_reason

    backfill_work.work(Backfill.objects.get().pk, "w", turn=timedelta(0))
    later = CLOSING + settings.INVOICE_REFRESH + timedelta(minutes=1)
    Invoice.objects.update(rated_at=CLOSING)
    run(later)
    draft.refresh_from_db()
    assert (draft.status, lines(draft)) == ("draft", []), "two of five are not the quantity"
    assert "(40 %)" in draft.hold_reason

    backfilling.run(meter)
    Invoice.objects.update(rated_at=CLOSING)
    run(later)
    draft.refresh_from_db()
    assert (draft.status, draft.hold_reason, lines(draft)) == ("finalized", "", [("Requests", "5", "10.00")])


@pytest.fixture
def settings_of_a_chunk(settings: object) -> None:
    settings.BACKFILL_CHUNK_EVENTS = 2  # type: ignore[attr-defined]
