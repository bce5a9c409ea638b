"""Usage × price version → rounded, explained lines; a chunk of subscriptions at a time. Reads only.

    subscriptions, aliases, named subscriptions → windows → usage → lines, each charge by its version's price book

The number of queries does not grow with the requests. What goes wrong for one subscription is a problem of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from functools import lru_cache

import structlog

from billing_site.foundation.money import EXACT, ZERO
from billing_site.foundation.periods import Alignment, Period, Schedule
from catalog import price_books
from catalog.pricing.book import FlatCharge, PriceBook, Timing, UsageCharge
from catalog.pricing.matrix import Combination, Matrix, combine
from customers.fees import fee_line
from customers.models import Alias, MeterClaim, Subscription
from customers.rated import Rated, RatedLine, Request
from customers.usage_lines import usage_lines
from meters import backfills, usage
from meters.backfills import Counting

__all__ = ["Rated", "RatedLine", "Request", "measure", "rate"]

logger = structlog.get_logger(__name__)

# What the columns of a line hold. A greater one would fail its whole chunk when the lines are written.
AMOUNT_LIMIT, QUANTITY_LIMIT, UNIT_PRICE_LIMIT = Decimal(10) ** 16, Decimal(10) ** 26, Decimal(10) ** 15

Measured = Mapping[int, Sequence[usage.Usage]]
"""Usage by charge."""


class TooLarge(Exception):
    """A figure that no invoice line can hold; the message says which."""


@dataclass(frozen=True)
class Terms:
    """A request with all that its subscription says. `window`: what every charge reads, but for its key and meter."""

    key: int
    book: PriceBook
    schedule: Schedule
    arrears: Period | None
    advance: Period | None
    window: usage.Window | None
    named: Mapping[int, Mapping[str, Period]]
    """By meter: the events that name another subscription, in the period in which that one reads them."""


def rate(requests: Sequence[Request]) -> dict[int, Rated]:
    """The lines of every request, by its key. The number of queries is the same whatever the chunk holds.

    A subscription whose figures cannot be made is a problem of its own; when usage cannot be read at all, nothing is
    rated: the error is raised. Usage of a meter that is still counting stored events is not known: it makes no line and
    is a problem, which goes away by itself.
    """
    terms, rated = _gather(requests)
    matrices = _matrices(terms)
    counting = _counting(terms)
    measured = _measure(terms, matrices, counting)
    with localcontext(EXACT):
        for each in terms:
            try:
                rated[each.key] = _rated(each, measured[each.key], matrices, counting)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's and not the chunk's
                rated[each.key] = _failed(each.key, error)
    return rated


def measure(requests: Sequence[Request]) -> dict[int, dict[int, list[Combination]]]:
    """The usage of every request, priced or not: {key: {charge: combinations}}, as the lines of `rate` take it apart.

    A constant number of queries. A request whose subscription cannot be read at all is left out, and logged, as is one
    that reads a meter which is still counting stored events.
    """
    gathered, _ = _gather(requests)
    counting = _counting(gathered)
    terms = [each for each in gathered if not _waits_for(each, counting)]
    measured = _measure(terms, _matrices(terms), counting)
    return {
        each.key: {
            charge.id: combine(measured[each.key][charge.id], charge.dimensions)
            for charge in _usage_charges(each)
            if each.arrears is not None
        }
        for each in terms
    }


def _gather(requests: Sequence[Request]) -> tuple[list[Terms], dict[int, Rated]]:
    """The terms of the requests, and those that have none already rated as a problem."""
    subscriptions = Subscription.objects.in_bulk({request.subscription for request in requests})
    versions = {request.version for request in requests if request.version is not None}
    books = price_books.load(versions | {row.version_id for row in subscriptions.values()})
    customers = {row.customer_id for row in subscriptions.values()}
    references, named = _references(customers), _named(customers)
    terms, rated = [], {}
    for request in requests:
        row = subscriptions.get(request.subscription)
        if row is None:
            rated[request.key] = Rated(request.key, (), (f"There is no subscription {request.subscription}.",))
            continue
        try:
            book = books[request.version or row.version_id]
            terms.append(_terms(request, row, book, references[row.customer_id], named[row.customer_id]))
        except Exception as error:  # noqa: BLE001 - likewise
            rated[request.key] = _failed(request.key, error)
    return terms, rated


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


def _window(row: Subscription, schedule: Schedule, references: tuple[str, ...], period: Period) -> usage.Window:
    """What is held for part of a period is paid for that part: it is weighed over the full one."""
    own, full = row.reference if row.named_events_only else "", _full_period(schedule, period.start)
    return usage.Window(key=0, customers=references, meter=0, period=period, subscription=own, weighed_over=full)


@lru_cache(maxsize=1_000)
def _full_period(schedule: Schedule, instant: datetime) -> Period:
    """Kept: a chunk asks it of the same few schedules."""
    return schedule.period_at(instant)


def _terms(
    request: Request, row: Subscription, book: PriceBook, references: tuple[str, ...], claims: Sequence[MeterClaim]
) -> Terms:
    def clipped(period: Period | None) -> Period | None:
        part = None if period is None else period.clip(row.starts_at, row.ends_at)
        return None if part is None or part.start == part.end else part

    arrears = clipped(request.arrears)
    schedule = Schedule(book.interval, Alignment(row.alignment), row.anchor, row.timezone)
    return Terms(
        key=request.key,
        book=book,
        schedule=schedule,
        arrears=arrears,
        advance=clipped(request.advance),
        window=None if arrears is None else _window(row, schedule, references, arrears),
        named={} if arrears is None or row.named_events_only else _elsewhere(claims, arrears),
    )


def _usage_charges(terms: Terms) -> Iterator[UsageCharge]:
    return (charge for charge in terms.book.charges if isinstance(charge, UsageCharge))


def _matrices(terms: Iterable[Terms]) -> dict[int, Matrix]:
    """By charge, each made once for all subscriptions of its version."""
    charges = {charge.id: charge for each in terms for charge in _usage_charges(each)}
    return {key: Matrix(charge) for key, charge in charges.items()}


def _counting(terms: Iterable[Terms]) -> dict[int, Counting]:
    """The meters whose usage is not known yet. One query."""
    return backfills.unfinished({charge.meter for each in terms for charge in _usage_charges(each)})


def _waits_for(terms: Terms, counting: Mapping[int, Counting]) -> bool:
    waits = terms.arrears is not None and any(charge.meter in counting for charge in _usage_charges(terms))
    if waits:
        logger.warning("usage_still_counting", key=terms.key)
    return waits


def _measure(
    terms: Iterable[Terms], matrices: Mapping[int, Matrix], counting: Mapping[int, Counting]
) -> dict[int, Measured]:
    """By request and charge. A meter that two charges of a version price is read once, when its quantities add up.

    Otherwise each charge reads it by its own rows, so that what a row takes is one quantity.
    """
    windows: dict[tuple[int, int, int], usage.Window] = {}
    read: list[tuple[int, int, int]] = []
    for each in terms:
        if each.window is None:
            continue
        for charge in _usage_charges(each):
            if charge.meter in counting:
                continue
            grouping = None if charge.adds_up else matrices[charge.id].group
            place = (each.key, charge.meter, 0 if charge.adds_up else charge.id)
            named = each.named.get(charge.meter, {})
            window = replace(
                each.window, key=len(windows), meter=charge.meter, named_elsewhere=named, grouping=grouping
            )
            read.append((each.key, charge.id, windows.setdefault(place, window).key))
    found = usage.read(list(windows.values()))
    measured: dict[int, dict[int, Sequence[usage.Usage]]] = defaultdict(dict)
    for key, charge_id, number in read:
        measured[key][charge_id] = found.get(number, ())
    return measured  # type: ignore[return-value]


def _rated(terms: Terms, measured: Measured, matrices: Mapping[int, Matrix], counting: Mapping[int, Counting]) -> Rated:
    lines: list[RatedLine] = []
    problems: list[str] = []
    for charge in sorted(terms.book.charges, key=lambda charge: (charge.position, charge.id)):
        if isinstance(charge, FlatCharge):
            lines.extend(_fee(terms, charge))
        elif terms.arrears is not None and charge.meter in counting:
            problems.append(f"{counting[charge.meter]} The invoice waits for it, and goes on by itself.")
        elif terms.arrears is not None:
            made, held = usage_lines(terms.book, matrices[charge.id], measured[charge.id], terms.arrears)
            lines.extend(made)
            problems.extend(held)
    _check_sizes(lines)
    return Rated(terms.key, lines, problems)


def _fee(terms: Terms, charge: FlatCharge) -> Iterator[RatedLine]:
    used = terms.advance if charge.timing == Timing.ADVANCE else terms.arrears
    if used is not None:
        yield fee_line(terms.book, charge, terms.schedule, used)


def _check_sizes(lines: Sequence[RatedLine]) -> None:
    for line in lines:
        if abs(line.quantity) >= QUANTITY_LIMIT:
            raise TooLarge(f"The quantity of “{line.description}” has more than 26 digits: {line.quantity:,f}.")
        if line.unit_price is not None and abs(line.unit_price) >= UNIT_PRICE_LIMIT:
            raise TooLarge(f"The unit price of “{line.description}” has more than 15 digits: {line.unit_price:,f}.")
        if abs(line.amount) >= AMOUNT_LIMIT:
            raise TooLarge(f"The amount of “{line.description}” has more than 16 digits: {line.amount:,f}.")
    if sum((abs(line.amount) for line in lines), ZERO) >= AMOUNT_LIMIT:
        raise TooLarge("The total of the lines has more than 16 digits.")


def _failed(key: int, error: Exception) -> Rated:
    if isinstance(error, TooLarge):
        return Rated(key, (), (f"{error} No invoice can hold that; look at the events it comes from.",))
    logger.error("rating_failed", key=key, exc_info=error)
    return Rated(key, (), (f"It could not be rated ({type(error).__name__}: {error}). The log says where.",))
