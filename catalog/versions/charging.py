"""What a draft version charges. Each verb raises Refused, and then nothing was changed."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Max

from billing_site.foundation.errors import Fault
from catalog.charges.priceable import priceable
from catalog.charges.row_checks import DraftRow, row_faults
from catalog.checks import versions as checks
from catalog.models import Charge, ChargeAmount, PlanVersion, PriceList, Product
from catalog.pricing.price import Price, per_unit
from catalog.versions import rows
from catalog.writing import all_faults, locked_draft, refuse, store
from meters.events.values import as_text
from meters.models import Meter

ANY = "*"
DraftRows = Iterable[tuple[Mapping[str, object], Decimal | Price]]


class Terms(TypedDict, total=False):
    """What a charge can be given beside its rows. Sums are in the version's currency, of a full period."""

    code: str
    name: str
    product: Product
    position: int
    amount: Decimal
    timing: str
    unmatched: str
    included: Decimal | None
    minimum: Decimal | None
    cap: Decimal | None
    cost_model: str
    cost_token_type: str
    cost_context: str


def add_flat_charge(
    version: PlanVersion,
    *,
    code: str,
    name: str,
    product: Product,
    amount: Decimal,
    timing: str = Charge.Timing.ADVANCE,
    position: int | None = None,
) -> Charge:
    """A fee of `amount`, in the version's currency: for each full period, or once when a subscription begins."""
    charge = Charge(code=code, name=name, product=product, kind=Charge.Kind.FLAT, timing=timing, amount=amount)
    with transaction.atomic():
        return _added(charge, version, position)


def add_usage_charge(version: PlanVersion, *, meter: Meter, rows: DraftRows = (), **terms: Unpack[Terms]) -> Charge:
    """The usage of `meter`, priced by `rows`: ({dimension: value}, price or unit price), of equals the first one first.

    A dimension that a row leaves out, or gives as `*`, may be anything. Values are compared as text: 1 is “1”, True is
    “true”. A draft may wait for its rows; publishing it does not.
    """
    drafts = drafted(rows)
    charge = Charge(kind=Charge.Kind.USAGE, meter=meter, **terms)
    with transaction.atomic():
        _added(charge, version, terms.get("position"), row_faults(priceable(meter), drafts))
        _write(charge, None, drafts)
    return charge


def change_charge(charge: Charge, *, rows: DraftRows | None = None, **terms: Unpack[Terms]) -> Charge:
    """Change what is given and leave the rest; `rows` replace all rows of the version's own currency.

    Its kind, meter and version stay.
    """
    drafts = None if rows is None else drafted(rows)
    with transaction.atomic():
        version = locked_draft(charge.version_id)
        changed = Charge.objects.select_related("meter").get(pk=charge.pk)
        for field, value in terms.items():
            setattr(changed, field, value)
        wrong = () if drafts is None or changed.meter is None else row_faults(priceable(changed.meter), drafts)
        refuse([*wrong, *_faults(changed, version)])
        store(changed)
        if drafts is not None and changed.meter is not None:
            _write(changed, None, drafts)
    return changed


def set_rows(charge: Charge, price_list: PriceList | None, drafts: list[DraftRow]) -> None:
    """Make these the charge's rows in one price list; None: in the version's own currency."""
    with transaction.atomic():
        locked_draft(charge.version_id)
        held = Charge.objects.select_related("meter").get(pk=charge.pk)
        assert held.meter is not None
        refuse(row_faults(priceable(held.meter), drafts))
        _write(held, price_list, drafts)


def set_amounts(charge: Charge, price_list: PriceList, **amounts: Decimal | None) -> ChargeAmount:
    """What the charge's fee, minimum and cap are in a further currency: `amount`, `minimum`, `cap`."""
    with transaction.atomic():
        locked_draft(charge.version_id)
        listed = ChargeAmount.objects.filter(charge=charge, price_list=price_list).first()
        listed = listed or ChargeAmount(charge=charge, price_list=price_list)
        for name, amount in amounts.items():
            setattr(listed, name, amount)
        given = {name: amount for name, amount in amounts.items() if amount is not None}
        faults = [each for name in given for each in checks.fee_faults(given[name], price_list.currency, name)]
        refuse(all_faults(faults, listed))
        return store(listed)


def remove_charge(charge: Charge) -> None:
    """Charge for this no more in the draft."""
    with transaction.atomic():
        locked_draft(charge.version_id)
        charge.delete()


def drafted(given: DraftRows) -> list[DraftRow]:
    """Rows as they are checked and written."""
    return [
        DraftRow(as_match(match), per_unit(price) if isinstance(price, Decimal) else price) for match, price in given
    ]


def as_match(match: Mapping[str, Any]) -> dict[str, str]:
    """Exact values alone, as the text that usage is compared by."""
    texts = {name: as_text(value) for name, value in match.items()}
    return {name: text for name, text in texts.items() if text is not None and text != ANY}


def _added(charge: Charge, version: PlanVersion, position: int | None, further: Iterable[Fault] = ()) -> Charge:
    """The charge, saved at its position, or else after those that the draft has. `further`: what is wrong already."""
    charge.version = locked_draft(version.pk)
    if position is None:
        highest: int | None = charge.version.charges.aggregate(highest=Max("position"))["highest"]
        position = 0 if highest is None else highest + 1
    charge.position = position
    refuse([*further, *_faults(charge, charge.version)])
    return store(charge)


def _faults(charge: Charge, version: PlanVersion) -> list[Fault]:
    """All that is wrong with a charge but for its rows; each field is told of once."""
    taken = list(checks.charge_code_faults(version, charge.code, but=charge.pk))
    found = all_faults([*checks.term_faults(charge, version.currency), *taken], charge)
    return [fault for fault in found if not taken or fault.code != "unique_together"]


def _write(charge: Charge, price_list: PriceList | None, drafts: list[DraftRow]) -> None:
    rows.replace(charge.pk, None if price_list is None else price_list.pk, drafts)
    if hasattr(charge, "_prefetched_objects_cache"):
        charge._prefetched_objects_cache.clear()  # noqa: SLF001
