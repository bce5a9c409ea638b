"""What a meter counted in the last whole month: of all customers, in the same few queries, within bounds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from billing_site.foundation.periods import Period
from catalog.charges.priceable import priceable
from catalog.checks import last_month as module
from catalog.checks.last_month import last_month
from meters.explorer.scanning import TooMuch
from meters.models import Meter
from meters.usage.reading import StillCounting
from tests.catalog import making
from tests.meters.making import NOON, event, send

pytestmark = pytest.mark.django_db

APRIL = datetime(2026, 4, 15, tzinfo=UTC)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """Looked at in the middle of April."""
    meter = making.tokens()
    monkeypatch.setattr(clock, "now", lambda: APRIL)
    return meter


def used(meter: Meter) -> list[tuple[dict[str, str], Decimal]]:
    return [(dict(each.dimensions), each.quantity) for each in last_month(meter, priceable(meter)).usage]


def at(
    reference: str, moment: datetime, customer: str = "acme", model: str = "a", tokens: int = 1
) -> dict[str, object]:
    properties = {"model": model, "region": reference, "input_tokens": tokens}
    return event(reference, customer=customer, timestamp=moment.isoformat(), properties=properties)


def test_usage_of_all_customers_is_added_up_by_what_can_be_priced(meter: Meter) -> None:
    send(at("1", NOON, tokens=100), at("2", NOON, "other", tokens=50), at("3", NOON, "other", model="b", tokens=400))
    found = last_month(meter, priceable(meter))
    assert (found.words, found.problem) == ("March 2026", "")
    assert found.period == Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert used(meter) == [
        ({"model": "b", "token_type": "input"}, Decimal(400)),
        ({"model": "a", "token_type": "input"}, Decimal(150)),
    ]


def test_the_month_is_whole_and_what_lies_beside_it_is_left_out(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 5, tzinfo=UTC))
    begins, ends = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    moments = [begins, ends - timedelta(seconds=1), begins - timedelta(seconds=1), ends]
    send(*(at(str(tokens), moment, tokens=tokens) for tokens, moment in zip((1, 10, 100, 1000), moments, strict=True)))
    assert used(meter) == [({"model": "a", "token_type": "input"}, Decimal(11))]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (datetime(2026, 1, 31, 23, tzinfo=UTC), "December 2025"),
        (datetime(2024, 3, 1, tzinfo=UTC), "February 2024"),
    ],
)
def test_which_month_is_the_last_one(meter: Meter, monkeypatch: pytest.MonkeyPatch, now: datetime, words: str) -> None:
    monkeypatch.setattr(clock, "now", lambda: now)
    assert last_month(meter, priceable(meter)).words == words
    assert used(meter) == []


@pytest.mark.parametrize("now", [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, 23, tzinfo=UTC)])
def test_what_this_month_has_had_so_far(meter: Meter, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: now)
    begins, ends = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    moments = [begins, ends - timedelta(seconds=1), begins - timedelta(seconds=1), ends]
    send(*(at(str(tokens), moment, tokens=tokens) for tokens, moment in zip((1, 10, 100, 1000), moments, strict=True)))
    found = last_month(meter, priceable(meter), so_far=True)
    assert (found.words, found.period) == ("February 2026 so far", Period(begins, ends))
    assert [each.quantity for each in found.usage] == [11]


def test_more_customers_take_no_more_queries(meter: Meter) -> None:
    send(at("0", NOON))
    with CaptureQueriesContext(connection) as few:
        used(meter)
    send(*(at(str(number), NOON, f"c{number}", model=f"m{number % 7}") for number in range(1, 40)))
    with CaptureQueriesContext(connection) as many:
        assert len(used(meter)) == 8
    assert len(many) == len(few)


def test_only_so_many_customers_are_read_and_that_is_said(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CUSTOMERS_AT_MOST", 2)
    send(*(at(str(number), NOON, f"c{number}", tokens=10) for number in range(3)))
    found = last_month(meter, priceable(meter))
    assert (found.usage[0].quantity, found.problem) == (20, "It is that of 2 customers alone.")


@pytest.mark.parametrize(
    ("error", "said"),
    [(TooMuch("x"), "more usage than can be looked through"), (StillCounting(frozenset({1})), "still being counted")],
)
def test_what_cannot_be_known_is_said(
    meter: Meter, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def refuse(windows: object) -> None:
        raise error

    monkeypatch.setattr(module.usage, "read", refuse)
    send(at("1", NOON))
    found = last_month(meter, priceable(meter))
    assert found.usage == ()
    assert said in found.problem
