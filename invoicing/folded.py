"""What is charged for usage that was counted as `__other__`, so that a page can say what a limit of series concerns."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext

from billing_site.foundation import clock
from billing_site.foundation.money import EXACT, ZERO, round_amount
from catalog.charges import books as price_books
from catalog.pricing.book import PriceBook, UsageCharge
from catalog.pricing.matrix import Combination, Matrix
from customers.models import Alias, Subscription
from customers.rating import chunks as rating
from invoicing.models import Invoice
from invoicing.unpriced import LOOKED_AT, book_key, requests_of
from meters.measuring.folding import OTHER

Place = tuple[int, str]


def charged(places: Collection[Place]) -> dict[Place, dict[str, Decimal]]:
    """By (meter, reference on events): about what its `__other__` costs in open periods and drafts, by currency.

    At the prices of the rows that take it, as if there were no other usage under them; what no row takes is nothing. A
    place that no open subscription charges for is left out. A constant number of queries.
    """
    wanted = {meter for meter, _ in places}
    references = {reference for _, reference in places}
    customers = dict(Alias.objects.filter(reference__in=references).values_list("reference", "customer_id"))
    found = _open_subscriptions(set(customers.values()), wanted)
    drafts = list(Invoice.objects.filter(subscription__in=found, status=Invoice.Status.DRAFT).order_by("id"))
    requests, of, _ = requests_of(found.values(), drafts)
    books = price_books.load({book_key(row) for row in found.values()})
    sums: dict[tuple[int, int], dict[str, Decimal]] = defaultdict(dict)
    for key, by_charge in rating.measure(requests).items():
        book = books[book_key(of[key])]
        for meter, amount in _amounts(book, by_charge):
            of_meter = sums[meter, of[key].customer_id]
            of_meter[book.currency] = EXACT.add(of_meter.get(book.currency, ZERO), amount)
    owners = {place: (place[0], customers[place[1]]) for place in places if place[1] in customers}
    return {place: sums[owner] for place, owner in owners.items() if owner in sums}


def _open_subscriptions(customers: set[int], meters: set[int]) -> dict[int, Subscription]:
    """Those that charge for one of the meters and have a period that is not over."""
    open_ones = Subscription.objects.filter(
        customer__in=customers, due_at__isnull=False, starts_at__lte=clock.now(), version__charges__meter__in=meters
    )
    rows = open_ones.select_related("customer").order_by("pk").distinct()[:LOOKED_AT]
    return {row.pk: row for row in rows}


def _amounts(book: PriceBook, by_charge: Mapping[int, Sequence[Combination]]) -> Iterator[tuple[int, Decimal]]:
    """(meter, rounded amount) of each combination that has `__other__` in it."""
    for charge in book.charges:
        if not isinstance(charge, UsageCharge):
            continue
        matrix = Matrix(charge)
        for usage in by_charge.get(charge.id, ()):
            if OTHER not in usage.dimensions.values():
                continue
            row = matrix.row_for(usage.dimensions)
            model = None if row is None else row.model_for(usage.dimensions)
            with localcontext(EXACT):
                amount = ZERO if model is None else model.price(usage.quantity, "", 0).amount
            yield charge.meter, round_amount(amount, book.currency)
