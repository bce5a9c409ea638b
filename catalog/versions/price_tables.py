"""All that a version charges, as a table for each of its currencies: what somebody reads before it is published."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import grouped
from catalog.charges.cell_prices import price_of
from catalog.charges.priced_in import amounts_of, per_of, rows_of, sum_in, unit_of
from catalog.charges.row_checks import words
from catalog.models import Charge, PlanVersion, PriceList
from catalog.pricing.words import in_words

Line = tuple[str, str, str]
"""Whose it is (only in the first line of several), what it is for, and how much that is."""


@dataclass(frozen=True)
class PriceTable:
    currency: str
    lines: Sequence[Line]


def price_tables(version: PlanVersion) -> list[PriceTable]:
    """In its own currency first. The same few queries, however many charges, rows and currencies there are."""
    version = PlanVersion.objects.select_related("plan").prefetch_related("price_lists").get(pk=version.pk)
    charges = list(version.charges.select_related("meter").prefetch_related("cells", "amounts"))
    for charge in charges:
        charge.version = version
    return [
        PriceTable(
            (price_list or version).currency,
            [*(line for charge in charges for line in _charge(charge, price_list)), *_all(version, price_list)],
        )
        for price_list in (None, *version.price_lists.all())
    ]


def _charge(charge: Charge, price_list: PriceList | None) -> Iterator[Line]:
    unit, amounts = unit_of(charge, price_list), amounts_of(charge, price_list)
    if charge.meter is None:
        timing = charge.get_timing_display().partition(",")[0].lower()
        said = [("", f"{sum_in(amounts.amount, unit)} {timing}" if amounts.amount is not None else "no fee yet")]
    else:
        measured, per, rows = charge.meter.unit, per_of(charge), rows_of(charge, price_list)
        said = [(words(cell.match), in_words(price_of(cell), unit, measured, per)) for cell in rows]
        said = said or [("", "no price yet")]
        if charge.included is not None:
            said.append(("Included in each period", f"{grouped(charge.included)} {measured}"))
    yield from _named(charge.name, [*said, *_sums(amounts.minimum, amounts.cap, unit)])


def _all(version: PlanVersion, price_list: PriceList | None) -> Iterator[Line]:
    """Terms over all usage."""
    terms = version if price_list is None else price_list
    said = list(_sums(terms.minimum, terms.cap, terms.currency))
    if version.included_credits is not None:
        said.append(("Credits that each period grants", grouped(version.included_credits)))
    if terms.credit_price is not None:
        said.append(("A credit beyond those", f"{grouped(terms.credit_price)} {terms.currency}"))
    if version.when_empty:
        said.append(("When the wallet is empty", version.get_when_empty_display()))
    yield from _named("All usage", said)


def _sums(minimum: Decimal | None, cap: Decimal | None, unit: str) -> Iterator[tuple[str, str]]:
    for what, amount in (("Minimum", minimum), ("Cap", cap)):
        if amount is not None:
            yield what, sum_in(amount, unit)


def _named(name: str, said: Sequence[tuple[str, str]]) -> Iterator[Line]:
    for number, (what, amount) in enumerate(said):
        yield ("" if number else name, what, amount)
