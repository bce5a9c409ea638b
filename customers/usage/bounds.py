"""What a caller writes for a bound of time: a local day, or an instant. Pure."""

import re
from datetime import UTC, date, datetime

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period, midnight

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})")
FIRST_YEAR, LAST_YEAR = 1970, 2199


def period_between(start: str | None, end: str | None, timezone: str) -> Period:
    """[start, end): each a day of `timezone` (its beginning) or an RFC 3339 instant. Raises Refused."""
    bounds: dict[str, datetime] = {}
    faults = []
    for field, text in (("from", start), ("to", end)):
        try:
            bounds[field] = _instant(text, timezone)
        except ValueError as error:
            faults.append(Fault("bound_missing" if text is None else "bound_invalid", str(error), field))
    if not faults and bounds["from"] >= bounds["to"]:
        faults.append(Fault("period_empty", f"“to” ({end}) is not after “from” ({start}); “to” is not included.", "to"))
    if faults:
        raise Refused(*faults)
    return Period(bounds["from"], bounds["to"])


def _instant(text: str | None, timezone: str) -> datetime:
    if text is None:
        raise ValueError("Say which period: a day such as 2023-11-01 or an instant such as 2023-11-01T00:00:00Z.")
    try:
        if DAY.fullmatch(text) and text.isascii():
            day = date.fromisoformat(text)
            _known_year(day.year)
            return midnight(day, timezone)
        if INSTANT.fullmatch(text) and text.isascii():
            instant = datetime.fromisoformat(text.upper())
            _known_year(instant.year)
            return instant.astimezone(UTC)
    except ValueError as error:
        raise ValueError(f"“{text}” cannot be: {error}.") from error
    raise ValueError(
        f"“{text[:50]}” is neither a day such as 2023-11-01 nor an instant with an offset such as 2023-11-01T00:00:00Z"
        " (in an address, “+” is written %2B)."
    )


def _known_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"the year is not from {FIRST_YEAR} to {LAST_YEAR}")
