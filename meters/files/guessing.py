"""What the columns of a CSV seem to mean, by their names. Pure."""

import re
from collections.abc import Sequence

from meters.files.mapping import PROPERTY, Mapping

_KNOWN = {
    "reference": ("reference", "referenceid", "ref", "eventid", "requestid", "transactionid", "uuid", "id"),
    "type": ("type", "eventtype", "event", "eventname"),
    "customer": (
        "customer",
        "customerid",
        "customerreference",
        "account",
        "accountid",
        "tenant",
        "tenantid",
        "subject",
    ),
    "timestamp": (
        *("timestamp", "time", "datetime", "occurredat", "createdat", "eventtime", "eventtimestamp", "ts", "date"),
        *("when", "happenedat", "startedat", "starttime", "usagetime", "usagedate", "day"),
    ),
    "value": ("value", "quantity"),
    "status": ("status",),
    "subscription": ("subscription", "subscriptionid", "subscriptionreference"),
}


def guess(columns: Sequence[str]) -> Mapping:
    """A field for each column whose name says so, the best name first; the other columns are properties."""
    plain = {column: re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns}
    found: dict[str, str] = {}
    for field, names in _KNOWN.items():
        named = [(names.index(plain[each]), at, each) for at, each in enumerate(columns) if plain[each] in names]
        if named:
            found[min(named)[2]] = field
    return Mapping({column: found.get(column) or f"{PROPERTY}{column.removeprefix(PROPERTY)}" for column in columns})
