"""Group “aggregation”: events, and the quantity they come to. They are sent, stored, counted and read for real."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from operator import itemgetter
from typing import Any

from billing_site.foundation.periods import Period
from meters.definitions.metering import define_meter
from meters.events.decoding import Batch, SentEvent
from meters.events.values import as_number
from meters.ingestion.ingest import accept
from meters.measuring.aggregation import Rounding, RoundingMode
from meters.models import Meter
from meters.usage.reading import Usage, Window, read
from tests.cases.loading import Case

Figures = dict[str, Any]

PLAIN = ("count", "sum", "max", "min", "average", "latest", "unique_count", "weighted_sum")
MADE_ELSEWHERE = {"windowed", "round_units"}
KNOWN = {
    "plain": {"aggregation", "from", "to", "events", "filter", "initial", "round"},
    "windowed": {"aggregation", "from", "to", "events", "filter", "window", "reduce", "total"},
    "round_units": {"aggregation", "quantity", "function", "precision"},
    "event": {"at", "value", "properties"},
    "round": {"precision", "mode"},
}
SIZES = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MODES = {"ceil": RoundingMode.CEIL, "floor": RoundingMode.FLOOR, "round": RoundingMode.HALF_UP}
ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)
_numbers = count()


def figures(given: Mapping[str, Any]) -> Figures:
    """`quantity` of the whole period, nothing being 0; `windows`: the start and quantity of each that has usage."""
    if given["aggregation"] == "round_units":
        rounding = Rounding(MODES[given["function"]], int(given.get("precision") or 0))
        return {"quantity": rounding.apply(Decimal(given["quantity"]))}
    customer, meter = _counted(given)
    whole = _period(given)
    found: Figures = {"quantity": _quantity(customer, meter, whole)}
    if given["aggregation"] == "windowed":
        used = [(part.start, _used(customer, meter, part)) for part in _parts(whole, given)]
        found["windows"] = [
            [start.strftime("%Y-%m-%dT%H:%M:%SZ"), usages[0].quantity] for start, usages in used if usages
        ]
    return found


def _counted(given: Mapping[str, Any]) -> tuple[str, Meter]:
    """A meter of its own, and the events sent to it. What was held before the period is a change before it."""
    name, weighted = f"case-{next(_numbers)}", given["aggregation"] == "weighted_sum"
    rounding = given.get("round", {})
    aggregation = given.get("reduce", given["aggregation"])
    meter = define_meter(
        code=name,
        name=name,
        event_type=name,
        aggregation=aggregation,
        unit="unit",
        value_kind="delta" if weighted else "",
        recurring=weighted,
        rounding=(MODES[rounding["mode"]].value, int(rounding["precision"])) if rounding else ("none", 0),
        values=[] if aggregation == "count" else [("", "value")],
        filters=[(key, "one_of", values) for key, values in given.get("filter", {}).items()],
    )
    events = [*given["events"]]
    if "initial" in given:
        events.append({"at": (_period(given).start - timedelta(days=1)).isoformat(), "value": given["initial"]})
    accept(Batch([_sent(name, number, event, _at(given, event)) for number, event in enumerate(events)]))
    return name, meter


def _sent(name: str, number: int, event: Mapping[str, Any], at: datetime) -> SentEvent:
    properties = {**event.get("properties", {}), "value": event.get("value")}
    return SentEvent(number, f"r{number}", name, name, at, None, "succeeded", "", properties)


def _at(given: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    """When nothing says, some time in the period."""
    found = event.get("at") or given.get("from")
    return _instant(found) if found else ANY_TIME


def _used(customer: str, meter: Meter, period: Period) -> Sequence[Usage]:
    return read([Window(0, (customer,), meter.pk, period)])[0]


def _quantity(customer: str, meter: Meter, period: Period) -> Decimal:
    usages = _used(customer, meter, period)
    return usages[0].quantity if usages else Decimal(0)


def _period(given: Mapping[str, Any]) -> Period:
    instants = [_at(given, event) for event in given["events"]] or [ANY_TIME]
    start = _instant(given["from"]) if "from" in given else min(instants).replace(hour=0, minute=0, second=0)
    return Period(start, _instant(given["to"]) if "to" in given else max(instants) + timedelta(days=1))


def _parts(period: Period, given: Mapping[str, Any]) -> Iterator[Period]:
    start, size = period.start, SIZES[given["window"]]
    while start < period.end:
        yield Period(start, min(start + size, period.end))
        start += size


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given, aggregation = case.given, case.given["aggregation"]
    if aggregation.startswith("prorated_"):
        return "counts by whole calendar days; here what is held over time is weighted to the microsecond"
    if aggregation not in PLAIN and aggregation not in MADE_ELSEWHERE:
        return f"the aggregation “{aggregation}” is not offered"
    if "align_bounds" in given:
        return "moves the bounds to whole windows; here a period is taken as it is given"
    if given.keys() & {"stored_from", "stored_before"}:
        return "reads by the time of storing; here usage belongs to the time of its event"
    if aggregation == "latest" and case.source.startswith("getlago/lago-api") and _last_is_negative(given):
        return "takes a negative latest value as 0; here it is what was sent"
    return next((f"uses “{name}”, which is not built" for name in _unknown(given)), None)


def _last_is_negative(given: Mapping[str, Any]) -> bool:
    """Of two at one instant the one that was sent later is the last; what is no number is no value."""
    numbers = [(_at(given, event), as_number(event.get("value"))) for event in given["events"]]
    read = sorted((each for each in numbers if each[1] is not None), key=itemgetter(0))
    return bool(read) and (read[-1][1] or 0) < 0


def _unknown(given: Mapping[str, Any]) -> Iterator[str]:
    kind = given["aggregation"] if given["aggregation"] in MADE_ELSEWHERE else "plain"
    yield from sorted(given.keys() - KNOWN[kind])
    yield from sorted(given.get("round", {}).keys() - KNOWN["round"])
    for event in given.get("events", []):
        yield from sorted(event.keys() - KNOWN["event"])
