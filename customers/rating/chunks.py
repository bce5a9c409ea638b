"""Usage × price version → rounded, explained lines; a chunk of subscriptions at a time. Reads only.

    terms → windows → usage → lines, each charge by its version's price book → minimums and caps → discounts

The number of queries does not grow with the requests. What goes wrong for one subscription is a problem of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import chain

import structlog

from billing_site.foundation.money import EXACT, ZERO
from billing_site.foundation.periods import Period
from catalog.pricing.book import FlatCharge, Timing, UsageCharge
from catalog.pricing.matrix import Combination, combine
from catalog.pricing.proration import prorate
from customers.rating import commitments, costing, discounting, negotiated
from customers.rating.commitments import Contradictory
from customers.rating.fees import days_of, fee_line, once_line
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import LineKind, Rated, RatedLine, Request
from customers.rating.segments import WHEN, Segment, name_of
from customers.rating.terms import Terms, failed, gather
from customers.rating.usage_lines import usage_lines
from meters.backfills import progress as backfills
from meters.backfills.progress import Counting
from meters.usage import reading as usage

__all__ = ["Rated", "RatedLine", "Request", "measure", "rate", "unmatched"]

logger = structlog.get_logger(__name__)

# What the columns of a line hold. A greater one would fail its whole chunk when the lines are written.
AMOUNT_LIMIT, QUANTITY_LIMIT, UNIT_PRICE_LIMIT = Decimal(10) ** 16, Decimal(10) ** 26, Decimal(10) ** 15

Measured = Mapping[tuple[int, int], Sequence[usage.Usage]]
"""Usage by charge, and the number of its segment."""


class TooLarge(Exception):
    """A figure that no invoice line can hold; the message says which."""


def rate(requests: Sequence[Request]) -> dict[int, Rated]:
    """The lines of every request, by its key. The number of queries is the same whatever the chunk holds.

    A subscription whose figures cannot be made is a problem of its own; when usage cannot be read at all, nothing is
    rated: the error is raised. Usage of a meter that is still counting stored events is not known: it makes no line and
    is a problem, which goes away by itself.
    """
    terms, rated = gather(requests)
    counting = _counting(terms)
    measured = _measure(terms, counting)
    terms, known_at = costing.bind(terms, measured)
    measured = _by_parts(terms, measured)
    with localcontext(EXACT):
        for each in terms:
            try:
                rated[each.key] = _rated(each, measured[each.key], counting, known_at)
            except TooLarge as error:
                message = f"{error} No invoice can hold that; look at the events it comes from."
                rated[each.key] = Rated(each.key, (), (message,))
            except Contradictory as error:
                rated[each.key] = Rated(each.key, (), (str(error),))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's and not the chunk's
                rated[each.key] = failed(each.key, error)
    return rated


def measure(requests: Sequence[Request]) -> dict[int, dict[int, list[Combination]]]:
    """The usage of every request, priced or not: {key: {charge: combinations}}, as the lines of `rate` take it apart.

    Of a charge that changes within the period the quantities of its segments are added up, as those of its lines are.
    A constant number of queries. A request whose subscription cannot be read at all is left out, and logged, as is one
    that reads a meter which is still counting stored events.
    """
    return {terms.key: dict(_combined(terms, measured)) for terms, measured in _measured(requests)}


def unmatched(requests: Sequence[Request]) -> dict[int, dict[int, list[Combination]]]:
    """Of what `measure` gives, what no row prices, nor any that was negotiated: {key: {charge: combinations}}."""
    found: dict[int, dict[int, list[Combination]]] = {}
    for terms, measured in _measured(requests):
        for charge in terms.usage_charges():
            left = [
                each
                for number, segment in enumerate(terms.segments.get(charge.id, ()))
                for each in combine(measured[charge.id, number], charge.dimensions)
                if segment.matrix.row_for(each.dimensions) is None
            ]
            if left:
                found.setdefault(terms.key, {})[charge.id] = combine(left, charge.dimensions)
    return found


def _measured(requests: Sequence[Request]) -> Iterator[tuple[Terms, Measured]]:
    gathered, _ = gather(requests)
    counting = _counting(gathered)
    terms = [each for each in gathered if not _waits_for(each, counting)]
    measured = _measure(terms, counting)
    for each in terms:
        yield each, measured[each.key]


def _combined(terms: Terms, measured: Measured) -> Iterator[tuple[int, list[Combination]]]:
    for charge in terms.usage_charges():
        if segments := terms.segments.get(charge.id):
            used = chain.from_iterable(measured[charge.id, number] for number in range(len(segments)))
            yield charge.id, combine(used, charge.dimensions)


def _counting(terms: Iterable[Terms]) -> dict[int, Counting]:
    """The meters whose usage is not known yet. One query."""
    return backfills.unfinished({charge.meter for each in terms for charge in each.usage_charges()})


def _waits_for(terms: Terms, counting: Mapping[int, Counting]) -> bool:
    waits = terms.arrears is not None and any(charge.meter in counting for charge in terms.usage_charges())
    if waits:
        logger.warning("usage_still_counting", key=terms.key)
    return waits


def _measure(terms: Iterable[Terms], counting: Mapping[int, Counting]) -> dict[int, Measured]:
    """By request, charge and segment. A meter that two charges price in one period is read once, when it adds up.

    Otherwise each charge reads it by its own rows, so that what a row takes is one quantity.
    """
    windows: dict[tuple[object, ...], usage.Window] = {}
    read: list[tuple[int, tuple[int, int], int]] = []
    for each in terms:
        for charge, number, segment in _read_segments(each, counting):
            place = (each.key, charge.meter, segment.period, 0 if charge.adds_up else charge.id)
            if place not in windows:
                windows[place] = _window(each, charge, segment, len(windows))
            read.append((each.key, (charge.id, number), windows[place].key))
    found = usage.read(list(windows.values()))
    measured: dict[int, dict[tuple[int, int], Sequence[usage.Usage]]] = defaultdict(dict)
    for key, segment_of, number in read:
        measured[key][segment_of] = found.get(number, ())
    return measured  # type: ignore[return-value]


def _read_segments(terms: Terms, counting: Mapping[int, Counting]) -> Iterator[tuple[UsageCharge, int, Segment]]:
    for charge in terms.usage_charges():
        if charge.meter not in counting:
            for number, segment in enumerate(terms.segments.get(charge.id, ())):
                yield segment.matrix.charge, number, segment


def _window(terms: Terms, charge: UsageCharge, segment: Segment, key: int) -> usage.Window:
    assert terms.window is not None
    return replace(
        terms.window,
        key=key,
        meter=charge.meter,
        period=segment.period,
        named_elsewhere=terms.named.get(charge.meter, {}),
        grouping=None if charge.adds_up else segment.matrix.group,
    )


def _by_parts(terms: Iterable[Terms], measured: dict[int, Measured]) -> dict[int, Measured]:
    """With the usage of segments in which a cost changes read part by part. No query when there is none."""
    windows: list[usage.Window] = []
    places: list[tuple[int, tuple[int, int], str]] = []
    for each in terms:
        for charge_id, segments in each.segments.items():
            for number, segment in enumerate(segments):
                for part in segment.parts:
                    places.append((each.key, (charge_id, number), name_of(part)))
                    whole = _window(each, segment.matrix.charge, segment, len(windows))
                    windows.append(replace(whole, period=part))
    if not windows:
        return measured
    found = usage.read(windows)
    cut: dict[int, dict[tuple[int, int], list[usage.Usage]]] = defaultdict(lambda: defaultdict(list))
    for window, (key, place, name) in zip(windows, places, strict=True):
        cut[key][place] += [
            replace(each, dimensions={**each.dimensions, WHEN: name}) for each in found.get(window.key, ())
        ]
    return {key: {**by_segment, **cut.get(key, {})} for key, by_segment in measured.items()}


def _rated(terms: Terms, measured: Measured, counting: Mapping[int, Counting], known_at: datetime | None) -> Rated:
    lines: list[RatedLine] = []
    problems: list[str] = []
    for charge in sorted(terms.book.charges, key=lambda charge: (charge.position, charge.id)):
        if isinstance(charge, FlatCharge):
            lines.extend(_fees(terms, charge))
        elif terms.arrears is not None and charge.meter in counting:
            problems.append(f"{counting[charge.meter]} The invoice waits for it, and goes on by itself.")
        elif terms.arrears is not None:
            segments = terms.segments[charge.id]
            used = [measured[charge.id, number] for number in range(len(segments))]
            made, held = usage_lines(terms.book, segments, used)
            lines += [*made, *_committed(terms, charge.id, made)]
            problems += held
    lines += _committed(terms, None, [line for line in lines if line.kind != LineKind.FEE])
    deals = terms.deals.negotiated, terms.offers()
    lines += discounting.discount_lines(terms.book, terms.schedule, lines, terms.periods(), *deals)
    _check_sizes(lines)
    return Rated(terms.key, lines, problems, known_at if costing.charges_by_cost(terms) else None)


def _committed(terms: Terms, charge: int | None, lines: Sequence[RatedLine]) -> list[RatedLine]:
    it = terms.commitments.get(charge)
    return [] if it is None else commitments.commitment_lines(it, lines)


def _fees(terms: Terms, charge: FlatCharge) -> Iterator[RatedLine]:
    """The fee, or one for each part of its period in which a negotiated one holds, or holds no more."""
    if charge.timing == Timing.ONCE:
        if terms.opens and terms.advance is not None:
            held = _held(terms, charge, Period(terms.advance.start, terms.advance.start))
            yield once_line(terms.book, negotiated.flat_charge(charge, held), terms.advance, held)
        return
    used = terms.advance if charge.timing == Timing.ADVANCE else terms.arrears
    if used is not None:
        before: dict[Decimal, Decimal] = defaultdict(Decimal)  # by fee: exactly what it comes to so far
        for part in negotiated.parts(used, _of_fee(terms, charge)):
            held = _held(terms, charge, part)
            fee = negotiated.flat_charge(charge, held)
            yield fee_line(terms.book, fee, terms.schedule, part, held, before[fee.amount])
            days = days_of(terms.schedule, part)
            before[fee.amount] = EXACT.add(before[fee.amount], prorate(fee.amount, *days))


def _held(terms: Terms, charge: FlatCharge, part: Period) -> tuple[Negotiated, ...]:
    return negotiated.holding(part, _of_fee(terms, charge))


def _of_fee(terms: Terms, charge: FlatCharge) -> list[Negotiated]:
    return negotiated.about(terms.deals.negotiated, charge.code, What.FEE)


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
