"""What a meter counted in the last whole month, of all customers: what rows of prices are looked at by.

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

    @property
    def words(self) -> str:
        """“February 2026”."""
        return f"{self.period.start:%B %Y}"


def last_month(meter: Meter, priceable: Priceable) -> LastMonth:
    """The same few queries, however many customers there are; none that takes longer than a page may."""
    period = _month_before(clock.now())
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
        return LastMonth(period, problem="There is more usage than can be looked through for a page.")
    except usage.StillCounting:
        return LastMonth(period, problem="The meter's stored events are still being counted.")
    found = combine((each for of_customer in read.values() for each in of_customer), priceable.dimensions)
    most_first = sorted((each for each in found if each.quantity), key=lambda each: -each.quantity)
    problem = f"It is that of {CUSTOMERS_AT_MOST:,} customers alone." if len(customers) > CUSTOMERS_AT_MOST else ""
    return LastMonth(period, tuple(most_first), problem)


def _customers(meter: Meter) -> list[str]:
    latest = Series.objects.filter(meter=meter, generation=meter.generation).order_by("-pk")
    customers = latest.values_list("customer", flat=True)[:SERIES_AT_MOST]
    return list(dict.fromkeys(customers))


def _month_before(now: datetime) -> Period:
    """The UTC month before this one."""
    this = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Period((this - timedelta(days=1)).replace(day=1), this)
