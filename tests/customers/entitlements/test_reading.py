"""What a customer may, now: figures by hand, windows by the calendar, use by the events one by one."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing_site.foundation import clock
from catalog.features.values import UNLIMITED
from catalog.models import Feature, PlanVersion
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, set_feature_values
from customers.entitlements import entitling, holders
from customers.entitlements.reading import Entitlement, entitlements
from customers.models import Customer, Subscription
from customers.subscriptions.subscribing import create_customer, move_to_version, subscribe
from customers.usage.windows import Step, window_at
from meters.corrections import correcting as corrections
from meters.corrections.correcting import By
from meters.definitions.metering import define_meter
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from meters.models import Backfill, Event, Meter
from meters.usage import day_totals
from tests.customers import making
from tests.meters.making import LIMITS, event

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    def set_clock(now: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: now)

    set_clock(NOW)
    return set_clock


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")


def limit(meter: Meter, code: str = "limit", window: str = "month", **fields: Any) -> Feature:
    return create_feature(code=code, name=code.title(), kind="number", meter=meter, window=window, **fields)


def plan(values: Mapping[Feature, object], interval: str = "month") -> PlanVersion:
    """A published version of a plan of its own, with a fee."""
    version = making.version(interval=interval)
    making.fee(version, "5")
    set_feature_values(version, values)
    return publishing.publish(version)


def on(customer: Customer, version: PlanVersion, since: date = date(2026, 1, 1), **terms: Any) -> Subscription:
    return subscribe(customer=customer, version=version, starts_on=since, **terms)


def send(sent: dict[str, Any], now: datetime = NOW) -> None:
    assert accept(decode(json.dumps([sent]).encode(), now, LIMITS)).accepted == 1


def of(reference: str = "acme", now: datetime | None = None) -> dict[str, Entitlement]:
    now = now or clock.now()
    holder = holders.find(reference, now)
    assert holder is not None
    return {each.feature.code: each for each in entitlements(holder, now)}


def test_plans_say_what_a_customer_may(acme: Customer) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    seats = create_feature(code="seats", name="Seats", kind="number")
    models = create_feature(code="models", name="Models", kind="list", allowed=["small", "large"])
    tokens = making.meter("tokens")
    month = limit(tokens, "tokens")
    on(acme, plan({sso: True, seats: 3, models: ["large"], month: 1000}))
    making.use("acme", tokens, datetime(2026, 3, 2, 8, tzinfo=UTC), 250)
    making.use("acme", tokens, datetime(2026, 3, 19, 8, tzinfo=UTC), "150.5")
    making.use("acme", tokens, datetime(2026, 2, 27, 8, tzinfo=UTC), 9999)
    making.use("other", tokens, datetime(2026, 3, 19, 8, tzinfo=UTC), 9999)

    found = of()
    assert list(found) == ["models", "seats", "sso", "tokens"]
    assert [each.value for each in found.values()] == [("large",), Decimal(3), True, Decimal(1000)]
    assert {each.source for each in found.values()} == {"subscription"}
    # 250 + 150.5 in March; 1000 − 400.5 left; April begins in Berlin at 22:00 UTC, in summer time
    used = found["tokens"]
    assert (used.used, used.remaining) == (Decimal("400.5"), Decimal("599.5"))
    assert used.window is not None
    assert used.window.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert (found["seats"].window, found["seats"].used) == (None, None)


def test_who_has_no_plan_may_nothing_and_is_counted_by_the_calendar(acme: Customer) -> None:
    create_feature(code="sso", name="SSO", kind="switch")
    create_feature(code="models", name="Models", kind="list", allowed=["small"])
    tokens = making.meter("tokens")
    limit(tokens, "period", "billing_period")
    making.use("acme", tokens, datetime(2026, 3, 2, 8, tzinfo=UTC), 7)

    found = of()
    assert [each.value for each in found.values()] == [(), Decimal(0), False]
    assert {each.source for each in found.values()} == {"none"}
    assert (found["period"].used, found["period"].remaining) == (Decimal(7), Decimal(0))
    assert found["period"].window == window_at(NOW, Step.MONTH, "Europe/Berlin")


def test_only_subscriptions_that_are_active_count(acme: Customer) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    version = plan({sso: True})
    on(acme, version, date(2026, 3, 1), ends_on=date(2026, 3, 20))
    on(acme, version, date(2026, 3, 22))

    # Berlin's midnights in winter: 23:00 UTC
    instants = [(19, 22, 59), (19, 23, 0), (21, 22, 59), (21, 23, 0)]
    values = [of(now=datetime(2026, 3, *instant, tzinfo=UTC))["sso"].value for instant in instants]
    assert values == [True, False, False, True]


def test_several_subscriptions_are_combined(acme: Customer) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    models = create_feature(code="models", name="Models", kind="list", allowed=["small", "large", "huge"])
    highest = create_feature(code="highest", name="Highest", kind="number")
    added = create_feature(code="added", name="Added", kind="number", several="sum")
    on(acme, plan({sso: False, models: ["small"], highest: 100, added: 100}))
    on(acme, plan({sso: True, models: ["small", "huge"], highest: 250, added: 250}))
    on(acme, plan({}))

    found = of()
    assert found["sso"].value is True
    assert found["models"].value == ("small", "huge")
    assert found["highest"].value == 250
    assert found["added"].value == 350
    on(acme, plan({models: "any", added: "unlimited"}))
    assert (of()["models"].value, of()["added"].value) == (UNLIMITED, UNLIMITED)


def test_the_billing_period_is_that_of_the_subscription_that_gives_the_value(acme: Customer) -> None:
    tokens = making.meter("tokens")
    highest = limit(tokens, "highest", "billing_period")
    added = limit(tokens, "added", "billing_period", several="sum")
    # anniversary on the 15th: 15 March to 15 April; calendar: March
    later = limit(tokens, "later", "billing_period")
    on(acme, plan({highest: 500, added: 500, later: 100}), date(2026, 1, 15), alignment="anniversary")
    on(acme, plan({highest: 100, added: 100, later: 900}), date(2026, 2, 1))
    for day, quantity in ((3, 40), (16, 7)):
        making.use("acme", tokens, datetime(2026, 3, day, 12, tzinfo=UTC), quantity)

    found = of()
    assert (found["highest"].value, found["highest"].used) == (500, 7)
    assert found["highest"].window.end == datetime(2026, 4, 14, 22, tzinfo=UTC)  # type: ignore[union-attr]
    assert (found["later"].value, found["later"].used) == (900, 47)
    assert found["later"].window.end == datetime(2026, 3, 31, 22, tzinfo=UTC)  # type: ignore[union-attr]
    # added up: the period of the one that began first
    assert (found["added"].value, found["added"].used, found["added"].remaining) == (600, 7, 593)
    grown = of(now=datetime(2026, 3, 14, 12, tzinfo=UTC))
    assert (grown["added"].used, grown["added"].remaining) == (40, 560)


def test_a_billing_period_ends_with_its_subscription(acme: Customer) -> None:
    tokens = making.meter("tokens")
    on(acme, plan({limit(tokens, "x", "billing_period"): 5}), date(2026, 3, 10), ends_on=date(2026, 3, 25))
    making.use("acme", tokens, datetime(2026, 3, 9, 12, tzinfo=UTC), 4)
    making.use("acme", tokens, datetime(2026, 3, 10, 12, tzinfo=UTC), 3)

    window = of()["x"].window
    assert window is not None
    assert (window.start, window.end) == (
        datetime(2026, 3, 9, 23, tzinfo=UTC),
        datetime(2026, 3, 24, 23, tzinfo=UTC),
    )
    assert of()["x"].used == 3


def test_an_override_beats_what_plans_give(acme: Customer, at: Callable[[datetime], None]) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    tokens = making.meter("tokens")
    month = limit(tokens, "tokens", "billing_period")
    models = create_feature(code="models", name="Models", kind="list", allowed=["small", "large"])
    on(acme, plan({sso: True, month: 1000, models: "any"}))
    making.use("acme", tokens, datetime(2026, 3, 2, 8, tzinfo=UTC), 250)
    entitling.grant(acme, sso, False, reason="abuse")
    entitling.grant(acme, month, 100, reason="less")
    entitling.grant(acme, models, ["small"], reason="x", starts_on=date(2026, 3, 22), ends_on=date(2026, 3, 24))
    other = create_customer(reference="other", name="Other")
    entitling.grant(other, month, 7, reason="another customer's")

    found = of()
    assert [(each.value, each.source) for each in found.values()] == [
        (UNLIMITED, "subscription"),
        (False, "override"),
        (100, "override"),
    ]
    assert (found["tokens"].used, found["tokens"].remaining) == (250, 0)
    # [22, 24) March of Berlin: from 23:00 UTC of the day before
    instants = [(21, 22, 59), (21, 23, 0), (23, 22, 59), (23, 23, 0)]
    values = [of(now=datetime(2026, 3, *instant, tzinfo=UTC))["models"].value for instant in instants]
    assert values == [UNLIMITED, ("small",), ("small",), UNLIMITED]
    assert of("other")["tokens"].value == 7


def test_a_number_counts_a_part_of_the_meter_and_every_reference(acme: Customer) -> None:
    tokens = making.meter("tokens", dimensions=["model", "region"])
    one = limit(tokens, "one", filters={"model": ["a", "b"]})
    none = limit(tokens, "none", filters={"model": [""]})
    on(acme, plan({one: 100, none: 100, limit(tokens, "all"): 100}))
    acme.aliases.create(reference="acme/eu")
    day = datetime(2026, 3, 5, 12, tzinfo=UTC)
    making.use("acme", tokens, day, 1, {"model": "a", "region": "eu"})
    making.use("acme/eu", tokens, day, 2, {"model": "b"})
    making.use("acme", tokens, day, 4, {"model": "c"})
    making.use("acme", tokens, day, 8, {"region": "eu"}, subscription="some")

    assert {code: each.used for code, each in of("acme/eu").items()} == {"all": 15, "none": 8, "one": 3}


WINDOWS = [
    # clocks go forward on 29 March 2026 at 02:00 in Berlin: that day has 23 hours
    ("day", "Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
    ("hour", "Europe/Berlin", "2026-03-29T03:30+02:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"),
    # … and back on 25 October: 25 hours, 02:00 twice
    ("day", "Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
    ("hour", "Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"),
    ("week", "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-23T00:00+01:00", "2026-03-30T00:00+02:00"),
    ("month", "America/New_York", "2026-03-31T23:59-04:00", "2026-03-01T00:00-05:00", "2026-04-01T00:00-04:00"),
    ("hour", "Asia/Kathmandu", "2026-03-20T12:10+05:45", "2026-03-20T12:00+05:45", "2026-03-20T13:00+05:45"),
    # São Paulo skipped its midnight: the day began at 01:00
    ("day", "America/Sao_Paulo", "2018-11-04T12:00-02:00", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
    # half an hour was skipped on Lord Howe, at 02:00; hours are counted from midnight
    ("hour", "Australia/Lord_Howe", "2026-10-04T02:45+11:00", "2026-10-04T02:30+11:00", "2026-10-04T03:30+11:00"),
]


@pytest.mark.parametrize(("step", "timezone", "instant", "start", "end"), WINDOWS)
def test_windows_follow_the_customers_clock(step: str, timezone: str, instant: str, start: str, end: str) -> None:
    found = window_at(datetime.fromisoformat(instant).astimezone(UTC), Step(step), timezone)

    assert (found.start, found.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_use_is_counted_to_the_instant_at_which_the_window_turns(acme: Customer) -> None:
    tokens = making.meter("tokens")
    on(acme, plan({limit(tokens, "day", "day"): 100}))
    turn = datetime(2026, 3, 29, 22, tzinfo=UTC)  # midnight in Berlin after the day of 23 hours
    for number, instant in enumerate([turn - 23 * timedelta(hours=1), turn - timedelta(microseconds=1), turn]):
        making.use("acme", tokens, instant, 10**number)

    assert of(now=turn - timedelta(seconds=1))["day"].used == 11
    assert of(now=turn)["day"].used == 100


AGGREGATIONS = [
    ("count", "", 3),
    ("sum", "", 60),
    ("unique_count", "", 2),  # 10, 40, 10 are two different values
    ("latest", "", 10),
    # 10 for a day, 40 for a day, 10 until the end of March: (10 + 40 + 10 × 12) ÷ 31 = 5.483870967742
    ("weighted_sum", "level", Decimal("5.483870967742")),
]


@pytest.mark.parametrize(("aggregation", "value_kind", "used"), AGGREGATIONS)
def test_every_way_of_counting_that_fills_up(aggregation: str, value_kind: str, used: object) -> None:
    customer = create_customer(reference="acme", name="Acme")
    meter = define_meter(
        code="m",
        name="M",
        event_type="m.used",
        aggregation=aggregation,
        value_kind=value_kind,
        unit="u",
        values=[("", "n")] if aggregation != "count" else [],
    )
    on(customer, plan({limit(meter): 100}))
    for day, n in ((18, 10), (19, 40), (20, 10)):
        at = datetime(2026, 3, day, tzinfo=UTC).isoformat()
        send(event(f"e{day}", type="m.used", timestamp=at, properties={"n": n}))

    assert of()["limit"].used == used


def test_it_is_right_the_moment_an_event_is_accepted(acme: Customer) -> None:
    meter = define_meter(code="calls", name="Calls", event_type="llm.request", aggregation="count", unit="call")
    on(acme, plan({limit(meter, "calls", "hour"): 3}))

    for number in range(1, 4):
        send(event(f"r{number}", timestamp=NOW.isoformat()))
        assert (of()["calls"].used, of()["calls"].remaining) == (number, 3 - number)


def test_what_was_voided_is_free_again(acme: Customer) -> None:
    meter = define_meter(code="calls", name="Calls", event_type="llm.request", aggregation="count", unit="call")
    on(acme, plan({limit(meter, "calls", "day"): 3}))
    for number in range(2):
        send(event(f"r{number}", timestamp=NOW.isoformat()))

    user = User.objects.create_user("dana")
    corrections.void(Event.objects.get(reference="r0").pk, "Sent wrongly", By(user=user), NOW, LIMITS)
    assert (of()["calls"].used, of()["calls"].remaining) == (1, 2)


def test_what_is_not_counted_yet_is_not_told(acme: Customer) -> None:
    tokens, calls = making.meter("tokens"), making.meter("calls")
    on(acme, plan({limit(tokens, "tokens"): 100, limit(calls, "calls"): 100}))
    making.use("acme", tokens, NOW, 7)
    making.use("acme", calls, NOW, 5)
    Backfill.objects.create(meter=tokens, generation=1, start=10, cursor=53, boundary=110)

    found = of()
    assert (found["tokens"].still_counting, found["tokens"].used, found["tokens"].remaining) == (True, None, None)
    assert found["tokens"].value == 100
    assert (found["calls"].still_counting, found["calls"].used) == (False, 5)


def test_a_move_to_another_version_counts_at_once(acme: Customer) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    first = plan({sso: False})
    subscription = on(acme, first)
    assert of()["sso"].value is False
    second = publishing.clone_version(first)
    set_feature_values(second, {sso: True})
    publishing.publish(second)

    assert of()["sso"].value is False
    move_to_version(subscription, second)
    assert of()["sso"].value is True


def test_a_changed_feature_is_seen_at_once(acme: Customer) -> None:
    sso = create_feature(code="sso", name="SSO", kind="switch")
    assert of()["sso"].feature.name == "SSO"

    publishing.change_feature(sso, name="Single sign-on")
    assert of()["sso"].feature.name == "Single sign-on"
    create_feature(code="audit", name="Audit", kind="switch")
    publishing.delete_feature(sso)
    assert list(of()) == ["audit"]


def queries(reference: str = "acme") -> int:
    of(reference)  # the process has read the features and versions
    with CaptureQueriesContext(connection) as captured:
        of(reference)
    return len(captured)


def test_three_queries_whatever_there_is() -> None:
    """Who and what; the usage; whether its definitions held meanwhile. The API key is a fourth."""
    tokens = making.meter("tokens", dimensions=["model"])
    customer = create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")
    on(customer, plan({limit(tokens, "l0"): 100}))
    making.use("acme", tokens, NOW, 1)
    assert queries() == 3

    steps = ["hour", "day", "week", "month", "billing_period"]
    many = [limit(tokens, f"l{n}", steps[n % 5], filters={"model": [f"m{n % 7}"]}) for n in range(1, 50)]
    values: Sequence[Mapping[Feature, object]] = [dict.fromkeys(many[start::5], 10) for start in range(5)]
    for each in values:
        on(customer, plan(each))
    entitling.grant(customer, many[0], 5, reason="x")
    for n in range(30):
        making.use("acme", tokens, NOW - n * DAYS, 1, {"model": f"m{n % 7}"})
    assert len(of()) == 50
    assert queries() == 3


def test_a_month_of_a_busy_meter_costs_its_days(acme: Customer) -> None:
    """After the days are closed, the buckets of whole days are not looked at."""
    tokens = making.meter("tokens")
    on(acme, plan({limit(tokens): 10**6}))
    for hour in range(19 * 24):
        making.use("acme", tokens, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour), 1)
    day_totals.close(datetime(2026, 3, 19, tzinfo=UTC))
    while day_totals.work(timedelta(minutes=1)):
        pass

    before = of()["limit"].used
    with connection.cursor() as cursor:  # a total that lies shows who is read
        cursor.execute("UPDATE meters_daytotal SET quantity = quantity + 1000")
        cursor.execute("SELECT count(*) FROM meters_daytotal")
        days = cursor.fetchone()[0]
    # 19 days of 24 hours, all of them since the Berlin month began at 23:00 UTC of 28 February
    assert before == 19 * 24
    assert days == 18
    assert of()["limit"].used == 19 * 24 + 18 * 1000


class AnyUse(TestCase):
    """Used is what the events in the window come to, one by one."""

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 40 * 24 * 60), st.integers(-50, 10**6), st.sampled_from(["a", "b", None])),
            max_size=25,
        ),
        st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia"]),
        st.integers(0, 40 * 24 * 60),
        st.sampled_from(["hour", "day", "week", "month"]),
    )
    def test_used_is_the_naive_sum(
        self, events: list[tuple[int, int, str | None]], timezone: str, minute: int, step: str
    ) -> None:
        customer = create_customer(reference="acme", name="Acme", timezone=timezone)
        tokens = making.meter("tokens", dimensions=["model"])
        on(
            customer,
            plan({limit(tokens, "all", step): 1000, limit(tokens, "a", step, filters={"model": ["a"]}): 1000}),
        )
        begin = datetime(2026, 3, 1, tzinfo=UTC)
        facts = [(begin + timedelta(minutes=after), n, model) for after, n, model in events]
        for instant, n, model in facts:
            making.use("acme", tokens, instant, n, {"model": model} if model else {})
        now = begin + timedelta(minutes=minute)

        def same(instant: datetime) -> bool:
            """Whether two local times fall into one window, by the clock on the wall."""
            here, there = (each.astimezone(ZoneInfo(timezone)) for each in (now, instant))
            shown = {"hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d", "week": "%G-%V", "month": "%Y-%m"}[step]
            return here.strftime(shown) == there.strftime(shown)

        found = of(now=now)
        for code, models in (("all", ("a", "b", None)), ("a", ("a",))):
            naive = sum(n for instant, n, model in facts if same(instant) and model in models)
            assert found[code].used == naive
            assert found[code].remaining == max(0, 1000 - naive)
            assert found[code].window.end > now  # type: ignore[union-attr]
