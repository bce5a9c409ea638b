"""What a meter counted in the last whole month, or in this one so far, of all customers: what rows are looked at by.

It is for a look at a price list, not for money: at most so many customers are read, those of the latest series.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_site.foundation import clock
from billing_site.foundation.periods import Period
from catalog.charges.priceable import Priceable
from catalog.pricing.combining import Combination, combine
from meters.explorer.scanning import TooMuch, in_time
from meters.models import Meter, Series
from meters.usage import reading as usage
from meters.usage.windows import Window, only

CUSTOMERS_AT_MOST = 1_000
SERIES_AT_MOST = 20_000


@dataclass(frozen=True)
class LastMonth:
    """Usage by the values that can be priced, greatest quantity first. `problem`: why it is not all, or not known."""

    period: Period
    usage: tuple[Combination, ...] = ()
    problem: str = ""
    so_far: bool = False

    @property
    def words(self) -> str:
        """“February 2026”, or “March 2026 so far”."""
        return f"{self.period.start:%B %Y}" + (" so far" if self.so_far else "")


def last_month(meter: Meter, priceable: Priceable, *, so_far: bool = False) -> LastMonth:
    """The same few queries, however many customers there are; none that takes longer than a page may.

    `so_far`: of the month that is not over, instead.
    """
    period = _month(clock.now() if so_far else _month(clock.now()).start - timedelta(days=1))
    try:
        with in_time():
            customers = _customers(meter)
            kept = only(priceable.dimensions)
            windows = [
                Window(key, (customer,), meter.pk, period, grouping=kept)
                for key, customer in enumerate(customers[:CUSTOMERS_AT_MOST])
            ]
            read = usage.read(windows) if windows else {}
    except TooMuch:
        return LastMonth(period, (), "There is more usage than can be looked through for a page.", so_far)
    except usage.StillCounting:
        return LastMonth(period, (), "The meter's stored events are still being counted.", so_far)
    found = combine((each for of_customer in read.values() for each in of_customer), priceable.dimensions)
    most_first = sorted((each for each in found if each.quantity), key=lambda each: -each.quantity)
    problem = f"It is that of {CUSTOMERS_AT_MOST:,} customers alone." if len(customers) > CUSTOMERS_AT_MOST else ""
    return LastMonth(period, tuple(most_first), problem, so_far)


def _customers(meter: Meter) -> list[str]:
    latest = Series.objects.filter(meter=meter, generation=meter.generation).order_by("-pk")
    customers = latest.values_list("customer", flat=True)[:SERIES_AT_MOST]
    return list(dict.fromkeys(customers))


def _month(moment: datetime) -> Period:
    """The UTC month that a moment is in."""
    begins = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Period(begins, (begins + timedelta(days=31)).replace(day=1))
