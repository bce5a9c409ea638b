"""Whom a change of a model's cost touches: who is billed by a charge, and who negotiated prices of the model."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.costs.agreed import Agreed
from catalog.costs.users import uses_of
from catalog.models import Charge, PlanVersion, ProviderModel
from catalog.pricing.model_names import ModelName
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.charging import add_usage_charge
from catalog.versions.publishing import publish
from customers.models import Override, Subscription
from tests.catalog import making
from tests.catalog.costing import price, read
from tests.customers.dealing import override
from tests.invoicing.running import subscribed

pytestmark = pytest.mark.django_db

FIRST = ModelName("acme", "acme-1")
JANUARY = date(2024, 1, 1)


@pytest.fixture
def version() -> PlanVersion:
    """A plan that prices acme-2 by cost, and nothing else."""
    read(acme_1=price(input_mtok="1"), acme_2=price(input_mtok="1"))
    draft = making.draft()
    add_usage_charge(
        draft, code="tokens", name="Tokens", product=making.product(), meter=making.tokens("tokens"),
        cost_model="model", cost_token_type="token_type", rows=[({"model": "acme-2"}, plus("5"))],
    )  # fmt: skip
    return publish(draft)


def plus(percent: str) -> Price:
    return Price(Model.COST_PLUS, percent=Decimal(percent))


def negotiated(subscription: Subscription, priced: Price, starts_on: date = JANUARY, **match: str) -> Override:
    return override(subscription, "price", starts_on, charge="tokens", match=match, price=priced)


def told(model: ModelName = FIRST) -> list[Agreed]:
    return [use.agreed for use in uses_of(model)]


def test_running_subscriptions_and_their_customers_are_counted(version: PlanVersion) -> None:
    """Two of one customer, one of another, and one that was invoiced for good."""
    acme, _, beta, gone = [subscribed(version, name, named_events_only=True) for name in ("acme", "acme", "beta", "x")]
    Subscription.objects.filter(pk=gone.pk).update(due_at=None, due_from=None)
    assert told(ModelName("acme", "acme-2")) == [Agreed(3, 2)]
    assert told() == []
    negotiated(acme, plus("10"), model="acme-1")
    negotiated(beta, plus("12.5"), model="ACME/acme-1")
    negotiated(gone, plus("99"), model="acme-1")
    assert told() == [Agreed(3, 2, 2, (Decimal(10), Decimal("12.5")))]


def test_only_prices_of_the_model_that_hold_now_or_later_count(version: PlanVersion) -> None:
    acme = subscribed(version)
    negotiated(acme, plus("10"), model="acme-2")
    other = negotiated(acme, plus("10"), model="acme-1")
    assert told() == [Agreed(1, 1, 1, (Decimal(10),))]
    Override.objects.filter(pk=other.pk).update(ends_at=clock.now())
    assert told() == []
    later = clock.now().date() + timedelta(days=40)
    never = negotiated(acme, plus("11"), later, model="acme-1", token_type="output")
    negotiated(acme, per_unit(Decimal(1)), later, model="acme-1")
    assert told() == [Agreed(1, 1, 1, (Decimal(11),), 1)]
    Override.objects.filter(pk=never.pk).update(ends_at=never.starts_at)
    assert told() == [Agreed(1, 1, priced=1)]
    negotiated(acme, plus("3"))
    assert told() == [Agreed(1, 1, 1, (Decimal(3),), 1)]  # a row for any model


def test_as_many_queries_for_many(version: PlanVersion) -> None:
    def asked() -> int:
        uses_of(FIRST)
        with CaptureQueriesContext(connection) as captured:
            uses_of(FIRST)
        return len(captured)

    negotiated(subscribed(version, "first"), plus("1"), model="acme-1")
    few = asked()
    for number in range(8):
        negotiated(subscribed(version, f"c{number}"), plus(str(number)), model=f"{'acme/' * (number % 2)}acme-1")
    assert told() == [Agreed(9, 9, 9, tuple(Decimal(each) for each in range(8)))]
    assert asked() == few


def test_the_page_says_it(version: PlanVersion, operator: Client) -> None:
    for name, terms in (("a", plus("10")), ("b", plus("20")), ("c", per_unit(Decimal(1)))):
        negotiated(subscribed(version, name), terms, model="acme-1")
    model = ProviderModel.objects.get(name="acme/acme-1")
    shown = " ".join(operator.get(f"/admin/catalog/providermodel/{model.pk}/change/").content.decode().split())
    assert "published, 3 running subscriptions of 3 customers</span>:" in shown
    assert (
        "negotiated: by its cost + 10 %, + 20 % for 2 subscriptions, at prices of their own, whose margins are not"
        " shown, for 1 subscription." in shown
    )
    assert Charge.objects.count() == 1
