"""Plan versions read as price books: the way from the tables to pricing."""

from collections.abc import Collection, Mapping

from django.db.models import QuerySet

from billing_site.foundation.periods import Interval
from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import priceable
from catalog.models import Charge, ChargeAmount, Plan, PlanVersion, PriceList
from catalog.pricing.book import CostDimensions, FlatCharge, PriceBook, Row, Timing, Unmatched, UsageCharge
from catalog.pricing.models import computing
from meters.definitions.metering import adds_up
from meters.measuring.bands import band_names
from meters.models import Meter, Rounding

Key = tuple[int, str]
"""A version's id, and the currency in which it is asked for."""


class NotPriced(Exception):
    """A draft has no amount yet in one of its currencies; a published version always has."""


def load(keys: Collection[Key]) -> dict[Key, PriceBook]:
    """The price books of these versions in these currencies, drafts too; what does not exist is left out.

    Seven queries, however many versions, charges and rows there are: versions, their price lists, charges with their
    meters, amounts by list, the meters' dimensions, bands and values, rows.
    """
    ids = {version for version, _ in keys}
    versions = PlanVersion.objects.filter(pk__in=ids).select_related("plan").prefetch_related("price_lists").in_bulk()
    by_version: dict[int, list[Charge]] = {}
    for charge in _charges().filter(version__in=ids).order_by("position", "id"):
        by_version.setdefault(charge.version_id, []).append(charge)
    books = {}
    for key in set(keys):
        version = versions.get(key[0])
        price_list = None if version is None else _list_of(version, key[1])
        if version is not None and (price_list is not None or version.currency == key[1]):
            books[key] = _book(version, price_list, by_version.get(version.pk, []))
    return books


def own(versions: Collection[PlanVersion]) -> dict[int, PriceBook]:
    """The price books of versions in their own currencies, by version id."""
    return {version: book for (version, _), book in load([(each.pk, each.currency) for each in versions]).items()}


def _charges() -> "QuerySet[Charge]":
    return Charge.objects.select_related("meter").prefetch_related(
        "cells", "amounts", "meter__dimensions", "meter__bands", "meter__values"
    )


def _list_of(version: PlanVersion, currency: str) -> PriceList | None:
    return next((each for each in version.price_lists.all() if each.currency == currency), None)


def _book(version: PlanVersion, price_list: PriceList | None, charges: list[Charge]) -> PriceBook:
    terms = version if price_list is None else price_list
    in_credits = version.plan.consumption == Plan.Consumption.CREDITS
    return PriceBook(
        version=version.pk,
        label=str(version),
        currency=terms.currency,
        interval=Interval(version.interval),
        charges=tuple(
            _usage(charge, price_list, in_credits=in_credits)
            if charge.kind == Charge.Kind.USAGE
            else _flat(charge, price_list)
            for charge in charges
        ),
        minimum=terms.minimum,
        cap=terms.cap,
        commitment_product=version.commitment_product_id,
    )


def _flat(charge: Charge, price_list: PriceList | None) -> FlatCharge:
    amount = _amounts(charge, price_list).amount
    if amount is None:
        raise NotPriced(f"The charge “{charge.name}” has no fee in {price_list}.")
    return FlatCharge(
        id=charge.pk,
        position=charge.position,
        code=charge.code,
        name=charge.name,
        product=charge.product_id,
        timing=Timing(charge.timing),
        amount=amount,
    )


def _usage(charge: Charge, price_list: PriceList | None, *, in_credits: bool) -> UsageCharge:
    """Usage that is priced in credits costs the same of them in every currency."""
    assert charge.meter is not None  # the database holds it: charge_fields_fit_kind
    amounts = _amounts(charge, price_list)
    wanted = None if price_list is None or in_credits else price_list.pk
    dimensions = priceable(charge.meter).dimensions
    return UsageCharge(
        id=charge.pk,
        position=charge.position,
        code=charge.code,
        name=charge.name,
        product=charge.product_id,
        meter=charge.meter.pk,
        unit=charge.meter.unit,
        dimensions=dimensions,
        rows=tuple(
            Row(cell.pk, cell.position, cell.match, computing(price_of(cell), dimensions=bool(dimensions)))
            for cell in charge.cells.all()
            if cell.price_list_id == wanted
        ),
        unmatched=Unmatched(charge.unmatched),
        adds_up=adds_up(charge.meter),
        included=charge.included,
        minimum=amounts.minimum,
        cap=amounts.cap,
        places=_places(charge.meter),
        cost=cost_dimensions(charge),
    )


def cost_dimensions(charge: Charge) -> CostDimensions | None:
    """What tells the cost of a unit of the charge's usage. No query when its meter's bands are prefetched."""
    if not charge.cost_model or charge.meter is None:
        return None
    band = next((each for each in charge.meter.bands.all() if each.name == charge.cost_context), None)
    lower = [] if band is None else [0, *(int(each) for each in band.thresholds)]
    above = {} if band is None else dict(zip(band_names(band.thresholds), lower, strict=True))
    return CostDimensions(charge.cost_model, charge.cost_token_type, charge.cost_context, above)


def _amounts(charge: Charge, price_list: PriceList | None) -> Charge | ChargeAmount:
    if price_list is None:
        return charge
    listed: Mapping[int, ChargeAmount] = {each.price_list_id: each for each in charge.amounts.all()}
    return listed.get(price_list.pk) or ChargeAmount(charge=charge, price_list=price_list)


def _places(meter: Meter) -> int | None:
    """The places to which the meter rounds its quantities, if it does."""
    return None if meter.rounding == Rounding.NONE else meter.rounding_places
