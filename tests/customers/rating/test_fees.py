"""Fees worked by hand, over calendar and anniversary months, in several currencies and timezones."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing_site.foundation.periods import Alignment, Interval, Period, Schedule, midnight
from catalog.pricing.book import FlatCharge, PriceBook, Timing
from customers.rating.fees import fee_line


def line(
    amount: str,
    first: date,
    until: date,
    currency: str = "USD",
    timezone: str = "UTC",
    alignment: Alignment = Alignment.CALENDAR,
    anchor: date = date(2023, 1, 1),
    interval: Interval = Interval.MONTH,
):
    charge = FlatCharge(7, 0, "base", "Base fee", 3, Timing.ADVANCE, Decimal(amount))
    book = PriceBook(11, "Chatbot v1", currency, interval, (charge,))
    schedule = Schedule(interval, alignment, anchor, timezone)
    return fee_line(book, charge, schedule, Period(midnight(first, timezone), midnight(until, timezone)))


def test_a_full_period_is_the_fee_and_says_nothing_of_days() -> None:
    made = line("30", date(2023, 11, 1), date(2023, 12, 1))
    assert (made.description, made.amount, made.unit_price, made.quantity) == (
        "Base fee",
        Decimal("30.00"),
        Decimal("30.00"),
        1,
    )
    assert made.service == Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
    assert (made.charge, made.product, made.dimensions, made.unit) == (7, 3, {}, "")
    assert made.explanation == {
        "version": "Chatbot v1",
        "version_id": 11,
        "charge": "base",
        "row": None,
        "steps": ["the fee of the full period = 30"],
    }


def test_a_part_of_a_period_says_how_many_days() -> None:
    made = line("30", date(2023, 11, 10), date(2023, 11, 22))
    # 30 × 12 ÷ 30
    assert (made.description, made.amount) == ("Base fee (12 of 30 days)", Decimal("12.00"))
    assert made.explanation["steps"] == ["30 × 12 days ÷ 30 days = 12"]


def test_an_endless_share_is_shown_cut_off_and_rounded_once() -> None:
    made = line("100", date(2023, 10, 1), date(2023, 10, 8))
    # 100 × 7 ÷ 31 = 22.580645…
    assert made.amount == Decimal("22.58")
    assert made.explanation["steps"] == ["100 × 7 days ÷ 31 days = 22.580645161290…", "rounded to 22.58"]


@pytest.mark.parametrize(
    ("fee", "first", "until", "currency", "amount", "days"),
    [
        # Half a minor unit goes away from zero: 0.05 × 15 ÷ 30 = 0.025.
        ("0.05", date(2023, 11, 1), date(2023, 11, 16), "USD", "0.03", "15 of 30"),
        # 1000 × 10 ÷ 30 = 333.33…; the yen has no smaller unit.
        ("1000", date(2023, 11, 1), date(2023, 11, 11), "JPY", "333", "10 of 30"),
        # 1001 × 15 ÷ 30 = 500.5
        ("1001", date(2023, 11, 1), date(2023, 11, 16), "JPY", "501", "15 of 30"),
        # 10 × 10 ÷ 30 = 3.3333…; the dinar has thousandths.
        ("10", date(2023, 11, 1), date(2023, 11, 11), "KWD", "3.333", "10 of 30"),
        ("0.001", date(2023, 11, 1), date(2023, 11, 16), "KWD", "0.001", "15 of 30"),
        # A leap February: 29 × 1 ÷ 29.
        ("29", date(2024, 2, 29), date(2024, 3, 1), "USD", "1.00", "1 of 29"),
    ],
)
def test_rounding_by_currency(fee: str, first: date, until: date, currency: str, amount: str, days: str) -> None:
    made = line(fee, first, until, currency=currency)
    assert str(made.amount) == amount
    assert made.description == f"Base fee ({days} days)"


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kolkata"])
@pytest.mark.parametrize(
    ("first", "until"), [(date(2023, 3, 11), date(2023, 3, 27)), (date(2023, 3, 26), date(2023, 4, 1))]
)
def test_a_day_is_a_day_however_many_hours_it_has(timezone: str, first: date, until: date) -> None:
    # Clocks change on 12 March in New York, 26 March in Berlin: days of 23 hours count as one.
    made = line("31", first, until, timezone=timezone)
    assert made.amount == (until - first).days


def test_the_two_parts_of_a_month_add_up() -> None:
    # 100 × 9 ÷ 30 and 100 × 21 ÷ 30
    parts = [line("100", date(2023, 11, 1), date(2023, 11, 10)), line("100", date(2023, 11, 10), date(2023, 12, 1))]
    assert [part.amount for part in parts] == [Decimal("30.00"), Decimal("70.00")]


def test_anniversary_months_have_their_own_length() -> None:
    # From the 31st: 31 January to 28 February has 28 days, and 14 of them are half.
    made = line(
        "30",
        date(2023, 1, 31),
        date(2023, 2, 14),
        alignment=Alignment.ANNIVERSARY,
        anchor=date(2023, 1, 31),
        timezone="Asia/Tokyo",
    )
    assert (made.description, made.amount) == ("Base fee (14 of 28 days)", Decimal("15.00"))


@pytest.mark.parametrize(
    ("interval", "until", "amount", "days"),
    [
        (Interval.WEEK, date(2023, 1, 4), "20.00", "2 of 7"),
        (Interval.QUARTER, date(2023, 2, 1), "23.33", "30 of 90"),
        (Interval.YEAR, date(2024, 1, 1), "69.81", "364 of 365"),
    ],
)
def test_other_intervals(interval: Interval, until: date, amount: str, days: str) -> None:
    # Monday 2 January 2023 on: 70 × 2 ÷ 7; 70 × 30 ÷ 90; 70 × 364 ÷ 365 = 69.8082
    made = line("70", date(2023, 1, 2), until, interval=interval)
    assert (str(made.amount), made.description) == (amount, f"Base fee ({days} days)")


def test_more_than_one_period_is_an_error() -> None:
    with pytest.raises(ValueError, match="more than one period"):
        line("30", date(2023, 11, 1), date(2023, 12, 2))
