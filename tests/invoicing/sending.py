"""Usage by the product's own way in, so that usage changes are written as they are in production."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count

from meters.definitions.metering import define_meter
from meters.events.decoding import Batch, SentEvent
from meters.ingestion.ingest import Outcome, accept
from meters.models import Meter

_numbers = count(1)


def requests_meter() -> Meter:
    """How many requests, by model."""
    return define_meter(
        code="requests",
        name="Requests",
        event_type="request",
        aggregation="count",
        unit="request",
        dimensions=[("model", "model")],
    )


def event(at: datetime, quantity: int = 1, model: str | None = "a", customer: str = "acme") -> SentEvent:
    return SentEvent(
        index=0,
        reference=f"sent-{next(_numbers):06}",
        type="request",
        customer=customer,
        timestamp=at,
        value=Decimal(quantity),
        status="succeeded",
        subscription="",
        properties={} if model is None else {"model": model},
    )


def send(events: Sequence[SentEvent]) -> Outcome:
    return accept(Batch(events=list(events)))
