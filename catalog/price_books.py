"""Plan versions read as price books: the way from the tables to pricing."""

from collections.abc import Collection

from billing_site.foundation.periods import Interval
from catalog.models import Charge, PlanVersion
from catalog.priceable import priceable
from catalog.pricing.book import FlatCharge, PriceBook, Row, Timing, Unmatched, UsageCharge
from catalog.pricing.per_unit import PerUnit
from meters.metering import adds_up


def load(version_ids: Collection[int]) -> dict[int, PriceBook]:
    """The price books of these versions, drafts too, by version id; ids that do not exist are left out.

    Five queries, however many versions, charges and rows there are: versions, charges with their meters, the meters'
    dimensions and values, rows.
    """
    versions = PlanVersion.objects.filter(pk__in=version_ids).select_related("plan")
    charges = Charge.objects.select_related("meter").prefetch_related(
        "cells", "meter__dimensions", "meter__bands", "meter__values"
    )
    by_version: dict[int, list[Charge]] = {}
    for charge in charges.filter(version__in=version_ids).order_by("position", "id"):
        by_version.setdefault(charge.version_id, []).append(charge)
    return {version.pk: _book(version, by_version.get(version.pk, [])) for version in versions}


def _book(version: PlanVersion, charges: list[Charge]) -> PriceBook:
    return PriceBook(
        version=version.pk,
        label=str(version),
        currency=version.currency,
        interval=Interval(version.interval),
        charges=tuple(_usage(charge) if charge.kind == Charge.Kind.USAGE else _flat(charge) for charge in charges),
    )


def _flat(charge: Charge) -> FlatCharge:
    assert charge.amount is not None  # the database holds it: charge_fields_fit_kind
    return FlatCharge(
        id=charge.pk,
        position=charge.position,
        code=charge.code,
        name=charge.name,
        product=charge.product_id,
        timing=Timing(charge.timing),
        amount=charge.amount,
    )


def _usage(charge: Charge) -> UsageCharge:
    assert charge.meter is not None  # the database holds it: charge_fields_fit_kind
    return UsageCharge(
        id=charge.pk,
        position=charge.position,
        code=charge.code,
        name=charge.name,
        product=charge.product_id,
        meter=charge.meter.pk,
        unit=charge.meter.unit,
        dimensions=priceable(charge.meter).dimensions,
        rows=tuple(Row(cell.pk, cell.position, cell.match, PerUnit(cell.unit_price)) for cell in charge.cells.all()),
        unmatched=Unmatched(charge.unmatched),
        adds_up=adds_up(charge.meter),
    )
