"""An event as it was sent, once it is known to be one. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

MAX_EVENT_BYTES = 65_536


class SentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as it was sent: checked, its timestamp in UTC, its numbers exact. `index`: its place in the body."""

    index: int
    reference: str
    type: str
    customer: str
    timestamp: datetime
    value: Decimal | None
    status: str
    subscription: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """How many events a body may hold, and how far an event may lie from now; `past` None: as old as it likes.

    `older`: how the sender comes to send events that are older.
    """

    max_events: int
    future: timedelta
    past: timedelta | None
    older: str = "use an API key with the scope “backfill”"
