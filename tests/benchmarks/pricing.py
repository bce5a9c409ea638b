"""What it costs to price a line, against a bare decimal multiplication and rounding of the same quantity.

Ours ends with the line's exact amount, its explanation ready to be asked for, and the amount rounded to the currency.
Three lines: one price per unit; a matrix of 200 cells, all of them used, from usage as it was read to shared parts; and
five tiers that the quantities reach in turn. Shown beside each: what it takes when every explanation is written out, as
it is for a line that is kept. Times are of the processor, for nothing here waits.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

from billing_site.foundation.money import EXACT, round_amount
from catalog.pricing.book import Priced, PriceModel, Row, Unmatched, UsageCharge
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Combination, Matrix
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.tiers import Tier

LINES = 20_000
CELLS = 200
RUNS = 5
CENT = Decimal("0.01")
PRICE = Decimal("0.000015")
UNIT = "one line"

Pricing = Callable[[], Iterator[Priced]]


def measure(progress: Callable[[str], None]) -> dict[str, list[tuple[float, float]]]:
    """(floor, ours) in lines per second, of each of five runs."""
    chance = random.Random(1)  # noqa: S311 - any quantities will do
    quantities = [Decimal(chance.randrange(1, 60_000_000)).scaleb(-chance.choice((0, 0, 2))) for _ in range(LINES)]
    variants: dict[str, Pricing] = {
        "per_unit": _by(PerUnit(PRICE), quantities),
        "matrix_200": _by_matrix(quantities),
        "five_tiers": _by(_tiers(), quantities),
    }
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is not walked through again and again while it measures
    found: dict[str, list[tuple[float, float]]] = {}
    for name, pricing in variants.items():
        found[name] = [(_floor(quantities), _ours(pricing)) for _ in range(RUNS)]
        kept = _rate(lambda pricing=pricing: [_written(priced) for priced in pricing()])
        progress(f"{name}: {kept:,.0f} lines a second with every explanation written out")
    return found


def _rate(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return LINES / (time.process_time() - began)


def _floor(quantities: list[Decimal]) -> float:
    def multiply_and_round() -> None:
        for quantity in quantities:
            EXACT.multiply(quantity, PRICE).quantize(CENT, context=EXACT)

    return _rate(multiply_and_round)


def _ours(pricing: Pricing) -> float:
    def price_and_round() -> None:
        for priced in pricing():
            round_amount(priced.amount, "USD")

    return _rate(price_and_round)


def _written(priced: Priced) -> list[str]:
    round_amount(priced.amount, "USD")
    return [str(step) for step in priced.steps]


def _by(model: PriceModel, quantities: list[Decimal]) -> Pricing:
    return lambda: (model.price(quantity, "token", 1) for quantity in quantities)


def _tiers() -> Graduated:
    bounds = [1_000_000, 5_000_000, 15_000_000, 40_000_000, None]
    prices = ["0.00002", "0.000015", "0.00001", "0.000008", "0.000005"]
    return Graduated(
        [
            Tier(None if bound is None else Decimal(bound), Decimal(price), Decimal(index))
            for index, (bound, price) in enumerate(zip(bounds, prices, strict=True))
        ],
        flat_at_zero=False,
    )


def _by_matrix(quantities: list[Decimal]) -> Pricing:
    """Customers that use every cell: 40 models by 5 token types, each with a price of its own."""
    dimensions = [{"model": f"model-{cell // 5}", "token_type": f"type-{cell % 5}"} for cell in range(CELLS)]
    rows = tuple(Row(cell, cell, match, PerUnit(PRICE * (cell + 1))) for cell, match in enumerate(dimensions))
    charge = UsageCharge(1, 0, "tokens", "Tokens", 1, 1, "token", ("model", "token_type"), rows, Unmatched.HOLD)
    matrix = Matrix(charge)
    customers = [
        [
            Combination(dict(values), quantity, 1)  # as it is read: a mapping of its own for each
            for values, quantity in zip(dimensions, quantities[start : start + CELLS], strict=True)
        ]
        for start in range(0, len(quantities), CELLS)
    ]

    def price() -> Iterator[Priced]:
        for used in customers:
            for row in matrix.price(used).rows:
                yield row.priced

    return price
