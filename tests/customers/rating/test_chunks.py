"""Chunks rated from real tables: lines, what each subscription reads, and what one failure costs the others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.periods import Period
from customers.models import Customer, Subscription
from customers.rating import chunks as rating
from customers.rating.chunks import Rated, RatedLine, Request, rate
from customers.rating.fees import fee_line
from customers.subscriptions.subscribing import create_customer, schedule_of, subscribe
from meters.definitions.metering import define_meter
from meters.usage import reading as usage
from tests.customers import making
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)


def shown(rated: Rated) -> list[tuple[str, str, str]]:
    return [(line.description, f"{line.quantity.normalize():f}", str(line.amount)) for line in rated.lines]


def of(subscription: Subscription, arrears: Period | None = NOVEMBER, advance: Period | None = None) -> Rated:
    return rate([Request(1, subscription.pk, arrears, advance)])[1]


def on(customer: Customer, version: object, **terms: object) -> Subscription:
    return subscribe(customer=customer, version=version, **{"starts_on": date(2023, 11, 1), **terms})


def dearer(line: RatedLine) -> RatedLine:
    dear = line.amount + Decimal("0.01")
    return replace(line, unit_price=dear, amount=dear)


@pytest.fixture
def acme() -> Customer:
    return create_customer(reference="acme", name="Acme", aliases=["a-1"])


def test_the_chatbot_plan_comes_to_680_dollars(acme: Customer) -> None:
    tokens = making.meter("tokens", ["model", "team"], "token_type", "token")
    draft = making.version(name="Chatbot")
    rows = [
        ({"model": "a", "token_type": "input"}, "0.00001"),
        ({"model": "a", "token_type": "output"}, "0.00003"),
        ({"model": "b", "token_type": "input"}, "0.000002"),
        ({"model": "b", "token_type": "output"}, "0.000006"),
        ({}, "0.00002"),
    ]
    charge = making.usage_charge(draft, tokens, rows, name="Tokens")
    subscription = on(acme, making.publish(draft))
    for reference, model, kind, quantity in [
        ("acme", "a", "input", 12_000_000),
        ("a-1", "a", "input", 10_000_000),
        ("acme", "a", "output", 11_833_333),
        ("acme", "b", "input", 25_000_000),
        ("a-1", "b", "output", 5_000_000),
        ("acme", "c", "input", 1_250_000),
        ("stranger", "a", "input", 999_999_999),
    ]:
        making.use(reference, tokens, NOON, quantity, {"model": model, "token_type": kind})
    rated = of(subscription)
    assert list(rated.problems) == []
    # 22,000,000 × 0.00001; 11,833,333 × 0.00003 = 354.99999; 25,000,000 × 0.000002; 5,000,000 × 0.000006;
    # 1,250,000 × 0.00002
    assert shown(rated) == [
        ("Tokens · a · input", "22000000", "220.00"),
        ("Tokens · a · output", "11833333", "355.00"),
        ("Tokens · b · input", "25000000", "50.00"),
        ("Tokens · b · output", "5000000", "30.00"),
        ("Tokens · c · input", "1250000", "25.00"),
    ]
    assert sum(line.amount for line in rated.lines) == Decimal("680.00")
    line = rated.lines[1]
    assert (line.charge, line.product, line.unit, line.unit_price) == (
        charge.pk,
        charge.product_id,
        "token",
        Decimal("0.00003"),
    )
    assert (line.dimensions, line.service) == ({"model": "a", "token_type": "output"}, NOVEMBER)
    cell = charge.cells.get(position=1)
    assert line.explanation == {
        "version": "Chatbot v1",
        "version_id": draft.pk,
        "charge": "charge-0",
        "row": {"id": cell.pk, "match": {"model": "a", "token_type": "output"}},
        "steps": ["11,833,333 token × 0.00003 = 354.99999", "rounded to 355.00"],
    }
    assert of(subscription) == rated


def test_fees_and_usage_stand_in_the_order_of_charges(acme: Customer) -> None:
    tokens = making.meter("tokens")
    draft = making.version()
    making.usage_charge(draft, tokens, [({}, "0.5")], name="Tokens")
    making.fee(draft, "30", "advance", "Seats")
    making.fee(draft, "9.99", "arrears", "Support")
    subscription = on(acme, making.publish(draft), starts_on=date(2023, 11, 10))
    making.use("acme", tokens, NOON.replace(day=20), 3)
    opening = of(subscription, None, Period(subscription.starts_at, NOVEMBER.end))
    # 30 × 21 ÷ 30
    assert shown(opening) == [("Seats (21 of 30 days)", "1", "21.00")]
    december = Period(NOVEMBER.end, datetime(2024, 1, 1, tzinfo=UTC))
    period = of(subscription, Period(subscription.starts_at, NOVEMBER.end), december)
    # 3 × 0.5; a full December in advance; 9.99 × 21 ÷ 30 = 6.993
    assert shown(period) == [("Tokens", "3", "1.50"), ("Seats", "1", "30.00"), ("Support (21 of 30 days)", "1", "6.99")]
    assert [line.service.start for line in period.lines] == [
        subscription.starts_at,
        NOVEMBER.end,
        subscription.starts_at,
    ]


def test_periods_are_clipped_to_the_subscription(acme: Customer) -> None:
    tokens = making.meter("tokens")
    draft = making.version()
    making.fee(draft, "30", "advance", "Seats")
    making.usage_charge(draft, tokens, name="Tokens")
    subscription = on(acme, making.publish(draft), starts_on=date(2023, 11, 10), ends_on=date(2023, 11, 20))
    for day in (9, 10, 19, 20):
        making.use("acme", tokens, NOON.replace(day=day), day)
    rated = of(subscription, NOVEMBER, NOVEMBER)
    # 30 × 10 ÷ 30; events of the 10th and the 19th
    assert shown(rated) == [("Seats (10 of 30 days)", "1", "10.00"), ("Tokens", "29", "29.00")]
    assert (
        of(
            subscription, Period(NOVEMBER.end, NOVEMBER.end), Period(NOVEMBER.end, datetime(2024, 1, 1, tzinfo=UTC))
        ).lines
        == []
    )


def test_bounds_are_the_customers_midnights_to_the_second() -> None:
    kolkata = create_customer(reference="acme", name="Acme", timezone="Asia/Kolkata")
    tokens = making.meter("tokens")
    subscription = on(kolkata, making.published(tokens))
    period = schedule_of(subscription).period_at(NOON)
    assert period.start == datetime(2023, 10, 31, 18, 30, tzinfo=UTC)
    for instant, quantity in [
        (datetime(2023, 10, 31, 18, 29, 59, 999_999, tzinfo=UTC), 1_000),
        (datetime(2023, 10, 31, 18, 30, tzinfo=UTC), 1),
        (datetime(2023, 11, 30, 18, 29, 59, 999_999, tzinfo=UTC), 2),
        (datetime(2023, 11, 30, 18, 30, tzinfo=UTC), 1_000),
    ]:
        making.use("acme", tokens, instant, quantity)
    assert [line.quantity for line in of(subscription, period).lines] == [3]


def test_a_march_with_a_short_day_is_a_full_month() -> None:
    berlin = create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")
    tokens = making.meter("tokens")
    draft = making.version()
    making.fee(draft, "31", "arrears", "Seats")
    making.usage_charge(draft, tokens, name="Tokens")
    subscription = on(berlin, making.publish(draft), starts_on=date(2023, 3, 1))
    period = schedule_of(subscription).period_at(datetime(2023, 3, 26, 1, tzinfo=UTC))
    assert (period.end - period.start).total_seconds() == (31 * 24 - 1) * 3600
    making.use("acme", tokens, datetime(2023, 3, 31, 21, 59, 59, tzinfo=UTC), 1)
    making.use("acme", tokens, datetime(2023, 3, 31, 22, tzinfo=UTC), 100)
    assert shown(of(subscription, period)) == [("Seats", "1", "31.00"), ("Tokens", "1", "1.00")]


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [
        # 3 × 1.2345 = 3.7035 → 4, shared 1.33 to 2.67
        ("JPY", ["1", "3"]),
        # → 3.704, shared 1.23467 to 2.46933
        ("KWD", ["1.235", "2.469"]),
        # → 3.70, shared 1.2333 to 2.4667
        ("USD", ["1.23", "2.47"]),
    ],
)
def test_amounts_have_the_currencys_decimals(currency: str, amounts: list[str]) -> None:
    customer = create_customer(reference="acme", name="Acme", currency=currency)
    tokens = making.meter("tokens", ["model"])
    draft = making.version(currency=currency)
    making.usage_charge(draft, tokens, [({}, "1.23450")], name="Tokens")
    subscription = on(customer, making.publish(draft))
    making.use("acme", tokens, NOON, 1, {"model": "a"})
    making.use("acme", tokens, NOON, 2, {"model": "b"})
    assert [str(line.amount) for line in of(subscription).lines] == amounts


def test_what_is_held_for_a_part_of_the_month_is_paid_for_that_part(acme: Customer) -> None:
    """2,500 GB from the 5th, 27 days of 31: 2,177.42, and not the 2,500 of the subscription's own days."""
    held = define_meter(
        code="gb",
        name="Storage",
        event_type="gb",
        aggregation="weighted_sum",
        value_kind="level",
        recurring=True,
        unit="GB",
        values=[("", "gb")],
    )
    draft = making.version()
    making.usage_charge(draft, held, name="Storage")
    subscription = on(acme, making.publish(draft), starts_on=date(2023, 3, 5), ends_on=date(2023, 4, 11))
    send(event("r1", type="gb", timestamp="2023-03-01T00:00:00Z", properties={"gb": 2500}))
    march = Period(datetime(2023, 3, 5, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC))
    april = Period(march.end, datetime(2023, 5, 1, tzinfo=UTC))
    assert shown(of(subscription, march)) == [("Storage", "2177.41935483871", "2177.42")]
    # 10 days of 30.
    assert shown(of(subscription, april)) == [("Storage", "833.333333333333", "833.33")]


