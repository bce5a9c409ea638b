"""RFC 3339 timestamps. Pure."""

import re
from datetime import UTC, datetime

from meters.events.values import Unfit

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:(?P<second>\d\d)(\.\d+)?(?P<offset>[Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
MEND = "use RFC 3339 with an offset, for example 2026-03-01T12:00:00Z"


def parse(text: str, field: str) -> datetime:
    """The instant in UTC, cut (never rounded) to the microsecond. Raises Unfit.

    A leap second, 23:59:60 UTC, is the last microsecond of its minute, so that it stays in its day.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise Unfit("invalid_timestamp", f"{field} is “{text[:60]}”: {MEND}.", field)
    if match["offset"] is None:
        raise Unfit("timestamp_without_offset", f"{field} is “{text}”, which names no offset: {MEND}.", field)
    leap = match["second"] == "60"
    if leap:
        start = match.start("second")
        text = f"{text[:start]}59.999999{match['offset']}"
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unfit("invalid_timestamp", f"{field} is “{text}”, which does not exist: {MEND}.", field) from None
    if leap and (instant.hour, instant.minute) != (23, 59):
        raise Unfit("invalid_timestamp", f"{field} has a 60th second, which only 23:59 UTC can have.", field)
    return instant
