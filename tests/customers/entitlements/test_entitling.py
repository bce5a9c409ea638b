"""What a customer is granted beside its plans: granted and ended, never edited."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from catalog.models import Feature
from catalog.versions import publishing
from catalog.versions.publishing import create_feature
from customers.entitlements.entitling import end_override, grant
from customers.models import Customer, EntitlementOverride
from customers.subscriptions.subscribing import create_customer
from tests.violating import violates

pytestmark = pytest.mark.django_db

# 23:30 on the 10th in UTC: the 11th in Berlin.
NOW = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
TODAY = date(2026, 3, 11)


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    def set_clock(now: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: now)

    set_clock(NOW)
    return set_clock


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")


def seats(**fields: Any) -> Feature:
    return create_feature(**{"code": "seats", "name": "Seats", "kind": "number", **fields})


def codes(refused: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(fault.code, fault.field) for fault in refused.value.faults]


def test_it_is_granted_from_today_on_in_the_customers_calendar(acme: Customer) -> None:
    override = grant(acme, seats(), 50, reason=" Contract 12 ")

    override.refresh_from_db()
    assert (override.starts_on, override.ends_on, override.reason) == (TODAY, None, "Contract 12")
    assert override.value == Decimal(50)
    assert override.state_on(TODAY) == "active"


def test_what_was_granted_freezes_the_feature(acme: Customer) -> None:
    feature = seats()
    grant(acme, feature, "unlimited", reason="x")

    with pytest.raises(Refused, match="A published plan version or a customer has “Seats”, so its combination stays"):
        publishing.change_feature(feature, several="sum")
    with pytest.raises(Refused, match="is used by Seats: unlimited"):
        publishing.delete_feature(feature)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"value": "many"}, ("value_invalid", "value")),
        ({"reason": " "}, ("reason_missing", "reason")),
        ({"reason": "a\0b"}, ("text_invalid", "reason")),
        ({"reason": "x" * 2001}, ("reason_too_long", "reason")),
        ({"starts_on": date(2026, 3, 10)}, ("starts_in_the_past", "starts_on")),
        ({"ends_on": TODAY}, ("ends_too_early", "ends_on")),
        ({"ends_on": date(2999, 1, 1)}, ("date_out_of_range", "ends_on")),
    ],
)
def test_what_cannot_be_granted_is_refused(acme: Customer, changes: dict[str, Any], fault: tuple[str, str]) -> None:
    given = {"value": 5, "reason": "x", **changes}
    with pytest.raises(Refused) as refused:
        grant(acme, seats(), given.pop("value"), **given)

    assert codes(refused) == [fault]
    assert not EntitlementOverride.objects.exists()


def test_one_at_a_time_of_a_customer_and_feature(acme: Customer) -> None:
    feature, other = seats(), create_customer(reference="other", name="Other")
    grant(acme, feature, 5, reason="x", starts_on=date(2026, 4, 1), ends_on=date(2026, 5, 1))

    for starts_on, ends_on in ((TODAY, None), (date(2026, 4, 30), None), (TODAY, date(2026, 4, 2))):
        with pytest.raises(Refused, match="“Seats: 5” is granted from 2026-04-01 to 2026-05-01 already") as refused:
            grant(acme, feature, 6, reason="x", starts_on=starts_on, ends_on=ends_on)
        assert codes(refused) == [("override_conflict", "starts_on")]
    grant(acme, feature, 6, reason="before", ends_on=date(2026, 4, 1))
    grant(acme, feature, 7, reason="after", starts_on=date(2026, 5, 1))
    grant(other, feature, 8, reason="somebody else")
    grant(acme, create_feature(code="b", name="B", kind="switch"), True, reason="something else")


def test_it_is_ended_today_or_later_and_only_once(acme: Customer, at: Callable[[datetime], None]) -> None:
    override = grant(acme, seats(), 5, reason="x", ends_on=date(2026, 6, 1))

    with pytest.raises(Refused, match="It ends on 2026-06-01; grant another one"):
        end_override(override, date(2026, 6, 2))
    assert end_override(override, date(2026, 5, 1)).ends_on == date(2026, 5, 1)
    at(datetime(2026, 4, 1, 12, tzinfo=UTC))
    with pytest.raises(Refused, match="2026-03-31 is over"):
        end_override(override, date(2026, 3, 31))
    assert end_override(override).ends_on == date(2026, 4, 1)
    assert override.state_on(date(2026, 4, 1)) == "ended"
    with pytest.raises(Refused, match="It has ended on 2026-04-01 already"):
        end_override(override)


def test_one_that_never_began_leaves_its_days_to_others(acme: Customer) -> None:
    feature = seats()
    later = grant(acme, feature, 5, reason="x", starts_on=date(2026, 4, 1))

    with pytest.raises(Refused, match="It begins on 2026-04-01"):
        end_override(later, date(2026, 3, 31))
    end_override(later)
    assert (later.ends_on, later.state_on(TODAY)) == (date(2026, 4, 1), "ended")
    grant(acme, feature, 6, reason="instead")


def test_the_database_keeps_what_was_granted(acme: Customer) -> None:
    feature = seats()
    override = grant(acme, feature, 5, reason="x", ends_on=date(2026, 6, 1))
    row = EntitlementOverride.objects.filter(pk=override.pk)

    for change in ({"number": 6}, {"reason": "y"}, {"starts_on": TODAY.replace(day=12)}, {"ends_on": None}):
        with violates("override_ends_only"):
            row.update(**change)
    with violates("override_ends_only"):
        row.update(ends_on=date(2026, 6, 2))
    with violates("override_ends_only"):
        row._raw_delete("default")
    with violates("override_ends_after_start"):
        row.update(ends_on=date(2026, 3, 1))
    given = {"customer": acme, "feature": feature, "starts_on": TODAY, "reason": "x"}
    with violates("override_no_overlap"):
        EntitlementOverride.objects.create(**given, number=6)
    with violates("feature_value_fits_kind"):
        EntitlementOverride.objects.create(**given, enabled=True)
    with violates("entitlementoverride_is_one_value"):
        EntitlementOverride.objects.create(**given, number=6, unlimited=True)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_grant_at_once_one_is_refused() -> None:
    acme, feature = create_customer(reference="acme", name="Acme"), seats()

    def attempt(value: int) -> bool:
        try:
            grant(acme, feature, value, reason="at once")
        except Refused:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        granted = list(pool.map(attempt, [5, 6]))

    assert sorted(granted) == [False, True]
    assert EntitlementOverride.objects.count() == 1