def test_dimensions_that_cannot_be_priced_yet_do_not_split_lines(acme: Customer) -> None:
    tokens = making.meter("tokens", ["model"])
    tokens.dimensions.create(name="team", property="team", status="pending", position=9)
    subscription = on(acme, making.published(tokens))
    making.use("acme", tokens, NOON, 1, {"model": "a", "team": "x"})
    making.use("acme", tokens, NOON, 2, {"model": "a", "team": "y"})
    rated = of(subscription)
    assert shown(rated) == [("Usage · a", "3", "3.00")]
    assert rated.lines[0].dimensions == {"model": "a"}


class TestNamedSubscriptions:
    """Two subscriptions of one customer on one meter: events that name the one are its own."""

    @pytest.fixture
    def tokens(self) -> object:
        return making.meter("tokens")

    def quantities(self, *subscriptions: Subscription) -> list[int]:
        rated = rate([Request(index, each.pk, NOVEMBER, None) for index, each in enumerate(subscriptions)])
        return [sum(int(line.quantity) for line in rated[index].lines) for index in range(len(subscriptions))]

    def test_events_go_to_the_subscription_they_name_and_all_others_to_the_open_one(
        self, acme: Customer, tokens
    ) -> None:
        everything = on(acme, making.published(tokens), reference="open")
        named = on(acme, making.published(tokens), reference="named", named_events_only=True)
        other = on(acme, making.published(tokens), reference="other", named_events_only=True)
        for quantity, subscription in [(1, ""), (10, "named"), (100, "other"), (1_000, "open"), (10_000, "nobody")]:
            making.use("acme", tokens, NOON, quantity, subscription=subscription)
        assert self.quantities(everything, named, other) == [11_001, 10, 100]

    def test_a_name_of_another_customers_subscription_means_nothing(self, acme: Customer, tokens) -> None:
        globex = create_customer(reference="globex", name="Globex")
        on(globex, making.published(tokens), reference="theirs", named_events_only=True)
        mine = on(acme, making.published(tokens))
        making.use("acme", tokens, NOON, 5, subscription="theirs")
        assert self.quantities(mine) == [5]

    def test_events_that_name_a_subscription_without_a_price_for_them_stay_with_the_open_one(
        self, acme: Customer, tokens
    ) -> None:
        seats = making.meter("seats")
        mine = on(acme, making.published(tokens))
        named = on(acme, making.published(seats), reference="seats", named_events_only=True)
        making.use("acme", tokens, NOON, 5, subscription="seats")
        making.use("acme", seats, NOON, 70, subscription="seats")
        assert self.quantities(mine, named) == [5, 70]

    def test_a_name_counts_from_the_subscriptions_start_to_its_end(self, acme: Customer, tokens) -> None:
        mine = on(acme, making.published(tokens))
        terms = {"starts_on": date(2023, 11, 5), "ends_on": date(2023, 11, 20), "reference": "b"}
        named = on(acme, making.published(tokens), named_events_only=True, **terms)
        tick = timedelta(microseconds=1)
        for at, quantity in [
            (named.starts_at - tick, 1),
            (named.starts_at, 10),
            (named.ends_at - tick, 100),
            (named.ends_at, 1_000),
        ]:
            making.use("acme", tokens, at, quantity, subscription="b")
        assert self.quantities(mine, named) == [1_001, 110]

    def test_a_subscription_that_starts_later_takes_nothing_yet(self, acme: Customer, tokens) -> None:
        mine = on(acme, making.published(tokens))
        on(acme, making.published(tokens), reference="b", named_events_only=True, starts_on=date(2023, 12, 1))
        making.use("acme", tokens, NOON, 5, subscription="b")
        assert self.quantities(mine) == [5]


