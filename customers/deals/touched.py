"""Whom a change of a model's cost touches beside the rows of plans: running subscriptions, and their own prices."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Func, OuterRef, Q, Subquery, TextField

from billing_site.foundation import clock
from catalog.costs.agreed import Agreed, Means
from catalog.models import Charge
from catalog.pricing.price import Model
from customers.models import Override, Subscription
from customers.rating.negotiated import What

Place = tuple[int, str]
"""A version's id and the code of a charge: by which a negotiated price is known."""


def agreed(charges: Collection[Charge], means: Means) -> Mapping[int, Agreed]:
    """By a charge's id. Three queries, however many charges, subscriptions and terms there are."""
    versions = {charge.version_id for charge in charges}
    running = Subscription.objects.filter(version__in=versions, due_at__isnull=False).order_by().values("version")
    counted = {
        version: (subscriptions, customers)
        for version, subscriptions, customers in running.annotate(
            subscriptions=Count("pk"), customers=Count("customer", distinct=True)
        ).values_list("version", "subscriptions", "customers")
    }
    terms = _terms(_prices(versions), means)
    return {
        charge.pk: Agreed(*counted.get(charge.version_id, (0, 0)), *terms.get((charge.version_id, charge.code), ()))
        for charge in charges
    }


def _prices(versions: Collection[int]) -> Any:
    """Negotiated prices of running subscriptions that hold now or later, with the model that each names (None: any)."""
    charge = Charge.objects.filter(version=OuterRef("subscription__version"), code=OuterRef("charge"))
    named = Func("match", "dimension", function="jsonb_extract_path_text", output_field=TextField())
    rows = Override.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=clock.now()) & Q(ends_at__gt=F("starts_at")),
        what=What.PRICE,
        subscription__version__in=versions,
        subscription__due_at__isnull=False,
    )
    known = rows.order_by().annotate(dimension=Subquery(charge.values("cost_model"))).filter(dimension__gt="")
    return known.annotate(named=named)


def _terms(rows: Any, means: Means) -> dict[Place, tuple[int, tuple[Decimal, ...], int]]:
    """How many subscriptions have prices by cost, with which margins, and how many have others."""
    names = rows.values_list("named", flat=True).distinct()
    wanted = [name for name in names if name and means(name)]
    by_cost = Q(model=Model.COST_PLUS)
    found = (
        rows.filter(Q(named=None) | Q(named__in=wanted))
        .values("subscription__version", "charge")
        .annotate(
            by_cost=Count("subscription", distinct=True, filter=by_cost),
            margins=ArrayAgg("percent", distinct=True, filter=by_cost, default=[]),
            priced=Count("subscription", distinct=True, filter=~by_cost),
        )
    )
    return {
        (each["subscription__version"], each["charge"]): (each["by_cost"], tuple(each["margins"]), each["priced"])
        for each in found
    }
