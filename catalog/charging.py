"""What a draft version charges. Each verb raises Refused, and then nothing was changed."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from django.db import transaction
from django.db.models import Max

from catalog import checks
from catalog.models import Cell, Charge, PlanVersion, Product
from catalog.priceable import priceable
from catalog.row_checks import DraftRow, row_faults
from catalog.writing import locked_draft, refuse, save
from meters.models import Meter
from meters.values import as_text

ANY = "*"
DraftRows = Iterable[tuple[Mapping[str, object], Decimal]]


def add_flat_charge(
    version: PlanVersion,
    *,
    code: str,
    name: str,
    product: Product,
    amount: Decimal,
    timing: str = Charge.Timing.ADVANCE,
) -> Charge:
    """A fee of `amount`, in the version's currency, for each full period."""
    refuse(checks.fee_faults(amount, version.currency))
    charge = Charge(code=code, name=name, product=product, kind=Charge.Kind.FLAT, timing=timing, amount=amount)
    with transaction.atomic():
        return _added(charge, version)


def add_usage_charge(
    version: PlanVersion,
    *,
    code: str,
    name: str,
    product: Product,
    meter: Meter,
    rows: DraftRows = (),
    unmatched: str = Charge.Unmatched.HOLD,
) -> Charge:
    """The usage of `meter`, priced by `rows`: ({dimension: value}, unit price), of equals the first one first.

    A dimension that a row leaves out, or gives as `*`, may be anything. Values are compared as text: 1 is “1”, True is
    “true”. A draft may wait for its rows; publishing it does not.
    """
    drafts = _drafts(rows)
    refuse(row_faults(priceable(meter), drafts))
    charge = Charge(code=code, name=name, product=product, kind=Charge.Kind.USAGE, meter=meter, unmatched=unmatched)
    with transaction.atomic():
        _added(charge, version)
        _write_rows(charge, drafts)
    return charge


def change_charge(
    charge: Charge,
    *,
    code: str | None = None,
    name: str | None = None,
    product: Product | None = None,
    position: int | None = None,
    amount: Decimal | None = None,
    timing: str | None = None,
    unmatched: str | None = None,
    rows: DraftRows | None = None,
) -> Charge:
    """Change what is given and leave the rest; `rows` replace all rows. Its kind, meter and version stay."""
    given = {
        "code": code,
        "name": name,
        "product": product,
        "position": position,
        "amount": amount,
        "timing": timing,
        "unmatched": unmatched,
    }
    drafts = None if rows is None else _drafts(rows)
    with transaction.atomic():
        version = locked_draft(charge.version_id)
        changed = Charge.objects.select_related("meter").get(pk=charge.pk)
        for field, value in given.items():
            if value is not None:
                setattr(changed, field, value)
        if changed.amount is not None:
            refuse(checks.fee_faults(changed.amount, version.currency))
        save(changed)
        if drafts is not None and changed.meter is not None:
            refuse(row_faults(priceable(changed.meter), drafts))
            _write_rows(changed, drafts)
    return changed


def remove_charge(charge: Charge) -> None:
    """Charge for this no more in the draft."""
    with transaction.atomic():
        locked_draft(charge.version_id)
        charge.delete()


def _added(charge: Charge, version: PlanVersion) -> Charge:
    """The charge, saved after those that the draft has."""
    charge.version = locked_draft(version.pk)
    highest: int | None = charge.version.charges.aggregate(highest=Max("position"))["highest"]
    charge.position = 0 if highest is None else highest + 1
    return save(charge)


def _drafts(rows: DraftRows) -> list[DraftRow]:
    return [DraftRow(_as_match(match), unit_price) for match, unit_price in rows]


def _as_match(match: Mapping[str, object]) -> dict[str, str]:
    """Exact values alone, as the text that usage is compared by."""
    texts = {name: as_text(value) for name, value in match.items()}
    return {name: text for name, text in texts.items() if text is not None and text != ANY}


def _write_rows(charge: Charge, drafts: list[DraftRow]) -> None:
    """Make these the charge's rows. A row that keeps its values keeps its place in the history."""
    before = {_key(cell.match): cell for cell in charge.cells.all()}
    kept = [before.get(_key(row.match), Cell(charge=charge, match=row.match)) for row in drafts]
    for position, (cell, row) in enumerate(zip(kept, drafts, strict=True)):
        cell.position, cell.unit_price = position, row.unit_price
    charge.cells.exclude(pk__in=[cell.pk for cell in kept if cell.pk]).delete()
    Cell.objects.bulk_update([cell for cell in kept if cell.pk], ["position", "unit_price"])
    Cell.objects.bulk_create([cell for cell in kept if not cell.pk])


def _key(match: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(match.items()))
