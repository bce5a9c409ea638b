"""Void and amend: an event that was sent wrongly is taken out of usage, or another form counts in its place.

Nothing that was sent is changed. An amendment stores a further form of the event, and a correction says which form went
out, which came in, why and by whom; usage follows in the same transaction. A voided reference stays known: what is sent
again under it is a duplicate.

Locks: the definitions (shared), the corrections of the customer, then buckets as ingestion takes them.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import OperationalError, transaction
from django.db.models import Q

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.models import ApiKey
from meters.corrections import amending, recounting
from meters.corrections.amending import CHANGES, Amendment, amended, same
from meters.corrections.models import MAX_REASON, Correction
from meters.database import columns, fetch
from meters.events.decoding import Limits, SentEvent
from meters.events.exact_json import to_text
from meters.events.values import Unfit
from meters.measuring import registry
from meters.models import Event

ATTEMPTS = 8
_DEADLOCK = "40P01"
# A space of advisory locks of its own, beside those of the definitions and of series that are made.
_CORRECTIONS = 74053
_LOCK = "SELECT pg_advisory_xact_lock(%b::int, hashtext(%b::text))"

# Uses the unique index event_once.
_FIND = """
    SELECT event.id, event.customer, event.reference
    FROM unnest(%b::text[], %b::text[]) AS wanted (customer, reference)
    JOIN meters_event AS event
        ON event.customer = wanted.customer AND event.reference = wanted.reference AND event.replaces IS NULL
"""
_INSERT_FORM = """
    INSERT INTO meters_event (customer, reference, type, timestamp, value, status, subscription, properties, replaces)
    VALUES (%b, %b, %b, %b, %b::numeric, %b, %b, %b::text::jsonb, %b::bigint)
    RETURNING id
"""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class By:
    """Who corrects: an API key, or a user in the admin."""

    api_key: ApiKey | None = None
    user: Any = None


def find(named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The ids of the events with these (customer, reference), as they were first sent; who has none is left out."""
    pairs = [pair for pair in named if "\0" not in pair[0] + pair[1]]
    return {(customer, reference): key for key, customer, reference in fetch(_FIND, *columns(pairs, 2))}


def forms_of(event: int) -> list[Event]:
    """All forms of the event that any of its forms' ids names, as it was sent first. Each knows its `correction`."""
    first = Event.objects.values_list("replaces_id", flat=True).get(pk=event) or event
    found = Event.objects.filter(Q(pk=first) | Q(replaces=first)).order_by("pk")
    return list(found.select_related("correction__api_key", "correction__user"))


def correction_of(form: Event) -> Correction | None:
    """What took this form out; None while it counts."""
    return getattr(form, "correction", None)


def void(event: int, reason: str, by: By, now: datetime, limits: Limits) -> Correction:
    """Take the event out of usage for good. Again with the same reason: the correction that there is. Raises Refused.

    Raises Event.DoesNotExist, and OperationalError when the database is away or too busy.
    """
    reason = _reason(reason)

    def work(forms: Sequence[Event]) -> Correction:
        done = correction_of(forms[-1])
        if done is not None and done.reason == reason:
            return done
        _refuse_voided(forms[-1])
        _refuse_old(forms[-1], now, limits)
        return _write(forms[-1], None, reason, by)

    return _locked(event, work)


def amend(event: int, amendment: Amendment, by: By, now: datetime, limits: Limits) -> Correction:
    """Let the event count as it is amended to. The same again: the correction that there is. Raises as `void` does."""
    reason = _reason(amendment.reason)

    def work(forms: Sequence[Event]) -> Correction:
        current = forms[-1]
        _refuse_voided(current)
        to = amended(current, amendment)
        if same(current, to):
            done = correction_of(forms[-2]) if len(forms) > 1 else None
            if done is not None and done.reason == reason:
                return done
            raise Refused(Fault("nothing_to_amend", f"The event “{current.reference}” is so already."))
        _refuse_old(current, now, limits)
        return _write(current, to, reason, by)

    return _locked(event, work)


def read_amendment(body: bytes, now: datetime, limits: Limits, changes: Sequence[str] = CHANGES) -> Amendment:
    """What a body asks of `amend`, or, without `changes`, the reason alone.

    Raises Refused for what is against the rules of events, Malformed for what is no JSON.
    """
    read = amending.read(body, now, limits, changes)
    if isinstance(read, Amendment):
        return read
    raise Refused(Fault(read.code, read.message, read.field))


def _locked(event: int, work: Callable[[Sequence[Event]], Answer]) -> Answer:
    """Do it in one transaction, and again when it and a batch have locked each other out."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                registry.lock_shared()
                fetch(_LOCK, _CORRECTIONS, Event.objects.values_list("customer", flat=True).get(pk=event))
                return work(forms_of(event))
        except OperationalError as error:
            if attempt == ATTEMPTS or getattr(error.__cause__, "sqlstate", None) != _DEADLOCK:
                raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    raise AssertionError("unreachable")


def _write(gone: Event, come: SentEvent | None, reason: str, by: By) -> Correction:
    definitions = registry.current().by_type.get(gone.type, ())
    if come is not None:
        try:
            recounting.parts_by_meter(come, definitions, strict=True)
        except Unfit as fault:
            raise Refused(Fault(fault.code, fault.message, fault.field)) from None
    correction = Correction.objects.create(
        kind=Correction.Kind.VOID if come is None else Correction.Kind.AMEND,
        event=gone,
        replacement_id=None if come is None else _store(come, gone.replaces_id or gone.pk),
        reason=reason,
        api_key=by.api_key,
        user=by.user,
    )
    correction.refresh_from_db(fields=["created_at"])
    recounting.follow(gone, come, definitions)
    return correction


def _store(form: SentEvent, first: int) -> int:
    row = (form.customer, form.reference, form.type, form.timestamp, form.value, form.status, form.subscription)
    [(key,)] = fetch(_INSERT_FORM, *row, to_text(form.properties), first)
    return int(key)


def _reason(reason: str) -> str:
    reason = reason.strip()
    if not reason:
        raise Refused(Fault("reason_missing", "Say why, for whoever asks later.", "reason"))
    if len(reason) > MAX_REASON:
        message = f"The reason has {len(reason)} characters; at most {MAX_REASON} are kept: say it shorter."
        raise Refused(Fault("too_long", message, "reason"))
    if "\0" in reason:
        raise Refused(Fault("nul_character", "The reason holds \\u0000, which cannot be kept: leave it out.", "reason"))
    return reason


def _refuse_voided(form: Event) -> None:
    done = correction_of(form)
    if done is not None:
        when = f"{done.created_at:%Y-%m-%d at %H:%M} UTC"
        message = f"The event “{form.reference}” was voided on {when} by {done.author}: “{done.reason}”. It stays so."
        raise Refused(Fault("event_voided_conflict", message))


def _refuse_old(form: Event, now: datetime, limits: Limits) -> None:
    """Who may not send an event of that age may not take one out of usage either."""
    if limits.past is not None and form.timestamp < now - limits.past:
        when = f"{form.timestamp:%Y-%m-%dT%H:%M:%SZ}"
        message = f"The event is of {when}, more than {limits.past.days} days before now: {limits.older}."
        raise Refused(Fault("too_old", message))
