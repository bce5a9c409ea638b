"""May a customer, by what it has and what it used? Worked by hand."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from catalog.features.values import UNLIMITED
from customers.entitlements.allowing import listed, number, remaining, switch

RESET = datetime(2026, 4, 1, tzinfo=UTC)


def test_what_is_left_is_never_less_than_nothing() -> None:
    assert remaining(Decimal(100), Decimal("30.5")) == Decimal("69.5")
    assert remaining(Decimal(100), Decimal(130)) == 0
    assert remaining(Decimal(100), Decimal(-20)) == 120
    assert remaining(UNLIMITED, Decimal(130)) is None


def test_a_switch_is_on_or_off() -> None:
    assert (switch("SSO", True).allowed, switch("SSO", True).reason) == (True, "included")
    off = switch("SSO", False)
    assert (off.allowed, off.reason) == (False, "not_included")
    assert off.message == "“SSO” is off: neither a plan nor an override turns it on."


@pytest.mark.parametrize(
    ("value", "asked", "allowed", "reason"),
    [
        (UNLIMITED, "anything", True, "unlimited"),
        (("small", "large"), "large", True, "included"),
        (("small", "large"), "Large", False, "value_not_included"),
        ((), "large", False, "not_included"),
    ],
)
def test_a_value_is_in_a_list_or_not(value: object, asked: str, allowed: bool, reason: str) -> None:
    decision = listed("Models", value, asked)  # type: ignore[arg-type]

    assert (decision.allowed, decision.reason) == (allowed, reason)


def test_a_long_list_is_cut_short_in_words() -> None:
    many = tuple(f"model-{n:02}" for n in range(25))

    assert listed("Models", many, "x").message.endswith("“model-19” and others.")
    assert listed("Models", ("a", "b"), "x").message == "“Models” does not include “x”, but “a”, “b”."


@pytest.mark.parametrize(
    ("value", "quantity", "used", "allowed", "reason"),
    [
        (Decimal(100), "1", "99", True, "within_limit"),  # 99 + 1 ≤ 100
        (Decimal(100), "1.000000000001", "99", False, "limit_exceeded"),
        (Decimal(100), "0", "100", True, "within_limit"),
        (Decimal(100), "0", "100.5", False, "limit_exceeded"),
        (Decimal(100), "120", "-20", True, "within_limit"),
        (Decimal(0), "0", "0", False, "not_included"),
        (UNLIMITED, "1000000", "99", True, "unlimited"),
        (Decimal(100), "100", None, True, "usage_still_counting"),
        (Decimal(100), "101", None, False, "limit_exceeded"),
    ],
)
def test_so_much_more_fits_or_not(value: object, quantity: str, used: str | None, allowed: bool, reason: str) -> None:
    known = None if used is None else Decimal(used)
    decision = number("Tokens", value, Decimal(quantity), known, RESET)  # type: ignore[arg-type]

    assert (decision.allowed, decision.reason) == (allowed, reason)


def test_a_number_that_counts_nothing_is_compared_alone() -> None:
    within, beyond = (number("Seats", Decimal(5), Decimal(n), None, None) for n in (5, 6))

    assert (within.allowed, within.reason) == (True, "within_limit")
    assert (beyond.allowed, beyond.reason) == (False, "limit_exceeded")
    assert beyond.message == "6 is more than the 5 of “Seats”."


def test_people_read_what_is_left_and_until_when() -> None:
    decision = number("Tokens", Decimal(1_000_000), Decimal(1_000), Decimal(999500), RESET)

    assert decision.message == (
        "999,500 of 1,000,000 “Tokens” are used, 500 are left until 2026-04-01 00:00: 1,000 more do not fit."
    )
