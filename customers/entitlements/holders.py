"""A customer with all that says what it may: its subscriptions and overrides of now. One query."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing_site.foundation.periods import Alignment, Interval, Period, Schedule, local_date
from catalog.features.models import value_of
from catalog.features.values import Value
from meters.database import fetch
from meters.events.exact_json import from_text
from meters.measuring import registry
from meters.measuring.registry import Registry

# By the unique index of references, then by the indexes of the customer's keys. A day at the customer's may be one off
# from that in UTC: which overrides are of today is told by its calendar.
_HOLDER = f"""
    SELECT customer.id, customer.reference, customer.timezone,
        ARRAY(SELECT other.reference FROM customers_alias AS other WHERE other.customer_id = customer.id),
        (SELECT revision FROM catalog_featurerevision),
        json_build_object(
            'subscriptions', ARRAY(
                SELECT json_build_array(reference, version_id, alignment, anchor, timezone, starts_at, ends_at)
                FROM customers_subscription
                WHERE customer_id = customer.id AND starts_at <= %b AND (ends_at IS NULL OR ends_at > %b)
                ORDER BY starts_at, id
            ),
            'overrides', ARRAY(
                SELECT json_build_array(feature_id, starts_on, ends_on, enabled, number::text, texts, unlimited)
                FROM customers_entitlementoverride
                WHERE customer_id = customer.id AND starts_on <= %b::date + 1
                    AND (ends_on IS NULL OR ends_on >= %b::date)
            )
        )::text,
        {registry.STANDING}
    FROM customers_alias AS alias
    JOIN customers_customer AS customer ON customer.id = alias.customer_id
    WHERE alias.reference = %b
"""  # noqa: S608 - made of a constant


@dataclass(frozen=True)
class Subscribed:
    """A subscription that is active."""

    reference: str
    version: int
    alignment: Alignment
    anchor: date
    timezone: str
    starts_at: datetime
    ends_at: datetime | None

    def period_at(self, instant: datetime, interval: Interval) -> Period:
        """The billing period that holds the instant, as far as the subscription is active in it."""
        full = Schedule(interval, self.alignment, self.anchor, self.timezone).period_at(instant)
        return full.clip(self.starts_at, self.ends_at)


@dataclass(frozen=True)
class Holder:
    """`subscriptions` in the order in which they began; `overrides`: values by feature.

    `revision`: of the features; `registry`: the meters' definitions in force, and which still count stored events.
    """

    id: int
    reference: str
    timezone: str
    references: tuple[str, ...]
    revision: UUID | None
    subscriptions: tuple[Subscribed, ...]
    overrides: Mapping[int, Value]
    registry: Registry


def find(reference: str, now: datetime) -> Holder | None:
    """The customer that a reference or an alias means, as it stands at an instant. One query."""
    if "\0" in reference:
        return None
    found = fetch(_HOLDER, now, now, now, now, reference, prepare=True)
    if not found:
        return None
    key, own, timezone, references, revision, text, in_force, counting = found[0]
    rows = from_text(text)
    today = local_date(now, timezone)
    overrides = [_override(*row) for row in rows["overrides"]]
    return Holder(
        id=key,
        reference=own,
        timezone=timezone,
        references=tuple(references),
        revision=revision,
        subscriptions=tuple(_subscribed(*row) for row in rows["subscriptions"]),
        overrides={
            feature: value
            for feature, starts_on, ends_on, value in overrides
            if starts_on <= today and (ends_on is None or today < ends_on)
        },
        registry=registry.standing(in_force, counting),
    )


def _subscribed(
    reference: str, version: int, alignment: str, anchor: str, timezone: str, starts_at: str, ends_at: str | None
) -> Subscribed:
    return Subscribed(
        reference,
        version,
        Alignment(alignment),
        date.fromisoformat(anchor),
        timezone,
        datetime.fromisoformat(starts_at),
        None if ends_at is None else datetime.fromisoformat(ends_at),
    )


def _override(
    feature: int,
    starts_on: str,
    ends_on: str | None,
    enabled: Any,
    number: str | None,
    texts: list[str] | None,
    unlimited: Any,
) -> tuple[int, date, date | None, Value]:
    value = value_of(enabled, None if number is None else Decimal(number), texts, unlimited=unlimited)
    return feature, date.fromisoformat(starts_on), None if ends_on is None else date.fromisoformat(ends_on), value
