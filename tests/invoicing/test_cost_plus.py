"""Invoices priced by cost: the cost at the hour of use and a margin, to the cent, also where a cost changes."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.periods import Period
from catalog.models import Charge, PlanVersion
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import add_usage_charge, create_plan, draft_version, publish
from customers.models import Subscription
from customers.rating.chunks import rate
from customers.rating.rated import Request
from customers.subscriptions.subscribing import create_customer, subscribe
from invoicing import closing
from invoicing.models import Invoice
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.catalog import making as catalogue
from tests.catalog.costing import own, utc
from tests.customers.dealing import override
from tests.customers.making import use
from tests.invoicing.running import lines, run

pytestmark = pytest.mark.django_db

D = Decimal
BY_COST = Price(Model.COST_PLUS, percent=D(20))
ALWAYS = utc(2023, 1, 1)


@pytest.fixture
def tokens() -> Meter:
    return define_meter(
        code="tokens", name="Tokens", event_type="llm", aggregation="sum", unit="token",
        values=[("input", "input"), ("output", "output")], label_dimension="type", dimensions=[("model", "model")],
    )  # fmt: skip


def billed(
    meter: Meter, *rows: tuple[dict[str, str], Price], start: date = date(2024, 1, 1), **terms: object
) -> Charge:
    version = draft_version(create_plan(code=f"p-{PlanVersion.objects.count()}", name="Plan"))
    charge = add_usage_charge(
        version, meter=meter, code="tokens", name="Tokens", product=catalogue.product(), rows=rows,
        cost_model="model", cost_token_type="type", **terms,  # type: ignore[arg-type]
    )  # fmt: skip
    customer = create_customer(reference=f"acme-{charge.pk}", name="Acme", aliases=["acme"] if charge.pk else [])
    subscribe(customer=customer, version=publish(version), starts_on=date(2024, 1, 1))
    return charge


def used(meter: Meter, day: int, quantity: int, model: str = "acme/acme-1", kind: str = "input", hour: int = 0) -> None:
    use("acme", meter, utc(2024, 1, day, hour), quantity, {"model": model, "type": kind})


def january() -> Invoice:
    run(utc(2024, 2, 1, 2))
    return Invoice.objects.get()


def test_each_combination_costs_what_it_costs_and_the_margin(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    own("0.00001", "output", effective_from=ALWAYS)
    billed(tokens, ({}, BY_COST))
    used(tokens, 5, 1_000_000)
    used(tokens, 6, 300_000, kind="output")
    invoice = january()
    # 1,000,000 × 0.000002 × 1.2 = 2.40; 300,000 × 0.00001 × 1.2 = 3.60
    assert lines(invoice) == [
        ("Tokens · acme/acme-1 · input", "1000000", "2.40"),
        ("Tokens · acme/acme-1 · output", "300000", "3.60"),
    ]
    assert invoice.costs_known_at is not None
    assert (
        "acme/acme-1, input: 1,000,000 token × 0.000002 cost × 1.2 = 2.4" in invoice.lines.all()[0].explanation["steps"]
    )


def test_a_change_of_a_cost_cuts_the_price_at_its_hour(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    own("0.000003", effective_from=utc(2024, 1, 10, 6))
    billed(tokens, ({}, BY_COST))
    used(tokens, 10, 100_001, hour=5)
    used(tokens, 10, 200_002, hour=6)
    used(tokens, 11, 1, "acme/acme-1")
    invoice = january()
    # 100,001 × 0.0000024 = 0.2400024 → 0.24; 200,003 × 0.0000036 = 0.7200108 → 0.72
    assert lines(invoice) == [
        ("Tokens · acme/acme-1 · input", "100001", "0.24"),
        ("Tokens · acme/acme-1 · input", "200003", "0.72"),
    ]
    before, after = invoice.lines.all()
    assert (before.service_end, after.service_start) == (utc(2024, 1, 10, 6), utc(2024, 1, 10, 6))
    assert before.dimensions == {"model": "acme/acme-1", "type": "input"}
    assert before.explanation["steps"][0].startswith("acme/acme-1, input, from 2024-01-01 00:00 UTC: 100,001 token")
    assert len(before.explanation["steps"]) == 2  # and what it is rounded to


def test_a_change_of_a_cost_does_not_cut_tiers_or_the_allowance(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    own("0.000003", effective_from=utc(2024, 1, 10))
    tiers = Price(Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"))))
    billed(tokens, ({"type": "output"}, tiers), ({}, BY_COST), included=D(500))
    used(tokens, 5, 1500, kind="output")
    used(tokens, 15, 500, kind="output")
    used(tokens, 5, 1_000_000)
    used(tokens, 15, 1_000_000)
    invoice = january()
    # 2,002,000 in all, of which 500 are included: output has 2,000 ÷ 2,002,000 of them, none of the remainders is its.
    output = invoice.lines.get(dimensions__type="output")
    assert (output.quantity, output.included) == (2000, 0)
    assert output.amount == D("30.00")  # 1,000 × 0.02 + 1,000 × 0.01
    first, second = invoice.lines.filter(dimensions__type="input")
    assert [(each.quantity, each.included) for each in (first, second)] == [(1_000_000, 250), (1_000_000, 250)]
    assert [each.amount for each in (first, second)] == [D("2.40"), D("3.60")]


def test_what_costs_nobody_knows_what_holds_the_invoice_until_it_is_recorded(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    billed(tokens, ({}, BY_COST), unmatched="zero")
    used(tokens, 5, 1000)
    used(tokens, 5, 700, "nobody/new-1")
    used(tokens, 6, 300, "nobody/new-1")
    used(tokens, 7, 10, kind="thought")
    run(utc(2024, 2, 1, 2))
    invoice = Invoice.objects.get()
    assert invoice.status == "draft"
    problems = invoice.hold_reason.splitlines()
    assert len(problems) == 2
    assert "nobody knows what model = acme/acme-1, type = thought costs: 10 token" in problems[0]
    assert "nobody knows what model = nobody/new-1, type = input costs: 1,000 token" in problems[1]
    own("0.001", name="nobody/new-1", effective_from=ALWAYS)
    closing.retry_held([invoice.pk])
    run(utc(2024, 2, 1, 4))
    invoice.refresh_from_db()
    assert len(invoice.hold_reason.splitlines()) == 1


def test_the_number_of_queries_does_not_grow(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    own("0.000003", effective_from=utc(2024, 1, 10))
    january_ = Period(utc(2024, 1, 1), utc(2024, 2, 1))
    version = billed(tokens, ({}, BY_COST)).version
    for index in range(20):
        customer = create_customer(reference=f"c-{index}", name="C")
        subscribe(customer=customer, version=version, starts_on=date(2024, 1, 1))
        use(f"c-{index}", tokens, utc(2024, 1, 5), 1000, {"model": "acme/acme-1", "type": "input"})
        use(f"c-{index}", tokens, utc(2024, 1, 15), 1000, {"model": "acme/acme-1", "type": "input"})
    keys = list(Subscription.objects.filter(customer__reference__startswith="c-").values_list("pk", flat=True))
    counts = []
    for some in (keys[:2], keys[:2], keys):
        with CaptureQueriesContext(connection) as captured:
            rated = rate([Request(key, key, january_, None) for key in some])
        counts.append(len(captured))
    assert counts[1] == counts[2]
    # 0.0024 and 0.0036 come to 0.006: lines of a row add up to what it comes to
    assert {tuple(str(line.amount) for line in each.lines) for each in rated.values()} == {("0.00", "0.01")}


def test_prices_that_ask_for_no_cost_ask_no_costs(tokens: Meter) -> None:
    billed(tokens, ({}, per_unit(D("0.01"))))
    used(tokens, 5, 100)
    invoice = january()
    assert lines(invoice) == [("Tokens · acme/acme-1 · input", "100", "1.00")]
    assert invoice.costs_known_at is None


def test_a_price_by_cost_can_be_negotiated_and_negotiated_away(tokens: Meter) -> None:
    """Beside a customer of the same plan, whose costs are those of the same hours."""
    own("0.000002", effective_from=ALWAYS)
    own("0.000003", effective_from=utc(2024, 1, 25))
    charge = billed(tokens, ({}, BY_COST))
    subscription = Subscription.objects.get()
    other = create_customer(reference="other", name="Other")
    subscribe(customer=other, version=charge.version, starts_on=date(2024, 1, 1))
    for day in (5, 15, 24, 26):
        used(tokens, day, 1_000_000)
        use("other", tokens, utc(2024, 1, day), 1_000_000, {"model": "acme/acme-1", "type": "input"})
    override(subscription, "price", date(2024, 1, 11), ends_on=date(2024, 1, 21), charge="tokens", price="0.000001")
    cheaper = Price(Model.COST_PLUS, percent=D(10))
    override(subscription, "price", date(2024, 1, 21), charge="tokens", price=cheaper)
    override(subscription, "discount", date(2024, 1, 21), charge="tokens", amount="3.1")
    run(utc(2024, 2, 1, 2))
    mine, theirs = Invoice.objects.order_by("subscription_id")
    # 1,000,000 × 0.000002 × 1.2; × 0.000001; × 0.000002 × 1.1; × 0.000003 × 1.1; 3.1 × 11 ÷ 31 off the last two
    assert [each[2] for each in lines(mine)] == ["2.40", "1.00", "2.20", "3.30", "-1.10"]
    # 3,000,000 × 0.000002 × 1.2; 1,000,000 × 0.000003 × 1.2
    assert [each[2] for each in lines(theirs)] == ["7.20", "3.60"]
    assert None not in (mine.costs_known_at, theirs.costs_known_at)


def test_a_negotiated_price_by_cost_is_all_that_asks_for_costs(tokens: Meter) -> None:
    own("0.000002", effective_from=ALWAYS)
    billed(tokens, ({}, per_unit(D("0.000009"))))
    used(tokens, 5, 1_000_000)
    override(Subscription.objects.get(), "price", date(2024, 1, 1), charge="tokens", price=BY_COST)
    invoice = january()
    assert [each[2] for each in lines(invoice)] == ["2.40"]
    assert invoice.costs_known_at is not None


def banded() -> Meter:
    return define_meter(
        code="tokens", name="Tokens", event_type="llm", aggregation="sum", unit="token",
        values=[("input", "input"), ("output", "output")], label_dimension="type", dimensions=[("model", "model")],
        bands=[("size", ["input"], [200_000])],
    )  # fmt: skip


def test_the_size_of_a_request_tells_its_cost() -> None:
    """0.000002 up to 200,000 tokens of input, 0.000004 above, for all of them; so it is with output."""
    own("0.000002", effective_from=ALWAYS)
    own("0.000004", above=200_000, effective_from=ALWAYS)
    own("0.00001", "output", effective_from=ALWAYS)
    own("0.00002", "output", above=200_000, effective_from=ALWAYS)
    own("0.000001", name="acme/acme-0", effective_from=ALWAYS)
    meter = banded()
    billed(meter, ({}, BY_COST), cost_context="size")

    def use_of(quantity: int, **dimensions: str) -> None:
        use("acme", meter, utc(2024, 1, 5), quantity, {"model": "acme/acme-1", "type": "input", **dimensions})

    use_of(1_000_000, size="0-200000")
    use_of(1_000_000, size="200000+")
    use_of(300_000, type="output", size="200000+")
    use_of(1_000_000, model="acme/acme-0")  # which costs the same at every size
    run(utc(2024, 2, 1, 2))
    invoice = Invoice.objects.get()
    assert sorted(each[1:] for each in lines(invoice)) == [
        ("1000000", "1.20"),  # × 0.000001 × 1.2
        ("1000000", "2.40"),  # × 0.000002 × 1.2
        ("1000000", "4.80"),  # × 0.000004 × 1.2
        ("300000", "7.20"),  # × 0.00002 × 1.2
    ]
    assert (invoice.status, str(invoice.total)) == ("finalized", "15.6000")


def test_usage_without_its_size_is_held_where_the_cost_goes_by_it() -> None:
    own("0.000002", effective_from=ALWAYS)
    own("0.000004", above=200_000, effective_from=ALWAYS)
    meter = banded()
    billed(meter, ({}, BY_COST), cost_context="size")
    use("acme", meter, utc(2024, 1, 5), 1_000, {"model": "acme/acme-1", "type": "input"})
    run(utc(2024, 2, 1, 2))
    invoice = Invoice.objects.get()
    assert (invoice.status, lines(invoice)) == ("draft", [])
    said = "nobody knows what model = acme/acme-1, type = input costs: 1,000 token. It has no “size”, so"
    assert said in invoice.hold_reason


@pytest.mark.parametrize("cheaper_first", [True, False])
def test_a_negotiated_margin_is_of_its_subscription_alone(tokens: Meter, cheaper_first: bool) -> None:
    """1,000,000 × 0.000002 × 1.2 for one, × 1.1 for the other, rated together and in both orders."""
    own("0.000002", effective_from=ALWAYS)
    charge = billed(tokens, ({}, BY_COST))
    mine = Subscription.objects.get()
    other = subscribe(
        customer=create_customer(reference="other", name="Other"), version=charge.version, starts_on=date(2024, 1, 1)
    )
    for customer in ("acme", "other"):
        use(customer, tokens, utc(2024, 1, 5), 1_000_000, {"model": "acme/acme-1", "type": "input"})
    override(mine, "price", date(2024, 1, 1), charge="tokens", price=Price(Model.COST_PLUS, percent=D(10)))
    asked = [mine.pk, other.pk] if cheaper_first else [other.pk, mine.pk]
    rated = rate([Request(key, key, Period(utc(2024, 1, 1), utc(2024, 2, 1)), None) for key in asked])
    amounts = {key: [str(line.amount) for line in each.lines] for key, each in rated.items()}
    assert amounts == {mine.pk: ["2.20"], other.pk: ["2.40"]}
