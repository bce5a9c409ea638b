"""What negotiated terms and coupons make of the lines: rated from real tables, figures worked by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from billing_site.foundation.periods import Period
from catalog.charges.cell_prices import put
from catalog.models import Cell, Charge, PlanVersion, Product
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from customers.deals import overriding, redeeming
from customers.models import Override, Redemption, Subscription
from customers.rating import chunks as rating
from customers.rating.chunks import Rated, Request, rate
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.catalog.costing import own
from tests.customers import making
from tests.customers.dealing import coupon, override
from tests.invoicing.running import subscribed
from tests.invoicing.sending import event, send

pytestmark = pytest.mark.django_db

D = Decimal
JANUARY = Period(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
FEBRUARY = Period(JANUARY.end, datetime(2024, 3, 1, tzinfo=UTC))
TIERS = Price(
    Model.GRADUATED, tiers=(Tier(Decimal(100), Decimal("0.10"), Decimal(0)), Tier(None, Decimal("0.05"), Decimal(0)))
)


def at(day: int) -> datetime:
    return datetime(2024, 1, day, 12, tzinfo=UTC)


def first(day: int, month: int = 1) -> date:
    return date(2024, month, day)


def plan(tokens: Meter, *, rows: Any = (({}, "1"),), **terms: Any) -> PlanVersion:
    """Tokens (charge-0), a fee in arrears of 31 (charge-1) and one in advance of 29 (charge-2)."""
    draft = making.version()
    charge = making.usage_charge(draft, tokens, rows, name="Tokens")
    Charge.objects.filter(pk=charge.pk).update(**terms)
    making.fee(draft, "31", "arrears", "Support")
    making.fee(draft, "29", "advance", "Seats")
    return making.publish(draft)


@pytest.fixture
def tokens() -> Meter:
    return making.meter("tokens", ["model"], unit="token")


def use(tokens: Meter, *used: tuple[int, int], model: str = "a") -> None:
    for day, quantity in used:
        making.use("acme", tokens, at(day), quantity, {"model": model})


def rated(subscription: Subscription, advance: Period | None = None) -> Rated:
    return rate([Request(1, subscription.pk, JANUARY, advance)])[1]


def shown(result: Rated) -> list[tuple[str, str, str]]:
    assert list(result.problems) == []
    return [
        (line.description, f"{line.service.start.day}–{line.service.end.day}", str(line.amount))
        for line in result.lines
    ]


def total(result: Rated) -> Decimal:
    return sum((line.amount for line in result.lines), Decimal(0))


def priced_by(price: Price, **terms: Any) -> tuple[Subscription, Meter]:
    """A plan of one charge without dimensions, charge-0, and its meter."""
    meter = making.meter(unit="token")
    draft = making.version()
    charge = making.usage_charge(draft, meter, [], name="Tokens")
    Charge.objects.filter(pk=charge.pk).update(**terms)
    row = Cell(charge=charge)
    put(row, price)
    row.save()
    return subscribed(making.publish(draft)), meter


def test_a_price_holds_from_its_first_day_on_and_tiers_go_on(tokens: Meter) -> None:
    draft = making.version()
    charge = making.usage_charge(draft, tokens, [({}, "1")], name="Tokens")
    columns = {"bounds": [100], "unit_prices": ["0.10", "0.05"], "flat_prices": [0, 0], "packages": [None, None]}
    Cell.objects.filter(charge=charge).update(model="graduated", unit_price=None, **columns)
    subscription = subscribed(making.publish(draft))
    use(tokens, (5, 150), (20, 150))
    # all of January: 100 × 0.10 + 200 × 0.05
    assert shown(rated(subscription)) == [("Tokens · a", "1–1", "20.00")]
    cheaper = Price(Model.GRADUATED, tiers=(*TIERS.tiers[:1], Tier(None, Decimal("0.02"), Decimal(0))))
    override(subscription, "price", first(11), ends_on=first(21), charge="charge-0", price=cheaper)
    # 1–11: 100 × 0.10 + 50 × 0.05; 11–21: 100 × 0.10 + 200 × 0.02 less 100 × 0.10 + 50 × 0.02; 21–1: nothing
    assert shown(rated(subscription)) == [("Tokens · a", "1–11", "12.50"), ("Tokens · a", "11–21", "3.00")]
    explained = rated(subscription).lines[1].explanation
    assert (
        explained["steps"]
        == [
            "tier 1, up to 100 token: 100 token × 0.1 = 10",
            "tier 2, above 100 token: 200 token × 0.02 = 4",
            "less what the 150 token before it come to at this price = -11",
            "rounded to 3.00",
        ][: len(explained["steps"])]
    )
    assert explained["row"] == {"id": None, "match": {}}
    assert explained["overrides"] == [
        {"id": Override.objects.get().pk, "name": "Price of a row", "reason": "Deal"}
        | {"from": "2024-01-11", "until": "2024-01-21"}
    ]
    assert "overrides" not in rated(subscription).lines[0].explanation


def test_a_row_is_replaced_or_added_and_prices_what_was_held(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens, rows=[({"model": "a"}, "1"), ({"model": "b"}, "2")]))
    for model in ("a", "b", "c"):
        use(tokens, (5, 10), model=model)
    (problem,) = rated(subscription).problems
    assert "has no price for model = c: 10 token" in problem
    ((left,),) = rating.unmatched([Request(1, subscription.pk, JANUARY, None)])[1].values()
    assert (left.dimensions, left.quantity) == ({"model": "c"}, 10)
    override(subscription, "price", first(1), charge="charge-0", match={"model": "b"}, price="1.5")
    override(subscription, "price", first(1), charge="charge-0", match={}, price="0.5")
    # the new row of * stands first, but is less exact: c alone falls to it
    assert shown(rated(subscription))[:3] == [
        ("Tokens · c", "1–1", "5.00"),
        ("Tokens · a", "1–1", "10.00"),
        ("Tokens · b", "1–1", "15.00"),
    ]
    assert rating.unmatched([Request(1, subscription.pk, JANUARY, None)]) == {}


def test_allowance_and_minimum_are_the_sum_of_what_holds_by_days_and_cut_nothing(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens, included=310))
    use(tokens, (5, 200), (25, 200))
    # 400 − 310
    assert shown(rated(subscription))[0] == ("Tokens · a", "1–1", "90.00")
    override(subscription, "included", first(21), charge="charge-0", quantity="620")
    # 310 × 20 ÷ 31 + 620 × 11 ÷ 31 = 420 of the 400
    assert shown(rated(subscription))[0] == ("Tokens · a", "1–1", "0.00")
    assert str(rated(subscription).lines[0].included) == "400"
    override(subscription, "minimum", first(11), charge="charge-0", amount="31", ends_on=first(21))
    # 31 × 10 ÷ 31 = 10, of usage that comes to nothing
    assert shown(rated(subscription))[:2] == [
        ("Tokens · a", "1–1", "0.00"),
        ("Tokens · minimum commitment", "11–21", "10.00"),
    ]
    (minimum,) = [line for line in rated(subscription).lines if line.kind == "minimum"]
    assert [each["name"] for each in minimum.explanation["overrides"]] == ["Minimum"]


def test_a_cap_can_be_negotiated_and_negotiated_away(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens, cap=50))
    use(tokens, (5, 80))
    assert shown(rated(subscription))[:2] == [("Tokens · a", "1–1", "80.00"), ("Tokens · cap", "1–1", "-30.00")]
    override(subscription, "cap", first(1), charge="charge-0", amount=None)
    assert shown(rated(subscription))[:1] == [("Tokens · a", "1–1", "80.00")]
    assert len(rated(subscription).lines) == 2


def test_a_minimum_of_all_usage_from_a_day_on_is_of_all_usage_of_the_period(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    use(tokens, (5, 10), (25, 10))
    override(subscription, "minimum", first(21), amount="62")
    # 62 × 11 ÷ 31 = 22, less 20
    assert [line for line in shown(rated(subscription)) if "Support" not in line[0]] == [
        ("Tokens · a", "1–1", "20.00"),
        ("All usage · minimum commitment", "21–1", "2.00"),
    ]
    assert rated(subscription).lines[-1].product == rated(subscription).lines[0].product


def test_a_minimum_above_the_cap_holds_the_invoice(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens, minimum=5, cap=50))
    override(subscription, "minimum", first(1), charge="charge-0", amount="50")
    assert shown(rated(subscription))[0] == ("Tokens · minimum commitment", "1–1", "50.00")
    with pgtrigger.ignore("catalog.Charge:charge_in_draft"):  # as a later version may have it
        Charge.objects.filter(code="charge-0").update(cap=40, minimum=None)
    result = rated(subscription)
    assert result.lines == ()
    assert result.problems[0].startswith("The minimum of “Tokens” of ")
    assert "50.0000, is above its cap, 40.0000: end the negotiated one" in result.problems[0]


def test_a_fee_is_prorated_around_a_negotiated_one(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    override(subscription, "fee", first(11), ends_on=first(21), charge="charge-1", amount="15.50")
    override(subscription, "fee", first(8, 2), charge="charge-2", amount="14.50")
    # 31 × 10 ÷ 31, 15.50 × 10 ÷ 31, 31 × 11 ÷ 31; 29 × 7 ÷ 29, 14.50 × 22 ÷ 29
    assert shown(rated(subscription, FEBRUARY)) == [
        ("Support (10 of 31 days)", "1–11", "10.00"),
        ("Support (10 of 31 days)", "11–21", "5.00"),
        ("Support (11 of 31 days)", "21–1", "11.00"),
        ("Seats (7 of 29 days)", "1–8", "7.00"),
        ("Seats (22 of 29 days)", "8–1", "11.00"),
    ]


def test_a_fee_that_a_term_cuts_into_parts_is_not_more_than_the_fee() -> None:
    """9.99 in two halves of 4.995 is 5.00 and 4.99, not twice 5.00. A discount does not cut it: half of a half."""
    draft = making.version()
    making.fee(draft, "9.99", "advance", "Seats")
    subscription = subscribed(making.publish(draft))
    term = override(subscription, "fee", first(16, 4), charge="charge-0", amount="9.99")
    april = Period(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC))
    halves = [("Seats (15 of 30 days)", "1–16", "5.00"), ("Seats (15 of 30 days)", "16–1", "4.99")]
    assert shown(rated(subscription, april)) == halves
    overriding.end_override(term, first(16, 4))
    override(subscription, "discount", first(16, 4), charge="charge-0", percent="50")
    # 50 % of 9.99 × 15 ÷ 30, 2.4975
    assert shown(rated(subscription, april)) == [("Seats", "1–1", "9.99"), ("Negotiated discount", "1–1", "-2.50")]
    said = "50 % of 4.995, so much of the lines as its days have = 2.4975"
    assert rated(subscription, april).lines[-1].explanation["steps"] == [said, "rounded to 2.50"]


def test_a_fee_that_is_due_once_is_the_negotiated_one_or_not() -> None:
    draft = making.version()
    making.fee(draft, "99", "once", "Set-up")
    subscription = subscribed(making.publish(draft))
    opening = [Request(1, subscription.pk, None, JANUARY)]
    override(subscription, "fee", first(2), charge="charge-0", amount="1")
    assert total(rate(opening)[1]) == 99
    override(subscription, "fee", first(1), ends_on=first(2), charge="charge-0", amount="49")
    (line,) = rate(opening)[1].lines
    assert (line.amount, line.explanation["overrides"][0]["name"]) == (Decimal("49.00"), "Fee")


def test_a_discount_takes_off_the_days_on_which_it_holds(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    use(tokens, (5, 100), (25, 100))
    override(subscription, "discount", first(21), charge="charge-0", percent="25")
    assert shown(rated(subscription)) == [
        ("Tokens · a", "1–21", "100.00"),
        ("Tokens · a", "21–1", "100.00"),
        ("Support", "1–1", "31.00"),
        ("Negotiated discount", "21–1", "-25.00"),
    ]
    line = rated(subscription).lines[-1]
    assert (line.kind, line.explanation["charge"]) == ("discount", "charge-0")
    assert line.charge == rated(subscription).lines[0].charge
    assert line.explanation["steps"] == ["25 % of 100 = 25"]
    assert line.explanation["overrides"][0]["from"] == "2024-01-21"
    override(subscription, "discount", first(11), charge="charge-1", amount="6.20")
    # 6.20 × 21 ÷ 31 = 4.20 off what Support comes to from the 11th on, 21 of its 31
    assert shown(rated(subscription))[-1] == ("Negotiated discount", "1–1", "-4.20")


def test_coupons_take_off_all_that_stands_on_the_invoice(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    use(tokens, (5, 100))
    coupon("TEN", "10")
    coupon("OFF", amount="50", charges=["charge-0"])
    for code in ("ten", "off"):
        redeeming.redeem(subscription, code, first_invoice_on=first(1, 2))
    # the coupon of one charge first: 50 off 100; then 10 % of 50 + 31 + 29
    assert shown(rated(subscription, FEBRUARY)) == [
        ("Tokens · a", "1–1", "100.00"),
        ("Support", "1–1", "31.00"),
        ("Seats", "1–1", "29.00"),
        ("Off (OFF)", "1–1", "-50.00"),
        ("Ten (TEN)", "1–1", "-11.00"),
    ]
    *_, off, ten = rated(subscription, FEBRUARY).lines
    assert off.explanation["steps"] == ["50 off 100 = 50"]
    assert ten.explanation["steps"] == ["10 % of 110 = 11"]
    assert (ten.charge, ten.service) == (None, Period(JANUARY.start, FEBRUARY.end))
    assert ten.explanation["coupon"]["code"] == "TEN"


def test_a_discount_has_a_line_for_each_product(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    support = Product.objects.create(code="support", name="Support")
    with pgtrigger.ignore("catalog.Charge:charge_in_draft"):
        Charge.objects.filter(code="charge-1").update(product=support)
    use(tokens, (5, 100))
    coupon("THIRD", "33.33")
    redeeming.redeem(subscription, "third", first_invoice_on=first(1, 2))
    # 33.33 % of 131 = 43.6623; by largest remainder 33.33 of 100 and 10.33 of 31
    *_, one, other = rated(subscription).lines
    assert [(line.amount, line.product == support.pk) for line in (one, other)] == [
        (Decimal("-33.33"), False),
        (Decimal("-10.33"), True),
    ]
    assert one.explanation["share"] == "33.33 of 43.66, by what is left of each line, largest remainder"
    coupon("SUPPORT", "50", products=[support])
    redeeming.redeem(subscription, "support", first_invoice_on=first(1, 2))
    # the one of a product first: 50 % of 31
    assert next(str(line.amount) for line in rated(subscription).lines if line.kind == "discount") == "-15.50"


def test_an_amount_that_an_invoice_is_too_small_for_lapses(tokens: Meter) -> None:
    subscription = subscribed(plan(tokens))
    coupon("BIG", amount="500", duration="periods", periods=2)
    redeeming.redeem(subscription, "big", first_invoice_on=first(1, 2))
    assert total(rated(subscription)) == 0
    assert rated(subscription).lines[-1].explanation["steps"] == ["500 off 31, which leaves 469 of it = 31"]
    # the second invoice has 500 again, the third none
    later = rate([Request(1, subscription.pk, FEBRUARY, None)])[1]
    assert later.lines[-1].explanation["steps"] == ["500 off 31, which leaves 469 of it = 31"]
    march = Period(FEBRUARY.end, datetime(2024, 4, 1, tzinfo=UTC))
    assert total(rate([Request(1, subscription.pk, march, None)])[1]) == 31


# A price, what is used on the 5th and on the 20th of January, and what that comes to.
ONCE_USED = [
    (Price(Model.GRADUATED, tiers=(Tier(D(1000), D(1)), Tier(None, D("0.1")))), {}, (5000, 5000), "1900.00"),
    (Price(Model.FLAT, unit_price=D(100)), {}, (5000, 5000), "100.00"),
    (Price(Model.STAIRSTEP, tiers=(Tier(D(9000), D(0), D(300)), Tier(None, D(0), D(500)))), {}, (5000, 5000), "500.00"),
    (per_unit(D(1)), {"minimum": 1000}, (1000, 0), "1000.00"),
    (per_unit(D(1)), {"included": 1000}, (1000, 0), "0.00"),
    (per_unit(D(1)), {"cap": 1000}, (5000, 5000), "1000.00"),
    (Price(Model.PACKAGE, size=D(3000), unit_price=D(10)), {}, (5000, 5000), "40.00"),
    (per_unit(D("0.005")), {}, (1, 1), "0.01"),  # and not 0.01 twice
]


@pytest.mark.parametrize(("price", "terms", "used", "plain"), ONCE_USED)
def test_a_discount_or_a_term_like_the_plans_own_makes_nothing_dearer(
    price: Price, terms: dict[str, int], used: tuple[int, int], plain: str
) -> None:
    subscription, tokens = priced_by(price, **terms)
    making.use("acme", tokens, at(5), used[0])
    making.use("acme", tokens, at(20), used[1])
    assert str(total(rated(subscription))) == plain
    override(subscription, "price", first(16), charge="charge-0", price=price)
    for what, value in terms.items():
        amount = {"quantity" if what == "included" else "amount": str(value)}
        override(subscription, what, first(11), ends_on=first(13), charge="charge-0", **amount)
    assert str(total(rated(subscription))) == plain
    override(subscription, "discount", first(16), percent="1")
    less = total(rated(subscription))
    assert Decimal(plain) * Decimal("0.99") <= less <= Decimal(plain)


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME, Model.STAIRSTEP])
@pytest.mark.parametrize("begins", [1, 16])
def test_a_negotiated_fee_of_tiers_is_not_due_for_nothing_where_there_are_dimensions(
    tokens: Meter, model: Model, begins: int
) -> None:
    price = Price(model, tiers=(Tier(None, D(0), D(7)),), flat_at_zero=True)
    draft = making.version()
    row = Cell(charge=making.usage_charge(draft, tokens, [], name="Tokens"))
    put(row, price)
    row.save()
    subscription = subscribed(making.publish(draft))
    use(tokens, (18, 5), (19, -5))  # used, and taken back
    assert total(rated(subscription)) == 0
    override(subscription, "price", first(begins), charge="charge-0", price=price)
    assert total(rated(subscription)) == 0


def test_one_percent_off_everything_from_the_16th() -> None:
    """Graduated, 1,000 at 1 and the rest at 0.1: 1,400 to the 16th, 500 from then on, of which 1 % is 5."""
    subscription, tokens = priced_by(ONCE_USED[0][0])
    making.use("acme", tokens, at(5), 5000)
    making.use("acme", tokens, at(20), 5000)
    override(subscription, "discount", first(16), percent="1")
    assert shown(rated(subscription)) == [
        ("Tokens", "1–16", "1400.00"),
        ("Tokens", "16–1", "500.00"),
        ("Negotiated discount", "16–1", "-5.00"),
    ]


@pytest.mark.parametrize(
    ("kind", "quantities", "plain"), [("max", (10, 10), "100.00"), ("unique_count", (1, 1), "10.00")]
)
def test_what_does_not_add_up_is_not_cut_by_a_discount(kind: str, quantities: tuple[int, int], plain: str) -> None:
    """The greatest of the month is one quantity; 16 of its 31 days are taken 10 % off."""
    values = {"values": [("", "user")]} if kind == "unique_count" else {"values": [("", "n")]}
    seats = define_meter(code="seats", name="Seats", event_type="seats", aggregation=kind, unit="seat", **values)
    draft = making.version()
    making.usage_charge(draft, seats, [({}, "10")], name="Seats")
    subscription = subscribed(making.publish(draft))
    for day, quantity in zip((5, 20), quantities, strict=True):
        send([structs.replace(event(at(day)), type="seats", properties={"n": quantity, "user": "u1"})])
    assert shown(rated(subscription)) == [("Seats", "1–1", plain)]
    override(subscription, "discount", first(16), percent="10")
    override(subscription, "minimum", first(16), charge="charge-0", amount="1")
    override(subscription, "cap", first(11), charge="charge-0", amount="1000")
    off = (Decimal(plain) * 16 / 31 / 10).quantize(Decimal("0.01"))  # 5.16, 0.52
    assert shown(rated(subscription)) == [("Seats", "1–1", plain), ("Negotiated discount", "1–1", f"-{off}")]
    override(subscription, "price", first(16), charge="charge-0", price="10")
    assert [line[1:] for line in shown(rated(subscription))[:2]] == [("1–16", plain), ("16–1", plain)]


# What a discount of 10 % from the 16th on takes: usage is 60.00 on the 5th and 40.00 on the 20th; a minimum of 410 adds
# 310.00, a cap of 69 takes 31.00 back.
TOUCHED = [
    # a charge's own: 40 of the usage; 310 × 16 ÷ 31 = 160 of the minimum; 31 × 40 ÷ 100 = 12.40 of the cap
    ("charge", {"minimum": 410}, {}, "-20.00"),  # 10 % of 40 + 160
    ("charge", {"cap": 69}, {}, "-2.76"),  # 10 % of 40 − 12.40
    # of all usage: a discount of one charge does not see the lines, but pays no more than what is left
    ("charge", {}, {"minimum": 410}, "-4.00"),
    ("charge", {}, {"cap": 69}, "-4.00"),
    ("charge", {}, {"cap": 3}, "-0.30"),
    ("all", {"minimum": 410}, {}, "-20.00"),
    ("all", {"cap": 69}, {}, "-2.76"),
    ("all", {}, {"minimum": 410}, "-20.00"),
    ("all", {}, {"cap": 69}, "-2.76"),
]


@pytest.mark.parametrize(("of", "own", "together", "taken"), TOUCHED)
def test_a_discount_of_part_of_a_period_takes_its_share_of_each_line(
    of: str, own: dict[str, int], together: dict[str, int], taken: str
) -> None:
    subscription, tokens = priced_by(per_unit(D(1)), **own)
    if together:
        with pgtrigger.ignore("catalog.PlanVersion:version_states"):
            product = Product.objects.get()
            PlanVersion.objects.update(**together, commitment_product=product)
    making.use("acme", tokens, at(5), 60)
    making.use("acme", tokens, at(20), 40)
    override(subscription, "discount", first(16), charge="charge-0" if of == "charge" else "", percent="10")
    lines = rated(subscription).lines
    assert [str(line.amount) for line in lines if line.kind == "discount"] == [taken]
    assert [str(line.amount) for line in lines if line.kind == "usage"] == ["60.00", "40.00"]


@pytest.mark.parametrize(("timing", "amount"), [("once", "62"), ("advance", "62"), ("arrears", "62")])
@pytest.mark.parametrize("code", ["charge-0", ""])
def test_a_discount_of_part_of_a_period_takes_the_days_of_a_fee(timing: str, amount: str, code: str) -> None:
    """62 × 16 ÷ 31 = 32, of which 10 % are 3.20: also of a fee that is due once, which is of its first period."""
    draft = making.version()
    making.fee(draft, amount, timing)
    subscription = subscribed(making.publish(draft))
    override(subscription, "discount", first(16), charge=code, percent="10")
    request = Request(1, subscription.pk, *((JANUARY, None) if timing == "arrears" else (None, JANUARY)))
    assert [str(line.amount) for line in rate([request])[1].lines] == ["62.00", "-3.20"]


@pytest.mark.parametrize(
    ("rounding", "included", "free", "amount"),
    [
        (("none", 0), "100", "32", "18.40"),  # 32.258…, at the decimals of what is included; 50.4 − 32
        (("none", 0), "100.5", "32.4", "18.00"),  # 32.419…
        (("ceil", 0), "100", "32", "19.00"),  # 51 − 32
        (("half_up", 2), "100", "32.26", "18.14"),  # 50.4 − 32.26
    ],
)
def test_what_10_of_31_days_include(rounding: tuple[str, int], included: str, free: str, amount: str) -> None:
    meter = define_meter(
        code="gb", name="GB", event_type="gb", aggregation="sum", unit="GB", values=[("", "n")], rounding=rounding
    )
    draft = making.version()
    charge = making.usage_charge(draft, meter, [({}, "1")], name="GB")
    Charge.objects.filter(pk=charge.pk).update(included=Decimal(included))
    subscription = subscribed(making.publish(draft), start=first(22))
    making.use("acme", meter, at(25), "50.4")
    (line,) = rated(subscription).lines
    assert (line.included, str(line.amount)) == (Decimal(free), amount)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    used=st.lists(st.tuples(st.integers(1, 31), st.integers(1, 400)), max_size=6),
    bounds=st.lists(st.integers(1, 31), min_size=2, max_size=2, unique=True).map(sorted),
    percents=st.lists(st.integers(1, 100), max_size=3),
    amount=st.decimals(1, 2_000, places=2),
)
def test_usage_is_kept_the_total_is_the_sum_and_never_below_nothing(
    tokens: Meter, used: list[tuple[int, int]], bounds: list[int], percents: list[int], amount: Decimal
) -> None:
    with transaction.atomic():
        subscription = subscribed(plan(tokens), "acme")
        use(tokens, *used)
        plain = rated(subscription)
        ends_on = first(bounds[1])
        # its own price, twice cut: nothing changes, for there are no tiers
        override(subscription, "price", first(bounds[0]), ends_on=ends_on, charge="charge-0", price="1")
        cut = rated(subscription)
        assert total(cut) == total(plain)
        quantity = [sum(line.quantity for line in each.lines if line.kind == "usage") for each in (plain, cut)]
        assert quantity[0] == quantity[1] == sum(each for _, each in used)
        override(subscription, "price", ends_on, charge="charge-0", price="0.07")
        override(subscription, "discount", first(bounds[0]), charge="charge-0", amount=str(amount))
        for number, percent in enumerate(percents):
            coupon(f"C{number}", str(percent))
            redeeming.redeem(subscription, f"C{number}", first_invoice_on=first(1, 2))
        result = rated(subscription)
        assert rated(subscription) == result
        assert total(result) >= 0
        assert all(line.amount <= 0 for line in result.lines if line.kind == "discount")
        measured = rating.measure([Request(1, subscription.pk, JANUARY, None)])[1]
        assert sum(each.quantity for usage in measured.values() for each in usage) == quantity[0]
        transaction.set_rollback(True)


FLATS = (Tier(D(100), D("0.5"), D(7)), Tier(D(300), D("0.31"), D(3), D(40)), Tier(None, D("0.07"), D(2)))
EVERY_MODEL = [
    per_unit(D("0.013")),
    Price(Model.FLAT, unit_price=D("9.99")),
    Price(Model.PACKAGE, unit_price=D("1.11"), size=D(70), free=D(20)),
    Price(Model.PERCENTAGE, percent=D("3.7"), fixed=D("0.29"), free=D(50), free_events=1),
    Price(Model.GRADUATED, tiers=FLATS),
    Price(Model.VOLUME, tiers=FLATS),
    Price(Model.STAIRSTEP, tiers=tuple(Tier(tier.up_to, D(0), tier.flat_price) for tier in FLATS)),
    Price(Model.COST_PLUS, percent=D(15)),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    price=st.sampled_from(EVERY_MODEL),
    dimensions=st.booleans(),
    used=st.lists(st.tuples(st.integers(1, 31), st.decimals(-20, 400, places=2)), max_size=5),
    terms=st.fixed_dictionaries({}, optional={"included": st.integers(1, 300), "minimum": st.integers(1, 30)}),
    cap=st.one_of(st.none(), st.integers(30, 40)),
    bounds=st.lists(st.integers(1, 31), min_size=2, max_size=2, unique=True).map(sorted),
    percent=st.integers(1, 100),
)
def test_what_a_plan_says_already_changes_nothing_and_a_discount_makes_nothing_dearer(
    price: Price,
    dimensions: bool,
    used: list[tuple[int, Decimal]],
    terms: dict[str, int],
    cap: int | None,
    bounds: list[int],
    percent: int,
) -> None:
    with transaction.atomic():
        by_cost = price.model == Model.COST_PLUS
        own("0.0021", effective_from=datetime(2023, 1, 1, tzinfo=UTC))
        own("0.0037", effective_from=at(17))
        meter = making.meter("tokens-2", ["model"] if dimensions or by_cost else [], unit="token")
        draft = making.version()
        charge = making.usage_charge(draft, meter, [], name="Tokens")
        row = Cell(charge=charge)
        put(row, price)
        row.save()
        Charge.objects.filter(pk=charge.pk).update(**terms, cap=cap, cost_model="model" if by_cost else "")
        subscription = subscribed(making.publish(draft))
        for number, (day, quantity) in enumerate(used):
            model = {"model": "acme/acme-1" if number % 2 else "acme-1"} if dimensions or by_cost else {}
            making.use("acme", meter, at(day), quantity, model)
        plain = total(rated(subscription))
        span = {"ends_on": first(bounds[1]), "charge": "charge-0"}
        override(subscription, "price", first(bounds[0]), price=price, **span)
        for what, value in {**terms, **({} if cap is None else {"cap": cap})}.items():
            number = {"quantity" if what == "included" else "amount": str(value)}
            override(subscription, what, first(bounds[0]), **span, **number)
        assert total(rated(subscription)) == plain
        override(subscription, "discount", first(bounds[0]), ends_on=first(bounds[1]), percent=str(percent))
        override(subscription, "discount", first(bounds[1]), charge="charge-0", amount="3.33")
        result = rated(subscription)
        usage_and_more = sum((line.amount for line in result.lines if line.kind != "discount"), Decimal(0))
        assert usage_and_more == plain
        assert min(plain, Decimal(0)) <= total(result) <= plain
        transaction.set_rollback(True)


def test_the_number_of_queries_does_not_grow(tokens: Meter) -> None:
    version = plan(tokens)
    all_of_them = coupon("ALL", "10")

    def many(numbers: range) -> list[Request]:
        subscriptions = [subscribed(version, f"customer-{number}") for number in numbers]
        columns = {"charge": "charge-0", "starts_at": at(11).replace(hour=0), "reason": "Deal"}
        Override.objects.bulk_create(
            Override(subscription=each, **{**columns, **term})
            for each in subscriptions
            for term in ({"what": "minimum", "amount": 31}, {"what": "price", "model": "per_unit", "unit_price": 1})
        )
        redeemed = {"coupon": all_of_them, "redeemed_at": at(1), "first_at": JANUARY.end, "until_at": FEBRUARY.end}
        Redemption.objects.bulk_create(Redemption(subscription=each, **redeemed) for each in subscriptions)
        return [Request(each.pk, each.pk, JANUARY, FEBRUARY) for each in subscriptions]

    few, more = many(range(2)), many(range(2, 200))
    rate(few)  # what is read once per process
    with CaptureQueriesContext(connection) as for_two:
        rate(few)
    with CaptureQueriesContext(connection) as for_two_hundred:
        result = rate([*few, *more])
    assert len(for_two_hundred) == len(for_two) <= 18
    # 31 × 21 ÷ 31 + 31 + 29, less 10 %
    assert {str(total(each)) for each in result.values()} == {"72.90"}
