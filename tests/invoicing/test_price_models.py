"""Invoices of every kind of price, figures worked by hand: tiers, packages, allowances, minimums, caps, currencies."""

from datetime import date
from decimal import Decimal

import pytest

from billing_site.foundation.errors import Refused
from catalog.charges.row_checks import DraftRow
from catalog.models import Charge, PlanVersion
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import (
    add_flat_charge,
    add_usage_charge,
    change_version,
    create_plan,
    draft_version,
    publish,
    set_amounts,
    set_price_list,
    set_rows,
)
from customers.subscriptions.subscribing import create_customer, subscribe
from invoicing.models import Invoice, LateUsage
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.catalog import making as catalogue
from tests.customers.making import use
from tests.invoicing.running import lines, run, utc

pytestmark = pytest.mark.django_db

D = Decimal
GRADUATED = Price(Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"))))


@pytest.fixture
def tokens() -> Meter:
    return define_meter(
        code="tokens", name="Tokens", event_type="tokens.used", aggregation="sum", unit="token",
        values=[("", "value")], dimensions=[("model", "model")],
    )  # fmt: skip


def draft(code: str = "pro", **terms: object) -> PlanVersion:
    return draft_version(create_plan(code=code, name="Pro"), **terms)  # type: ignore[arg-type]


def priced(version: PlanVersion, meter: Meter, rows: list[tuple[dict[str, str], Price]], **terms: object) -> Charge:
    return add_usage_charge(
        version,
        meter=meter,
        code=meter.code,
        name=meter.name,
        product=catalogue.product(),
        rows=rows,
        **terms,  # type: ignore[arg-type]
    )


def billed(version: PlanVersion, start: date = date(2024, 1, 1), currency: str = "USD") -> None:
    customer = create_customer(reference="acme", name="Acme", currency=currency)
    subscribe(customer=customer, version=version, starts_on=start)


def january() -> Invoice:
    run(utc(2024, 2, 1, 2))
    return Invoice.objects.get(kind="period", period_end=utc(2024, 2, 1))


def test_tiers_and_a_minimum_after_the_allowance(tokens: Meter) -> None:
    version = draft()
    rows = [({"model": "a"}, GRADUATED), ({}, per_unit(D("0.05")))]
    priced(version, tokens, rows, included=D(100), minimum=D(60))
    billed(publish(version))
    use("acme", tokens, utc(2024, 1, 20), 1500, {"model": "a"})
    use("acme", tokens, utc(2024, 1, 20), 500, {"model": "b"})
    invoice = january()
    # 100 of 2,000 are included: 75 and 25. 1,000 × 0.02 + 425 × 0.01 = 24.25; 475 × 0.05 = 23.75; 60 − 48 = 12.
    assert lines(invoice) == [
        ("Tokens · a", "1500", "24.25"),
        ("Tokens · b", "500", "23.75"),
        ("Tokens · minimum commitment", "1", "12.00"),
    ]
    assert invoice.total == 60
    graduated, each, missing = invoice.lines.all()
    assert (graduated.kind, graduated.included, graduated.unit_price) == ("usage", 75, None)
    assert (each.included, each.unit_price) == (25, None)  # no price holds for all of them
    assert graduated.explanation["steps"] == [
        "included: 75 of 1,500 token = 0",
        "tier 1, up to 1,000 token: 1,000 token × 0.02 = 20",
        "tier 2, above 1,000 token: 425 token × 0.01 = 4.25",
    ]
    assert (missing.kind, missing.charge.code) == ("minimum", "tokens")
    assert missing.explanation["steps"] == ["minimum 60 − usage 48 = 12"]


def test_part_of_a_period_has_part_of_the_allowance_and_of_the_cap(tokens: Meter) -> None:
    version = draft()
    rows = [({"model": "a"}, GRADUATED), ({}, per_unit(D("0.05")))]
    priced(version, tokens, rows, included=D(100), minimum=D(10), cap=D(40))
    billed(publish(version), date(2024, 1, 16))
    use("acme", tokens, utc(2024, 1, 20), 1500, {"model": "a"})
    use("acme", tokens, utc(2024, 1, 20), 500, {"model": "b"})
    # 16 of 31 days: 51.6 → 52 included, 39 and 13; 20 + 461 × 0.01; 487 × 0.05; 40 × 16 ÷ 31 = 20.645… − 48.96.
    assert lines(january()) == [
        ("Tokens · a", "1500", "24.61"),
        ("Tokens · b", "500", "24.35"),
        ("Tokens · cap", "1", "-28.31"),
    ]


def test_what_fills_up_to_a_minimum_of_all_usage_is_a_product_of_its_own(tokens: Meter) -> None:
    version = draft(minimum=D(100), commitment_product=catalogue.product())
    priced(version, tokens, [({}, Price(Model.PACKAGE, unit_price=D(3), size=D(1000)))])
    billed(publish(version))
    use("acme", tokens, utc(2024, 1, 20), 1001)
    invoice = january()
    assert lines(invoice) == [("Tokens", "1001", "6.00"), ("All usage · minimum commitment", "1", "94.00")]
    assert invoice.lines.last().charge is None  # type: ignore[union-attr]


def test_a_cap_of_all_usage_is_credited_to_what_was_sold(tokens: Meter) -> None:
    calls = define_meter(code="calls", name="Calls", event_type="call", aggregation="count", unit="call")
    version = draft()
    priced(version, tokens, [({}, per_unit(D("0.10")))])
    other = catalogue.Product.objects.create(code="calls", name="Calls")
    add_usage_charge(version, meter=calls, code="calls", name="Calls", product=other, rows=[({}, D("0.05"))])
    change_version(version, cap=D(20))
    billed(publish(version))
    use("acme", tokens, utc(2024, 1, 20), 200)
    for _ in range(2):
        use("acme", calls, utc(2024, 1, 21), 100)
    # 20 + 10 = 30, 10 above the cap: 2 parts of 3 and 1.
    invoice = january()
    assert lines(invoice)[2:] == [("All usage · cap", "1", "-6.67"), ("All usage · cap", "1", "-3.33")]
    assert [line.product.code for line in invoice.lines.filter(kind="cap")] == ["chatbot-api", "calls"]
    assert invoice.total == 20


def test_a_fee_that_is_due_once_opens_the_subscription_and_never_comes_again(tokens: Meter) -> None:
    version = draft()
    add_flat_charge(version, code="setup", name="Setup", product=catalogue.product(), amount=D(99), timing="once")
    priced(version, tokens, [({}, per_unit(D(1)))])
    billed(publish(version), date(2024, 1, 16))
    use("acme", tokens, utc(2024, 1, 20), 5)
    run(utc(2024, 1, 16, 2))
    opening = Invoice.objects.get(kind="opening")
    assert (lines(opening), opening.status) == ([("Setup", "1", "99.00")], "finalized")
    assert lines(january()) == [("Tokens", "5", "5.00")]


def test_a_customer_is_billed_by_the_list_of_its_currency(tokens: Meter) -> None:
    version = draft()
    base = add_flat_charge(version, code="base", name="Base", product=catalogue.product(), amount=D("0.01"))
    charge = priced(version, tokens, [({}, per_unit(D("0.5")))], minimum=D(1))
    yen = set_price_list(version, "JPY")
    set_amounts(base, yen, amount=D(900))
    set_amounts(charge, yen, minimum=D(500))
    set_rows(charge, yen, [DraftRow({}, per_unit(D("1.5")))])
    billed(publish(version), currency="JPY")
    use("acme", tokens, utc(2024, 1, 20), 33)
    invoice = january()
    assert invoice.currency == "JPY"
    # 33 × 1.5 = 49.5, away from zero; the rest of 500; the fee of February.
    assert lines(invoice) == [
        ("Base", "1", "900.00"),
        ("Tokens", "33", "50.00"),
        ("Tokens · minimum commitment", "1", "450.00"),
    ]


def test_a_currency_that_is_not_listed_cannot_be_subscribed_in(tokens: Meter) -> None:
    version = draft()
    priced(version, tokens, [({}, per_unit(D(1)))])
    with pytest.raises(Refused, match="priced in USD and the customer “Acme” pays in EUR"):
        billed(publish(version), currency="EUR")


@pytest.mark.parametrize("consumption", ["credits", "balance"])
def test_a_plan_that_is_paid_for_beforehand_waits_for_wallets(tokens: Meter, consumption: str) -> None:
    version = draft_version(create_plan(code="pre", name="Prepaid", consumption=consumption), when_empty="block")
    priced(version, tokens, [({}, per_unit(D(1)))])
    with pytest.raises(Refused, match="needs a wallet; there are none yet"):
        billed(publish(version))


def test_a_draft_follows_usage_across_tiers_and_late_usage_is_told_in_units(tokens: Meter) -> None:
    version = draft()
    priced(version, tokens, [({}, GRADUATED)], minimum=D(25))
    billed(publish(version))
    use("acme", tokens, utc(2024, 1, 20), 900)
    run(utc(2024, 2, 1))
    draft_invoice = Invoice.objects.get(kind="period")
    assert [amount for *_, amount in lines(draft_invoice)] == ["18.00", "7.00"]
    use("acme", tokens, utc(2024, 1, 21), 600)
    invoice = january()
    assert invoice.pk == draft_invoice.pk
    assert [amount for *_, amount in lines(invoice)] == ["25.00"]
    assert not LateUsage.objects.exists()
