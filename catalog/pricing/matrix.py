"""Which row of a charge prices which usage, and what each row comes to. Pure.

Rules: `docs/rules.md`, "What is priced together".

    usage at every combination of values → one row each, or none → the row's usage in all, priced once

Amounts stay exact here. Who writes lines rounds each `PricedRow` once and shows its parts by
`catalog.pricing.sharing.share`:

    rounded = round_amount(row.priced.amount, currency)
    amounts = share(rounded, [part.weight for part in row.parts], minor_unit(currency))
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Protocol

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.book import Priced, Row, UsageCharge


class Measured(Protocol):
    """A quantity at one combination of dimension values, for example `meters.usage.Usage`."""

    @property
    def dimensions(self) -> Mapping[str, str]: ...

    @property
    def quantity(self) -> Decimal: ...


@dataclass(frozen=True)
class Combination:
    """Usage at one combination of the dimensions that can be priced; a value that the usage did not have is absent."""

    dimensions: Mapping[str, str]
    quantity: Decimal


@dataclass(frozen=True)
class Part(Combination):
    """A combination under its row. `weight`: its exact amount at the row's unit price, by which the row's is shared."""

    weight: Decimal


@dataclass(frozen=True)
class PricedRow:
    """What one row comes to: its exact, unrounded amount for the quantity of all its parts together."""

    row: Row
    quantity: Decimal
    priced: Priced
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class PricedUsage:
    """The usage of a charge, each combination once: under the row that prices it (in order of rows), or unmatched."""

    rows: tuple[PricedRow, ...]
    unmatched: tuple[Combination, ...]


class Matrix:
    """The rows of a charge, made ready to be asked: build it once and price the usage of many customers."""

    def __init__(self, charge: UsageCharge) -> None:
        self.charge = charge
        # By the dimensions that rows name, most first: one look-up for each set of names, however many rows there are.
        self._by_names: dict[tuple[str, ...], dict[tuple[str, ...], Row]] = {}
        for row in sorted(charge.rows, key=lambda row: (-len(row.match), row.position, row.id)):
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
            if row is not None and (best is None or (row.position, row.id) < (best.position, best.id)):
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

    def price(self, usage: Iterable[Measured]) -> PricedUsage:
        """Each row's usage in all, priced once. Usage at no combination at all makes no row."""
        by_row: dict[int, list[Combination]] = defaultdict(list)
        rows: dict[int, Row] = {}
        unmatched: list[Combination] = []
        for combination in combine(usage, self.charge.dimensions):
            row = self.row_for(combination.dimensions)
            if row is None:
                unmatched.append(combination)
            else:
                rows[row.id] = row
                by_row[row.id].append(combination)
        ordered = sorted(rows.values(), key=lambda row: (row.position, row.id))
        return PricedUsage(tuple(self._priced(row, by_row[row.id]) for row in ordered), tuple(unmatched))

    def _priced(self, row: Row, combinations: list[Combination]) -> PricedRow:
        with localcontext(EXACT):
            quantity = sum((combination.quantity for combination in combinations), ZERO)
            priced = row.price.price(quantity, self.charge.unit)
            parts = tuple(Part(c.dimensions, c.quantity, c.quantity * priced.unit_price) for c in combinations)
        return PricedRow(row, quantity, priced, parts)


def combine(usage: Iterable[Measured], dimensions: tuple[str, ...]) -> list[Combination]:
    """Usage by the values of `dimensions` alone, each combination once, ordered by those values, a missing one first.

    Usage may be recorded by more dimensions than can be priced (pending ones): those are added up. Usage whose
    quantities do not add up comes grouped already (`Matrix.group`), so that nothing is left to add.
    """
    totals: dict[tuple[str | None, ...], Decimal] = {}
    with localcontext(EXACT):
        for measured in usage:
            key = tuple(measured.dimensions.get(name) for name in dimensions)
            totals[key] = totals.get(key, ZERO) + measured.quantity
    ordered = sorted(totals.items(), key=lambda item: [(value is not None, value or "") for value in item[0]])
    return [Combination(_present(dimensions, key), quantity) for key, quantity in ordered]


def _present(dimensions: tuple[str, ...], values: tuple[str | None, ...]) -> dict[str, str]:
    return {name: value for name, value in zip(dimensions, values, strict=True) if value is not None}


def price_usage(charge: UsageCharge, usage: Iterable[Measured]) -> PricedUsage:
    """`Matrix(charge).price(usage)`, for a charge that is asked once."""
    return Matrix(charge).price(usage)
