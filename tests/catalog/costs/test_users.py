"""Whom a change of a model's cost touches."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.costs.users import Becomes, margin_becomes, uses_of
from catalog.models import Charge, PlanVersion
from catalog.pricing.model_names import ModelName
from catalog.pricing.price import Model, Price
from catalog.versions.charging import add_usage_charge
from catalog.versions.publishing import publish
from tests.catalog import making
from tests.catalog.costing import price, read

pytestmark = pytest.mark.django_db

FIRST = ModelName("acme", "acme-1")


def by_cost(version: PlanVersion, rows: object, code: str = "tokens", **terms: str) -> Charge:
    named = {"cost_model": "model", "cost_token_type": "token_type", **terms}
    meter = making.tokens(f"meter-{version.pk}-{code}")
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


def test_what_a_cost_makes_of_margins() -> None:
    read(acme_1=price(input_mtok="2", output_mtok="4"))
    rows = [
        ({"model": "acme-1", "token_type": "input"}, Decimal("0.000003")),
        ({"model": "acme-1", "token_type": "output"}, Decimal("0.000005")),
    ]
    charge = by_cost(making.draft(), rows)
    dearer = Decimal("0.0000025")
    assert margin_becomes(charge, FIRST, "input", dearer) == Becomes(Decimal(50), Decimal(20))
    assert margin_becomes(charge, FIRST, "output", Decimal("0.00001")) == Becomes(Decimal(25), Decimal(-50))
    assert margin_becomes(charge, FIRST, "input", Decimal(0)) == Becomes(Decimal(50), None)
    assert margin_becomes(charge, FIRST, "cache_read", dearer) is None
    assert margin_becomes(by_cost(making.draft(), [({}, plus("5"))]), FIRST, "input", dearer) is None
