"""Up to when a subscription is invoiced for good. Who invoices knows; it says so here when the site starts.

This room stands above invoicing and does not know it. What is told here serves to say what is possible; that nothing
reaches into what is finalized is held by the database (`invoicing.guards`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_site.foundation.periods import Period


@dataclass(frozen=True)
class Closed:
    """Of one subscription, None where nothing is finalized.

    `arrears`: usage and fees in arrears up to here; `advance`: fees in advance; `boundary`: the last one that is.
    `drafts`: the periods of those invoices that are not yet; one of no length opens the subscription.
    """

    arrears: datetime | None = None
    advance: datetime | None = None
    boundary: datetime | None = None
    drafts: Sequence[Period] = ()


Reader = Callable[[int], Closed]
_readers: list[Reader] = []


def tell(reader: Reader) -> None:
    """From now on `reader` says it, by a subscription's id."""
    _readers[:] = [reader]


def of(subscription: int) -> Closed:
    return _readers[0](subscription) if _readers else Closed()
