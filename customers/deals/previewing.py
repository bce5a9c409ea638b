"""What the open period comes to with a change and without it: the change is made, rated, and taken back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from billing_site.foundation.periods import Period
from catalog.pricing.combining import add_up
from customers.models import Subscription
from customers.rating import chunks as rating
from customers.rating.rated import RatedLine, Request
from customers.subscriptions import subscribing


@dataclass(frozen=True)
class Comparison:
    """The invoices of the open period as if it ended now, with what is billed ahead; problems that would hold them."""

    before: Sequence[RatedLine]
    after: Sequence[RatedLine]
    problems: Sequence[str]

    @property
    def totals(self) -> tuple[Decimal, Decimal]:
        return add_up(line.amount for line in self.before), add_up(line.amount for line in self.after)


def preview(subscription: Subscription, change: Callable[[], object]) -> Comparison | None:
    """None: nothing will be invoiced any more. Raises what `change` refuses; nothing is kept of it either way."""
    requests = list(_next_invoices(subscription))
    if not requests:
        return None
    with transaction.atomic():
        before = rating.rate(requests)
        change()
        after = rating.rate(requests)
        transaction.set_rollback(True)
    return Comparison(
        before=[line for request in requests for line in before[request.key].lines],
        after=[line for request in requests for line in after[request.key].lines],
        problems=[problem for request in requests for problem in after[request.key].problems],
    )


def _next_invoices(subscription: Subscription) -> Iterator[Request]:
    """The next one; that which opens the subscription is followed by its first period's. Reads its version."""
    if subscription.due_at is None or subscription.due_from is None:
        return
    boundary, ahead = subscription.due_at, subscribing.advance(subscription)[1]
    advance = None if ahead is None else Period(boundary, ahead)
    if subscription.due_from < boundary:
        yield Request(1, subscription.pk, Period(subscription.due_from, boundary), advance)
    elif advance is not None:
        yield Request(1, subscription.pk, None, advance)
        yield Request(2, subscription.pk, advance, None)
