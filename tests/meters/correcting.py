"""Voiding and amending for tests."""

import json
from datetime import timedelta
from typing import Any

from billing_site.foundation.api_keys import create_key
from meters.corrections import correcting as corrections
from meters.corrections.correcting import By
from meters.models import Correction
from tests.meters.making import LIMITS, NOON

NOW = NOON + timedelta(days=1)


def by_a_key() -> By:
    return By(api_key=create_key("support desk", ["correct"])[0])


def event_of(customer: str, reference: str) -> int:
    return corrections.find([(customer, reference)])[customer, reference]


def void(event: int, reason: str = "sent twice", by: By | None = None) -> Correction:
    return corrections.void(event, reason, by or by_a_key(), NOW, LIMITS)


def amend(event: int, changes: dict[str, Any], reason: str = "wrong model", by: By | None = None) -> Correction:
    """`changes` as they come in a body. Raises Refused also for what cannot be read."""
    amendment = corrections.read_amendment(json.dumps({"reason": reason, **changes}).encode(), NOW, LIMITS)
    return corrections.amend(event, amendment, by or by_a_key(), NOW, LIMITS)
