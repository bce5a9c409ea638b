"""Whom a change of a model's cost touches."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.charges.row_checks import DraftRow
from catalog.costs.own_costs import Entry
from catalog.costs.users import becomes, uses_of
from catalog.models import Cell, Charge, Plan, PlanVersion
from catalog.pricing.model_costs import Hours
from catalog.pricing.model_names import ModelName
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.charging import add_usage_charge
from catalog.versions.publishing import clone_version, publish, retire, set_price_list, set_rows
from customers.models import Subscription
from meters.definitions.metering import define_meter
from meters.models import Meter, Series
from tests.catalog import making
from tests.catalog.costing import own, price, read
from tests.invoicing.running import subscribed

pytestmark = pytest.mark.django_db

FIRST = ModelName("acme", "acme-1")


def by_cost(
    version: PlanVersion, rows: object, code: str = "tokens", meter: Meter | None = None, **terms: str
) -> Charge:
    named = {"cost_model": "model", "cost_token_type": "token_type", **terms}
    meter = meter or making.tokens(f"meter-{version.pk}-{code}")
    return add_usage_charge(
        version,
        code=code,
        name=code.title(),
        product=making.product(),
        meter=meter,
        rows=rows,
        **named,  # type: ignore[arg-type]
    )


def plus(percent: str) -> Price:
    return Price(Model.COST_PLUS, percent=Decimal(percent))


def test_rows_by_any_name_of_the_model_and_for_every_model() -> None:
    read(acme_1=price(input_mtok="1"), acme_2=price(input_mtok="1"))
    version = making.draft()
    named = by_cost(version, [({"model": "acme/acme-1"}, plus("20")), ({"model": "acme-2"}, plus("5"))], "named")
    mixed = [
        ({"model": "ACME-1", "token_type": "input"}, Decimal("0.1")),
        ({}, plus("30")),
        ({"model": "x"}, plus("9")),
    ]
    every = by_cost(version, mixed, "every")
    by_cost(version, [({"model": "acme-2"}, plus("5"))], "other")
    making.usage(version, making.tokens("own"), [({"model": "acme-1"}, Decimal(1))], code="unnamed")
    found = [(use.charge, use.margins, use.priced) for use in uses_of(FIRST)]
    assert found == [(named, (Decimal(20),), 0), (every, (Decimal(30),), 1)]
    assert [use.charge.code for use in uses_of(ModelName("nobody", "x"))] == ["every"]


def test_published_versions_come_first_and_queries_do_not_grow() -> None:
    read(acme_1=price(input_mtok="1"))
    drafted = making.draft()
    by_cost(drafted, [({"model": "acme-1"}, plus("20"))])

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            uses_of(FIRST)
        return len(captured)

    queries()
    few = queries()
    published = making.draft()
    by_cost(published, [({"model": "acme-1"}, plus("10")), ({}, plus("15"))])
    publish(published)
    assert [use.charge.version for use in uses_of(FIRST)] == [published, drafted]
    assert queries() == few


def test_no_rows_are_read_and_old_versions_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one plan: a version nobody is on any more, one that somebody is on, the newest, and a draft."""
    read(acme_1=price(input_mtok="1"))
    first = making.draft()
    by_cost(first, [({"model": "acme-1"}, plus("1")), ({}, Decimal(1))])
    versions = [publish(first)]
    for _ in range(3):
        versions.append(publish(clone_version(versions[-1])))
    draft = clone_version(versions[-1])
    _, left, running, newest = versions
    for version, reference in ((left, "left"), (running, "running")):
        subscribed(version, reference)
    Subscription.objects.filter(version=left).update(due_at=None, due_from=None)
    retire(running)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a row was read")

    with monkeypatch.context() as patch:
        patch.setattr(Cell, "from_db", fail)
        uses = uses_of(FIRST)
    assert [use.charge.version for use in uses] == [newest, draft, running]
    assert {(use.margins, use.priced) for use in uses} == {((Decimal(1),), 1)}


def becomes_of(charge: Charge, code: str, cost: str | None, model: ModelName = FIRST, **more: Any) -> Any:
    """The least margins before and after, in whole percent; None: none of its rows' costs changes."""
    entry = Entry(*model, code, None if cost is None else Decimal(cost) / 1_000_000, **more)
    uses = [use for use in uses_of(model) if use.charge == charge]
    found = becomes(uses, model, entry)
    if charge.pk not in found:
        return "not comparable"
    both = found[charge.pk]
    return both and tuple(each and each.percent and round(each.percent) for each in (both.before, both.after))


def per_million(**rows: str) -> list[tuple[dict[str, str], Decimal]]:
    return [({"model": "acme-1", "token_type": code}, Decimal(price) / 1_000_000) for code, price in rows.items()]


