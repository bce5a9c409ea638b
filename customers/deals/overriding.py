"""Negotiate a term of one subscription, and end it. The writer of Override.

A term is never edited: another one from a later day supersedes it, so that what a finalized invoice came from can be
read for ever. Nothing reaches into what is finalized. Each verb raises Refused, and then nothing was changed.
"""

from datetime import date
from typing import Any

from django.db import IntegrityError, transaction

from billing_site.foundation.periods import midnight
from customers.deals import checks as override_checks
from customers.deals import days
from customers.deals.days import Wanted
from customers.models import Override, Subscription
from customers.subscriptions import checks
from customers.subscriptions.registering import lock


def override(subscription: Subscription, wanted: Wanted) -> Override:
    """Let the term hold for the subscription from `starts_on` to the start of `ends_on`.

    The same term that holds by then, and for no longer, ends where this one begins.
    """
    with transaction.atomic():
        held = _locked(subscription)
        checks.refuse_if(override_checks.faults(held, wanted))
        row = days.as_row(held, wanted)
        for other in days.overlapping(row):
            _save(other, ends_at=row.starts_at)
        return _save(row)


def end_override(term: Override, ends_on: date) -> Override:
    """Let a term end earlier, at the start of `ends_on`: on the day on which it begins, it never holds at all."""
    with transaction.atomic():
        held = _locked(term.subscription)
        row = Override.objects.select_related("subscription").get(pk=term.pk)
        checks.refuse_if(days.end_faults(row, ends_on))
        return _save(row, ends_at=midnight(ends_on, held.timezone))


def _locked(subscription: Subscription) -> Subscription:
    """The customer first, as everywhere."""
    lock(subscription.customer_id)
    rows = Subscription.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("customer", "version__plan").get(pk=subscription.pk)


def _save(row: Override, **changed: Any) -> Override:
    for name, value in changed.items():
        setattr(row, name, value)
    try:
        with transaction.atomic():
            row.save(update_fields=list(changed) or None)
    except IntegrityError as error:
        raise checks.refusal(error) from error
    return row
