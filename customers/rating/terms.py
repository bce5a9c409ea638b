"""What a request comes to before any usage is read: its price book, its periods, its charges segment by segment.

    subscriptions, aliases, named subscriptions, price books, what was negotiated, coupons → terms

The number of queries does not grow with the requests. What goes wrong for one is a problem of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import structlog

from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Alignment, Period, Schedule
from catalog.charges import books as price_books
from catalog.pricing.book import PriceBook, UsageCharge
from catalog.pricing.matrix import Matrix
from customers.models import Alias, MeterClaim, Subscription
from customers.rating import deals, negotiated
from customers.rating.commitments import Commitment, Part
from customers.rating.deals import NO_DEALS, Deals
from customers.rating.discounting import Offer
from customers.rating.fees import days_of
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import Rated, Request
from customers.rating.segments import Held, Segment, allowances
from meters.usage import reading as usage

logger = structlog.get_logger(__name__)

Matrices = dict[tuple[int, str], Matrix]
"""By charge and currency, each made once for all subscriptions of its version."""


@dataclass(frozen=True)
class Terms:
    """A request with all that its subscription says.

    `window`: what every charge reads, but for its key, meter and segment. `opens`: the subscription begins with it.
    `segments`: of every usage charge, when there is something in arrears. `commitments`: by charge, where there is a
    minimum or a cap, with those of all usage under None.
    `deals`: what differs for this subscription alone.
    """

    key: int
    book: PriceBook
    schedule: Schedule
    arrears: Period | None
    advance: Period | None
    opens: bool
    segments: Mapping[int, Sequence[Segment]]
    commitments: Mapping[int | None, Commitment]
    deals: Deals
    window: usage.Window | None
    named: Mapping[int, Mapping[str, Period]]
    """By meter: the events that name another subscription, in the period in which that one reads them."""

    def periods(self) -> list[Period]:
        return [each for each in (self.arrears, self.advance) if each is not None]

    def offers(self) -> Iterator[Offer]:
        """The coupons for its invoice: that of the boundary at which a billing period ends, or the first one begins."""
        if self.arrears is not None:
            yield from self.deals.offers_at(full_period(self.schedule, self.arrears.start).end)
        elif self.advance is not None:
            yield from self.deals.offers_at(self.advance.start)

    def usage_charges(self) -> Iterator[UsageCharge]:
        return (charge for charge in self.book.charges if isinstance(charge, UsageCharge))


def gather(requests: Sequence[Request]) -> tuple[list[Terms], dict[int, Rated]]:
    """The terms of the requests, and those that have none already rated as a problem."""
    rows = Subscription.objects.select_related("customer")
    subscriptions = rows.in_bulk({request.subscription for request in requests})
    books = price_books.load(
        {_book_key(each, subscriptions[each.subscription]) for each in requests if each.subscription in subscriptions}
    )
    customers = {row.customer_id for row in subscriptions.values()}
    references, named = _references(customers), _named(customers)
    agreed = deals.load(subscriptions.values())
    terms, rated = [], {}
    matrices: Matrices = {}
    for request in requests:
        row = subscriptions.get(request.subscription)
        if row is None:
            rated[request.key] = Rated(request.key, (), (f"There is no subscription {request.subscription}.",))
            continue
        try:
            book = books[_book_key(request, row)]
            shared = matrices, references[row.customer_id], named[row.customer_id]
            terms.append(_terms(request, row, book, agreed.get(row.pk, NO_DEALS), *shared))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's and not the chunk's
            rated[request.key] = failed(request.key, error)
    return terms, rated


def failed(key: int, error: Exception) -> Rated:
    """What nobody foresaw, as a problem of one request."""
    logger.error("rating_failed", key=key, exc_info=error)
    return Rated(key, (), (f"It could not be rated ({type(error).__name__}: {error}). The log says where.",))


def _book_key(request: Request, row: Subscription) -> price_books.Key:
    return request.version or row.version_id, row.customer.currency


def _references(customers: set[int]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = defaultdict(tuple)
    for customer, reference in Alias.objects.filter(customer__in=customers).values_list("customer_id", "reference"):
        found[customer] += (reference,)
    return found


def _named(customers: set[int]) -> dict[int, list[MeterClaim]]:
    """What each customer's subscriptions read that own the events that name them."""
    found: dict[int, list[MeterClaim]] = defaultdict(list)
    claims = MeterClaim.objects.filter(customer__in=customers, named_events_only=True)
    for claim in claims.select_related("subscription").only(
        "customer_id", "meter_id", "period", "subscription__reference"
    ):
        found[claim.customer_id].append(claim)
    return found


def _elsewhere(claims: Sequence[MeterClaim], read: Period) -> dict[int, dict[str, Period]]:
    """By meter: what of `read` each claim takes to the subscription that the events name."""
    found: dict[int, dict[str, Period]] = defaultdict(dict)
    for claim in claims:
        taken = read.clip(claim.period.lower, claim.period.upper)
        if taken.start < taken.end:
            found[claim.meter_id][claim.subscription.reference] = taken
    return found