def test_what_a_cost_makes_of_margins() -> None:
    read(acme_1=price(input_mtok="2", output_mtok="4"))
    charge = by_cost(making.draft(), per_million(input="3", output="5"))
    assert becomes_of(charge, "input", "2.5") == (50, 20)
    assert becomes_of(charge, "output", "10") == (25, -50)
    assert becomes_of(charge, "input", "0") == (50, None)
    assert becomes_of(charge, "input", "2") is None
    assert becomes_of(charge, "cache_read", "2.5") is None
    by_margin = by_cost(making.draft(), [({}, plus("5"))])
    assert becomes_of(by_margin, "input", "2.5") == "not comparable"


def cached() -> Meter:
    return define_meter(
        code="cached",
        name="Tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input_tokens"), ("cache_read", "cached_tokens")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
        bands=[("size", ["input_tokens"], ["200000"])],
    )


def test_a_token_type_with_a_cost_of_its_own_stays() -> None:
    """Input at 2 and cached input at 0.2 USD a million: dearer input leaves the price of cached input alone."""
    read(acme_1=price(input_mtok="2", cache_read_mtok="0.2"))
    rows = per_million(input="4", cache_read="0.3")
    charge = by_cost(making.draft(), rows, meter=cached())
    assert becomes_of(charge, "input", "3") == (100, 33)


def test_a_token_type_without_a_cost_of_its_own_follows() -> None:
    read(acme_1=price(input_mtok="2"))
    charge = by_cost(making.draft(), per_million(input="4", cache_read="3"), meter=cached())
    assert becomes_of(charge, "input", "3") == (50, 0)


def test_a_cost_of_long_contexts_is_judged_by_their_rows() -> None:
    read(acme_1=price(input_mtok="2"))
    rows = [
        ({"model": "acme-1", "token_type": "input", "size": band}, Decimal(each) / 1_000_000)
        for band, each in (("0-200000", "3"), ("200000+", "8"))
    ]
    charge = by_cost(making.draft(), rows, meter=cached(), cost_context="size")
    assert becomes_of(charge, "input", "5", above=200_000) == (300, 60)
    assert becomes_of(charge, "input", "5") == (50, -40)


def test_a_cost_of_some_hours_or_of_later_is_judged_when_it_begins() -> None:
    read(acme_1=price(input_mtok="2"))
    charge = by_cost(making.draft(), per_million(input="4"))
    later = clock.now() + timedelta(days=10)
    own("0.000001", effective_from=clock.now() + timedelta(days=5))
    assert becomes_of(charge, "input", "3", effective_from=later) == (300, 33)
    assert becomes_of(charge, "input", "3", hours=Hours(3, 4)) == (100, 33)
    assert becomes_of(charge, "input", None, effective_from=later) == (300, 100)  # back to the package's


def test_what_nobody_knew_the_cost_of() -> None:
    read(acme_1=price(input_mtok="2"))
    new = ModelName("mine", "new")
    meter = making.tokens("mine")
    charge = by_cost(making.draft(), [({}, Decimal(3) / 1_000_000)], meter=meter)
    for name in ("mine/new", "another", "acme/acme-1"):
        Series.objects.create(customer="c", meter=meter, dimensions={"model": name}, generation=1)
    assert becomes_of(charge, "input", "2", new) == (None, 50)
    own("0.000002", name="mine/new")
    assert becomes_of(charge, "input", None, new, effective_from=clock.now() + timedelta(days=1)) == (50, None)


def test_only_prices_in_the_currency_of_costs_are_compared() -> None:
    """A version in euros by its list in dollars; euros alone, and credits, are not compared, and said so."""
    read(acme_1=price(input_mtok="2"))
    charge = by_cost(making.draft(currency="EUR"), per_million(input="1"))
    [use] = uses_of(FIRST)
    assert (use.comparable, use.apart, use.priced) == (False, "EUR", 1)
    assert becomes_of(charge, "input", "3") == "not comparable"
    dollars = set_price_list(charge.version, "USD")
    rows = [*per_million(input="4"), ({"model": "acme-1"}, Decimal(1))]
    set_rows(charge, dollars, [DraftRow(match, per_unit(each)) for match, each in rows])
    [use] = uses_of(FIRST)
    assert (use.comparable, use.apart, use.priced) == (True, "EUR", 2)
    assert becomes_of(charge, "input", "3") == (100, 33)
    Plan.objects.filter(pk=charge.version.plan_id).update(consumption="credits")
    [use] = uses_of(FIRST)
    assert (use.comparable, use.apart, use.priced) == (False, "credits", 1)
    assert becomes_of(charge, "input", "3") == "not comparable"


def test_usage_is_asked_once_for_a_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    read(acme_1=price(input_mtok="2"))
    meter, version = making.tokens(), making.draft()
    for code in ("one", "two"):
        by_cost(version, [({}, Decimal(1))], code, meter=meter)
    uses, entry = uses_of(FIRST), Entry(*FIRST, "input", Decimal(1))
    with CaptureQueriesContext(connection) as captured:
        becomes(uses, FIRST, entry)
    assert sum("meters_series" in each["sql"] for each in captured) == 1
