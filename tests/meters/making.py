"""Meters and events for tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from meters.definitions.metering import define_meter
from meters.events.decoding import Batch, Limits, decode
from meters.ingestion.ingest import Outcome, accept
from meters.models import Meter

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LIMITS = Limits(max_events=5_000, future=timedelta(minutes=5), past=None)


def tokens_meter(**changes: Any) -> Meter:
    """Input and output tokens, by model."""
    return define_meter(
        **{
            "code": "llm_tokens",
            "name": "LLM tokens",
            "event_type": "llm.request",
            "aggregation": "sum",
            "unit": "token",
            "values": [("input", "input_tokens"), ("output", "output_tokens")],
            "label_dimension": "token_type",
            "dimensions": [("model", "model")],
            **changes,
        }
    )


def calls_meter(**changes: Any) -> Meter:
    """One per event."""
    return define_meter(
        **{
            "code": "api_calls",
            "name": "API calls",
            "event_type": "llm.request",
            "aggregation": "count",
            "unit": "call",
            **changes,
        }
    )


def event(reference: str = "r1", **changes: Any) -> dict[str, Any]:
    """An event as it is sent: 100 tokens in, 10 out, on model-a."""
    return {
        "reference": reference,
        "type": "llm.request",
        "customer": "acme",
        "timestamp": NOON.isoformat(),
        "properties": {"model": "model-a", "input_tokens": 100, "output_tokens": 10},
        **changes,
    }


def read_batch(*events: dict[str, Any]) -> Batch:
    return decode(json.dumps(events).encode(), NOON + timedelta(days=1), LIMITS)


def send(*events: dict[str, Any]) -> Outcome:
    """Accept events, none of which may be malformed."""
    batch = read_batch(*events)
    assert not batch.rejected, batch.rejected
    return accept(batch)
