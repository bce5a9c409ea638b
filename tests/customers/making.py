"""Plans, meters and usage as these tests need them, written straight to the tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count

from billing_site.foundation import clock
from catalog.models import Cell, Charge, Plan, PlanVersion, Product
from meters.models import Bucket, Dimension, Event, Meter, Series

_numbers = count(1)


def meter(
    code: str | None = None, dimensions: Sequence[str] = (), label_dimension: str = "", unit: str = "unit"
) -> Meter:
    code = code or f"meter-{next(_numbers)}"
    made = Meter.objects.create(
        code=code,
        name=code.title(),
        event_type=f"{code}.used",
        aggregation="sum",
        unit=unit,
        label_dimension=label_dimension,
    )
    for position, name in enumerate(dimensions):
        Dimension.objects.create(meter=made, name=name, property=name, position=position)
    return made


def version(currency: str = "USD", interval: str = "month", name: str | None = None) -> PlanVersion:
    """A draft without charges."""
    number = next(_numbers)
    plan = Plan.objects.create(code=f"plan-{number}", name=name or f"Plan {number}")
    return PlanVersion.objects.create(plan=plan, number=1, currency=currency, interval=interval)


def _charge(of: PlanVersion, name: str, **fields: object) -> Charge:
    product, _ = Product.objects.get_or_create(code="product", defaults={"name": "Product"})
    position = of.charges.count()
    return Charge.objects.create(
        version=of, code=f"charge-{position}", name=name, product=product, position=position, **fields
    )


def fee(of: PlanVersion, amount: str, timing: str = "advance", name: str = "Base fee") -> Charge:
    return _charge(of, name, kind="flat", timing=timing, amount=Decimal(amount))


def usage_charge(
    of: PlanVersion,
    priced: Meter,
    rows: Sequence[tuple[Mapping[str, str], str]] = (({}, "1"),),
    unmatched: str = "hold",
    name: str = "Usage",
) -> Charge:
    made = _charge(of, name, kind="usage", timing="arrears", meter=priced, unmatched=unmatched)
    for position, (match, price) in enumerate(rows):
        Cell.objects.create(charge=made, position=position, match=dict(match), unit_price=Decimal(price))
    return made


def publish(draft: PlanVersion) -> PlanVersion:
    PlanVersion.objects.filter(pk=draft.pk).update(status="published", published_at=clock.now())
    draft.refresh_from_db()
    return draft


def published(priced: Meter | None = None, advance: str | None = None, **fields: str) -> PlanVersion:
    """A published version that charges a meter at 1 per unit, and a fee in advance when one is given."""
    draft = version(**fields)
    usage_charge(draft, priced or meter())
    if advance is not None:
        fee(draft, advance)
    return publish(draft)


def use(
    customer: str,
    of: Meter,
    at: datetime,
    quantity: str | int,
    dimensions: Mapping[str, str] | None = None,
    subscription: str = "",
) -> None:
    """One event, counted into its bucket as ingestion does."""
    Event.objects.create(
        customer=customer,
        reference=f"event-{next(_numbers)}",
        type=of.event_type,
        timestamp=at,
        value=Decimal(quantity),
        status="succeeded",
        subscription=subscription,
        properties=dict(dimensions or {}),
    )
    series, _ = Series.objects.get_or_create(
        customer=customer, meter=of, subscription=subscription, dimensions=dict(dimensions or {})
    )
    hour = at.replace(minute=0, second=0, microsecond=0)
    bucket, created = Bucket.objects.get_or_create(
        series=series, hour=hour, slot=0, defaults={"quantity": Decimal(quantity), "events": 1}
    )
    if not created:
        bucket.quantity += Decimal(quantity)
        bucket.events += 1
        bucket.save()