class TestProblems:
    """What goes wrong for one is a problem of its own."""

    def test_usage_without_a_price_holds_only_its_own_invoice(self, acme: Customer) -> None:
        tokens = making.meter("tokens", ["model"], unit="token")
        draft = making.version(name="Chatbot")
        making.usage_charge(draft, tokens, [({"model": "a"}, "1")], name="Tokens")
        version = making.publish(draft)
        globex = create_customer(reference="globex", name="Globex")
        mine, theirs = on(acme, version), on(globex, version)
        making.use("acme", tokens, NOON, 1_234, {"model": "z"})
        making.use("globex", tokens, NOON, 2, {"model": "a"})
        rated = rate([Request(1, mine.pk, NOVEMBER, None), Request(2, theirs.pk, NOVEMBER, None)])
        assert (rated[1].lines, len(rated[1].problems)) == ([], 1)
        assert (
            rated[1].problems[0].startswith("“Tokens” of Chatbot v1 has no price for model = z: 1,234 token. Publish")
        )
        assert (shown(rated[2]), list(rated[2].problems)) == ([("Tokens · a", "2", "2.00")], [])

    def test_usage_without_a_price_can_be_free(self, acme: Customer) -> None:
        tokens = making.meter("tokens", ["model"])
        draft = making.version()
        making.usage_charge(draft, tokens, [({"model": "a"}, "1")], name="Tokens", unmatched="zero")
        subscription = on(acme, making.publish(draft))
        making.use("acme", tokens, NOON, 5, {"model": "z"})
        rated = of(subscription)
        assert (shown(rated), list(rated.problems)) == ([("Tokens · z (not priced)", "5", "0.00")], [])

    def test_a_figure_that_no_line_can_hold(self, acme: Customer) -> None:
        tokens, calls = making.meter("tokens"), making.meter("calls")
        draft = making.version()
        making.usage_charge(draft, tokens, [({}, "100000000000000")], name="Tokens")
        dear = making.publish(draft)
        mine, fine = on(acme, dear), on(acme, making.published(calls))
        making.use("acme", tokens, NOON, 100)
        making.use("acme", calls, NOON, 7)
        rated = rate([Request(1, mine.pk, NOVEMBER, None), Request(2, fine.pk, NOVEMBER, None)])
        assert rated[1].lines == ()
        assert (
            rated[1]
            .problems[0]
            .startswith("The amount of “Tokens” has more than 16 digits: 10,000,000,000,000,000.00.")
        )
        assert [line.amount for line in rated[2].lines] == [7]

    def test_a_fee_that_no_line_can_hold(self, acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A version takes none; but whatever comes of a charge, it sinks no chunk."""
        draft = making.version()
        making.fee(draft, "999999999999999.99")
        subscription = on(acme, making.publish(draft))
        assert shown(of(subscription, None, NOVEMBER)) == [("Base fee", "1", "999999999999999.99")]
        monkeypatch.setattr(rating, "fee_line", lambda *given: dearer(fee_line(*given)))
        rated = of(subscription, None, NOVEMBER)
        assert rated.problems[0].startswith(
            "The unit price of “Base fee” has more than 15 digits: 1,000,000,000,000,000.00."
        )

    def test_amounts_that_are_too_much_together(self, acme: Customer) -> None:
        tokens = making.meter("tokens")
        draft = making.version()
        for _ in range(2):
            making.usage_charge(draft, tokens, [({}, "60000000000000")])
        subscription = on(acme, making.publish(draft))
        making.use("acme", tokens, NOON, 100)
        assert of(subscription).problems[0].startswith("The total of the lines has more than 16 digits.")

    def test_what_nobody_foresaw(self, acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = on(acme, making.published()), on(acme, making.published())
        usage_lines = rating.usage_lines

        def breaks(book, *rest):
            if book.version == first.version_id:
                raise ZeroDivisionError("by nothing")
            return usage_lines(book, *rest)

        monkeypatch.setattr(rating, "usage_lines", breaks)
        rated = rate([Request(1, first.pk, NOVEMBER, None), Request(2, second.pk, NOVEMBER, None)])
        assert rated[1].problems == ("It could not be rated (ZeroDivisionError: by nothing). The log says where.",)
        assert list(rated[2].problems) == []

    def test_a_subscription_that_is_gone(self) -> None:
        rated = rate([Request(1, 10**9, NOVEMBER, None)])
        assert rated[1].problems == ("There is no subscription 1000000000.",)

    def test_usage_that_cannot_be_read_is_not_zero(self, acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        subscription = on(acme, making.published())

        def away(windows: Sequence[usage.Window]) -> dict:
            raise ConnectionError

        monkeypatch.setattr(usage, "read", away)
        with pytest.raises(ConnectionError):
            of(subscription)


def test_an_empty_chunk() -> None:
    assert rate([]) == {}


def many(count: int, first: int = 0) -> list[Request]:
    """As many subscriptions, each with its own customer, alias, plan, version, meter and named subscription."""
    requests = []
    zones = ["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York"]
    for number in range(first, first + count):
        meter = making.meter(dimensions=["model"])
        customer = create_customer(
            reference=f"c-{number}", name="C", aliases=[f"alias-{number}"], timezone=zones[number % len(zones)]
        )
        draft = making.version()
        making.usage_charge(draft, meter, [({"model": "a"}, "2"), ({}, "1")])
        making.fee(draft, "10", "advance")
        making.fee(draft, "10", "arrears")
        version = making.publish(draft)
        subscription = on(customer, version)
        on(customer, version, named_events_only=True)
        making.use(f"c-{number}", meter, NOON, number + 1, {"model": "a"})
        making.use(f"alias-{number}", meter, NOON, number + 1, {"model": "b"})
        period = schedule_of(subscription).period_at(NOON)
        requests.append(Request(subscription.pk, subscription.pk, period, period))
    return requests


def test_the_number_of_queries_does_not_grow() -> None:
    few, more = many(2), many(198, first=2)
    rate(few)  # what is read once per process
    with CaptureQueriesContext(connection) as for_two:
        rate(few)
    with CaptureQueriesContext(connection) as for_two_hundred:
        rated = rate([*few, *more])
    assert len(for_two_hundred) == len(for_two) <= 18
    assert len(rated) == 200
    for number, request in enumerate([*few, *more]):
        amounts = [line.amount for line in rated[request.key].lines]
        assert amounts == [2 * (number + 1), number + 1, 10, 10]
