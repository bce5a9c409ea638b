"""Which row of a charge prices which usage, and what each row comes to. Pure.

Rules: `docs/rules.md`, "What is priced together".

    usage at every combination of values → one row each, or none → less what is included → the row's usage, priced once

Amounts stay exact here. Who writes lines rounds each `PricedRow` once and shows its parts by
`catalog.pricing.sharing.share`:

    rounded = round_amount(row.priced.amount, currency)
    amounts = share(rounded, [part.weight for part in row.parts], minor_unit(currency))
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.money import ZERO
from catalog.pricing.allowance import places_of, spread_twice
from catalog.pricing.book import PricesEach, Row, UsageCharge
from catalog.pricing.combining import Combination, Key, Measured, Used, by_values, combine, present
from catalog.pricing.going_on import Before, GoingOn
from catalog.pricing.row_pricing import Part, PricedRow, price_each, price_together

__all__ = ["Combination", "Matrix", "Measured", "Part", "PricedRow", "PricedUsage", "combine", "price_usage"]

# Rows that were found for the values of some usage are kept for the next customer's, up to so many.
KEPT = 20_000
NOTHING = Combination({}, ZERO, 0)


@dataclass(frozen=True)
class PricedUsage:
    """The usage of a charge, each combination once: under the row that prices it (in order of rows), or apart.

    `unmatched`: no row fits. `unknown_cost`: a row does, but it prices by what a combination costs, and nobody knows.
    """

    rows: tuple[PricedRow, ...]
    unmatched: tuple[Combination, ...]
    unknown_cost: tuple[Combination, ...] = ()


class Sorted(NamedTuple):
    """Usage by the rank of the row that prices it, and what no row does."""

    by_rank: Mapping[int, Sequence[Used]]
    unmatched: Sequence[Combination]


class Matrix:
    """The rows of a charge, made ready to be asked: build it once and price the usage of many customers."""

    def __init__(self, charge: UsageCharge) -> None:
        self.charge = charge
        self._rows = sorted(charge.rows, key=lambda row: (row.position, row.id))
        self._rank = {row.id: rank for rank, row in enumerate(self._rows)}
        # A row prices all its usage together, or each combination for itself.
        self._each = {self._rank[row.id]: row.price for row in self._rows if isinstance(row.price, PricesEach)}
        self._together = {self._rank[row.id]: row.price for row in self._rows if not isinstance(row.price, PricesEach)}
        self._found: dict[Key, tuple[int | None, Mapping[str, str]]] = {}
        # By the dimensions that rows name, most first: one look-up for each set of names, however many rows there are.
        self._by_names: dict[tuple[str, ...], dict[tuple[str, ...], Row]] = {}
        for row in sorted(self._rows, key=lambda row: -len(row.match)):
            names = tuple(sorted(row.match))
            values = tuple(row.match[name] for name in names)
            self._by_names.setdefault(names, {}).setdefault(values, row)

    def row_for(self, dimensions: Mapping[str, str]) -> Row | None:
        """The row with most exact values that all fit, the first of equals by position; None when no row fits."""
        best: Row | None = None
        for names, rows in self._by_names.items():
            if best is not None and len(names) < len(best.match):
                break
            if not all(name in dimensions for name in names):
                continue
            row = rows.get(tuple(dimensions[name] for name in names))
            if row is not None and (best is None or self._rank[row.id] < self._rank[best.id]):
                best = row
        return best

    def group(self, dimensions: Mapping[str, str]) -> Mapping[str, str]:
        """The values under which usage is taken together before it is priced.

        Where quantities do not add up, those of the row that prices it: the row's quantity is that of all its usage.
        Otherwise, and for what no row prices, its values of the dimensions that can be priced.
        """
        priced = {name: dimensions[name] for name in self.charge.dimensions if name in dimensions}
        row = None if self.charge.adds_up else self.row_for(priced)
        return priced if row is None else row.match

    def price(self, usage: Iterable[Measured], included: Decimal = ZERO) -> PricedUsage:
        """Each row's usage in all, priced once. `included`: how many units of the whole usage cost nothing.

        Usage at no combination makes no row; a fee that is due without usage has a charge without dimensions alone.
        """
        found = self.sort(usage)
        return self.priced(found, self._free(found, included) if included else {})

    def priced(
        self, found: Sorted, free: Mapping[int, Sequence[Decimal]], before: Mapping[int, Before] | None = None
    ) -> PricedUsage:
        """`free`: by rank, what is included of each combination. `before`: what the row took in earlier parts."""
        rows: list[PricedRow] = []
        unknown: list[Combination] = []
        for rank in sorted(found.by_rank):
            row, used, model = self._rows[rank], found.by_rank[rank], self._together.get(rank)
            shares = free.get(rank, ()) if free else ()
            if model is not None:
                if before and rank in before:
                    model = GoingOn(model, before[rank])
                rows.append(price_together(row, model, used, shares, self.charge.unit))
                continue
            priced, without_cost = price_each(row, self._each[rank], used, shares, self.charge.unit)
            rows += [priced] if priced is not None else []
            unknown += without_cost
        return PricedUsage(tuple(rows), tuple(found.unmatched), tuple(unknown))

    def row_at(self, rank: int) -> Row:
        return self._rows[rank]

    def sort(self, usage: Iterable[Measured]) -> Sorted:
        """Each combination once, under the row that prices it; where there is no usage, what is owed without any."""
        by_rank: dict[int, list[Used]] = {}
        unmatched: list[Combination] = []
        for key, measured in by_values(usage, self.charge.dimensions):
            rank, dimensions = self._found.get(key) or self._find(key)
            if rank is None:
                unmatched.append(Combination(dimensions, measured.quantity, measured.events))
            elif rank in by_rank:
                by_rank[rank].append((dimensions, measured.quantity, measured.events))
            else:
                by_rank[rank] = [(dimensions, measured.quantity, measured.events)]
        if not by_rank and not unmatched:
            by_rank = self._without_usage()
        return Sorted(by_rank, unmatched)

    def _find(self, key: Key) -> tuple[int | None, Mapping[str, str]]:
        if len(self._found) >= KEPT:
            self._found.clear()
        dimensions = present(self.charge.dimensions, key)
        row = self.row_for(dimensions)
        found = self._found[key] = (None if row is None else self._rank[row.id], dimensions)
        return found

    def _without_usage(self) -> dict[int, list[Used]]:
        """What a charge without dimensions takes when there is no usage, if it owes anything then."""
        return {
            rank: [NOTHING]
            for rank, model in self._together.items()
            if not self.charge.dimensions and model.price(ZERO, self.charge.unit, 0).amount
        }

    def _free(self, found: Sorted, included: Decimal) -> dict[int, list[Decimal]]:
        """What is included of each combination, by rank: spread over rows and unmatched usage, then within each row."""
        ranks = sorted(found.by_rank)
        quantities = [[quantity for _, quantity, _ in found.by_rank[rank]] for rank in ranks]
        quantities += [[each.quantity] for each in found.unmatched]
        places = self.charge.places
        if places is None:
            places = places_of(quantity for row in quantities for quantity in row)
        places = max(places, places_of([included]))
        return dict(zip(ranks, spread_twice(included, quantities, places, places), strict=False))


def price_usage(charge: UsageCharge, usage: Iterable[Measured], included: Decimal = ZERO) -> PricedUsage:
    """`Matrix(charge).price(usage, included)`, for a charge that is asked once."""
    return Matrix(charge).price(usage, included)
