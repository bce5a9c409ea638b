"""Timestamps as files have them: with or without an offset, in a timezone that somebody chose. Pure."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from meters.events.values import Unfit

_TOLERANT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)([Tt ](?P<minute>\d\d:\d\d)(:(?P<second>\d\d)(?P<fraction>\.\d+)?)?)?"
    r"\s?(?P<offset>[Zz]|UTC|GMT|[+-]\d\d(:?\d\d)?)?",
    re.ASCII,
)
_MEND = "write it as 2026-03-01 12:00:00, with +01:00 behind when it is not of the timezone chosen for the file"


def to_utc(text: str, zone: ZoneInfo, field: str) -> str:
    """RFC 3339 in UTC, every digit of the fraction kept; a time without an offset is of `zone`. Raises Unfit.

    A local time that happens twice, or not at all, when clocks change is refused: which instant is meant is not known.
    """
    match = _TOLERANT.fullmatch(text)
    if match is None:
        raise Unfit("invalid_timestamp", f"{field} is “{text[:60]}”: {_MEND}.", field)
    clock = f"{match['day']}T{match['minute'] or '00:00'}:{match['second'] or '00'}"
    fraction, offset = match["fraction"] or "", _offset(match["offset"], zone)
    if offset is not None:
        return f"{clock}{fraction}{offset}"
    try:
        local = datetime.fromisoformat(clock)
        instant = _instant(local, zone, text, field)
    except (ValueError, OverflowError):
        raise Unfit("invalid_timestamp", f"{field} is “{text[:60]}”, which does not exist: {_MEND}.", field) from None
    return f"{instant:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _offset(text: str | None, zone: ZoneInfo) -> str | None:
    """As RFC 3339 has it; None when it follows from the zone."""
    if text is None:
        return "Z" if zone.key == "UTC" else None
    if text[0] not in "+-":
        return "Z"
    hours, minutes = text[:3], text[3:].lstrip(":") or "00"
    return f"{hours}:{minutes}"


def _instant(local: datetime, zone: ZoneInfo, text: str, field: str) -> datetime:
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    exists = first.astimezone(zone).replace(tzinfo=None) == local
    what = "happens twice" if exists else "does not exist"
    message = f"{field} is “{text[:60]}”, which {what} in {zone.key}, where the clocks change: write it with an offset."
    raise Unfit("ambiguous_timestamp" if exists else "invalid_timestamp", message, field)
