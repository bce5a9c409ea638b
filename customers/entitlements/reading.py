"""What a customer may, now: every feature with its value, what is used of it, and when that begins again. Reads only.

    subscriptions → what their versions give → combined; an override beats it
    meter, filters, window of now → used

Usage is right from the moment at which ingestion answered: it is read where ingestion counts it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.features import book as feature_book
from catalog.features.book import Granted, Offered
from catalog.features.values import NOTHING, UNLIMITED, Several, Value, Window, combine
from customers.entitlements import allowing
from customers.entitlements.holders import Holder, Subscribed
from customers.usage.grouping import Place
from customers.usage.windows import Step, window_at
from meters.usage import reading as usage


class Source(StrEnum):
    """Where a value comes from."""

    SUBSCRIPTION = "subscription"
    OVERRIDE = "override"
    NONE = "none"


@dataclass(frozen=True)
class Entitlement:
    """`window`: in which use is counted now; None for what counts nothing, of which neither `used` nor `remaining` is.

    `still_counting`: the meter has not counted all stored events, so `used` is not known, and None. `remaining` None:
    likewise, or there is no limit.
    """

    feature: Offered
    value: Value
    source: Source
    window: Period | None = None
    used: Decimal | None = None
    remaining: Decimal | None = None
    still_counting: bool = False


Cell = tuple[int, Period, tuple[tuple[str, frozenset[str]], ...]]
"""What is read once for all features that count it: meter, window, filters."""


def entitlements(holder: Holder, now: datetime, only: str | None = None) -> list[Entitlement]:
    """Every feature, or the one of that code, in the order of codes; no feature of that code: none.

    Two queries when meters are counted by sums, whatever the number of features, subscriptions and events; one more for
    each other way of counting, for bounds inside an hour, and for what this process has not read yet.
    """
    features = [each for each in feature_book.features(holder.revision) if only is None or each.code == only]
    granted = feature_book.granted({each.version for each in holder.subscriptions})
    decided = [(feature, *_decide(feature, holder, granted)) for feature in features]
    windows = {
        feature.id: _window(feature, holder, subscription, granted, now)
        for feature, _, _, subscription in decided
        if feature.meter is not None
    }
    used, counting = _used(holder, features, windows)
    return [
        _entitlement(feature, value, source, windows.get(feature.id), used, counting=feature.meter in counting)
        for feature, value, source, _ in decided
    ]


def _decide(
    feature: Offered, holder: Holder, granted: Mapping[int, Granted]
) -> tuple[Value, Source, Subscribed | None]:
    """The value, where it comes from, and the subscription whose billing period counts."""
    gives = [
        (granted[each.version].values[feature.id], each)
        for each in holder.subscriptions
        if feature.id in granted[each.version].values
    ]
    first = gives[0][1] if gives else next(iter(holder.subscriptions), None)
    if feature.id in holder.overrides:
        return holder.overrides[feature.id], Source.OVERRIDE, first
    if not gives:
        return NOTHING[feature.kind], Source.NONE, first
    value = combine(feature.kind, [value for value, _ in gives], feature.several)
    if feature.several is Several.HIGHEST:
        first = next((each for given, each in gives if given == value), first)
    return value, Source.SUBSCRIPTION, first


def _window(
    feature: Offered,
    holder: Holder,
    subscription: Subscribed | None,
    granted: Mapping[int, Granted],
    now: datetime,
) -> Period:
    """Where there is no subscription, there is no billing period: a month of the calendar takes its place."""
    if feature.window is Window.BILLING_PERIOD and subscription is not None:
        return subscription.period_at(now, granted[subscription.version].interval)
    step = Step.MONTH if feature.window in (None, Window.BILLING_PERIOD) else Step(feature.window)
    return window_at(now, step, holder.timezone)


def _used(
    holder: Holder, features: Sequence[Offered], windows: Mapping[int, Period]
) -> tuple[dict[int, Decimal], frozenset[int]]:
    """What is used, by feature; and the meters of which that is not known, as they are still counting stored events."""
    cells: dict[Cell, list[int]] = {}
    for feature in features:
        if feature.meter is not None:
            cell = (feature.meter, windows[feature.id], tuple(sorted(feature.filters.items())))
            cells.setdefault(cell, []).append(feature.id)
    counting = holder.registry.counting
    while True:
        wanted = {cell: ids for cell, ids in cells.items() if cell[0] not in counting}
        try:
            found = usage.read(list(_windows(holder, wanted)), current=holder.registry) if wanted else {}
            break
        except usage.StillCounting as error:  # since the customer was read
            counting |= error.meters
    used: dict[int, Decimal] = {}
    for key, ids in enumerate(wanted.values()):
        quantity = sum((each.quantity for each in found[key]), ZERO)  # there is one, or none
        used |= dict.fromkeys(ids, quantity)
    return used, counting


def _windows(holder: Holder, cells: Iterable[Cell]) -> Iterator[usage.Window]:
    for key, (meter, period, filters) in enumerate(cells):
        yield usage.Window(key, holder.references, meter, period, grouping=Place(filters=dict(filters)))


def _entitlement(
    feature: Offered,
    value: Value,
    source: Source,
    window: Period | None,
    used: Mapping[int, Decimal],
    *,
    counting: bool,
) -> Entitlement:
    if window is None or counting:
        return Entitlement(feature, value, source, window, still_counting=counting)
    number = value if isinstance(value, Decimal) or value is UNLIMITED else ZERO
    return Entitlement(feature, value, source, window, used[feature.id], allowing.remaining(number, used[feature.id]))