def _terms(
    request: Request,
    row: Subscription,
    book: PriceBook,
    agreed: Deals,
    matrices: Matrices,
    references: tuple[str, ...],
    claims: Sequence[MeterClaim],
) -> Terms:
    def clipped(period: Period | None) -> Period | None:
        part = None if period is None else period.clip(row.starts_at, row.ends_at)
        return None if part is None or part.start == part.end else part

    arrears, advance = clipped(request.arrears), clipped(request.advance)
    schedule = Schedule(book.interval, Alignment(row.alignment), row.anchor, row.timezone)
    return Terms(
        key=request.key,
        book=book,
        schedule=schedule,
        arrears=arrears,
        advance=advance,
        opens=advance is not None and advance.start == row.starts_at,
        segments={} if arrears is None else _segments(book, matrices, schedule, arrears, agreed.negotiated),
        commitments={} if arrears is None else _commitments(book, schedule, arrears, agreed.negotiated),
        deals=agreed,
        window=None if arrears is None else _window(row, schedule, references, arrears),
        named={} if arrears is None or row.named_events_only else _elsewhere(claims, arrears),
    )


def _segments(
    book: PriceBook, matrices: Matrices, schedule: Schedule, period: Period, agreed: Sequence[Negotiated]
) -> dict[int, list[Segment]]:
    """Every usage charge in the parts of the period in which nothing about its price changes."""
    found = {}
    for charge in book.charges:
        if isinstance(charge, UsageCharge):
            matrix = matrices.get((charge.id, book.currency))
            if matrix is None:
                matrix = matrices[charge.id, book.currency] = Matrix(charge)
            parts = negotiated.parts(period, negotiated.cutting(agreed, charge, book, period)) if agreed else [period]
            included = _included(charge, schedule, parts, agreed)
            found[charge.id] = [
                _segment(matrix, part, units, agreed) for part, units in zip(parts, included, strict=True)
            ]
    return found


def _segment(matrix: Matrix, part: Period, included: Decimal, agreed: Sequence[Negotiated]) -> Segment:
    """A matrix is made anew only where a price differs; else the plan's own is shared."""
    mine = negotiated.about(agreed, matrix.charge.code, What.PRICE, What.INCLUDED) if agreed else ()
    held = tuple(each for each in mine if each.meets(part))
    charge = negotiated.usage_charge(matrix.charge, held)
    return Segment(part, matrix if charge is matrix.charge else Matrix(charge), included, negotiated=held)


def _included(
    charge: UsageCharge, schedule: Schedule, parts: Sequence[Period], agreed: Sequence[Negotiated]
) -> list[Decimal]:
    """The units that each part includes, by the days on which so many are."""
    mine = negotiated.about(agreed, charge.code, What.INCLUDED)
    if charge.included is None and not mine:
        return [ZERO] * len(parts)

    def held(part: Period) -> Held:
        return Held(negotiated.number(What.INCLUDED, charge.included, part, mine), days_of(schedule, part)[0])

    full_days = days_of(schedule, parts[0])[1]
    by_part = [[held(each) for each in negotiated.parts(part, mine)] for part in parts]
    return allowances(by_part, full_days, charge.places)


def _commitments(
    book: PriceBook, schedule: Schedule, period: Period, agreed: Sequence[Negotiated]
) -> dict[int | None, Commitment]:
    """By charge, those of all usage under None; only where there is a minimum or a cap."""
    found: dict[int | None, Commitment] = {}
    full_days = days_of(schedule, period)[1]
    for charge in (None, *(each for each in book.charges if isinstance(each, UsageCharge))):
        own = book if charge is None else charge
        mine = negotiated.about(agreed, "" if charge is None else charge.code, What.MINIMUM, What.CAP)
        if own.minimum is not None or own.cap is not None or mine:
            parts = [
                Part(
                    part,
                    days_of(schedule, part)[0],
                    negotiated.number(What.MINIMUM, own.minimum, part, mine),
                    negotiated.number(What.CAP, own.cap, part, mine),
                )
                for part in negotiated.parts(period, mine)
            ]
            held = tuple(each for each in mine if each.meets(period))
            key = None if charge is None else charge.id
            found[key] = Commitment(book, charge, parts, full_days, schedule.timezone, held)
    return found


def _window(row: Subscription, schedule: Schedule, references: tuple[str, ...], period: Period) -> usage.Window:
    """What is held for part of a period is paid for that part: it is weighed over the full one."""
    own, full = row.reference if row.named_events_only else "", full_period(schedule, period.start)
    return usage.Window(key=0, customers=references, meter=0, period=period, subscription=own, weighed_over=full)


@lru_cache(maxsize=1_000)
def full_period(schedule: Schedule, instant: datetime) -> Period:
    """Kept: a chunk asks it of the same few schedules."""
    return schedule.period_at(instant)
