"""What changed from one plan version to another, in plain words: one sentence for each change."""

from collections.abc import Iterator

from billing_site.foundation.money import grouped, show
from catalog.models import Cell, Charge, PlanVersion
from catalog.row_checks import words

TIMING: dict[str, str] = {Charge.Timing.ADVANCE: "in advance", Charge.Timing.ARREARS: "in arrears"}


def diff(old: PlanVersion, new: PlanVersion) -> list[str]:
    """Sentences in the order of the new version's charges; none when both charge the same."""
    return [*_terms(old, new), *_charges(old, new)]


def _terms(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    if old.currency != new.currency:
        yield f"The currency changes from {old.currency} to {new.currency}."
    if old.interval != new.interval:
        yield f"It is billed every {new.interval} instead of every {old.interval}."
    if old.grace != new.grace:
        yield f"The grace before an invoice is finalized changes from {old.grace} to {new.grace} hours."


def _charges(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    before = {charge.code: charge for charge in _read(old)}
    after = {charge.code: charge for charge in _read(new)}
    for code, charge in after.items():
        if code in before:
            yield from _charge(before[code], charge)
        else:
            yield f"New charge “{charge.name}”: {_summary(charge)}."
    for code, charge in before.items():
        if code not in after:
            yield f"The charge “{charge.name}” is gone ({_summary(charge)})."
    kept = [code for code in before if code in after]
    if kept != [code for code in after if code in before]:
        yield "The charges stand in another order: " + ", ".join(f"“{after[code].name}”" for code in after) + "."


def _charge(old: Charge, new: Charge) -> Iterator[str]:
    about = f"“{new.name}”"
    if old.name != new.name:
        yield f"The charge “{old.name}” is now called {about}."
    if old.product_id != new.product_id:
        yield f"{about}: its product changes from {old.product} to {new.product}."
    if (old.kind, old.meter_id) != (new.kind, new.meter_id):
        yield f"{about}: {_summary(old)} becomes {_summary(new)}."
        return
    if old.timing != new.timing:
        yield f"{about}: it is billed {TIMING[new.timing]} instead of {TIMING[old.timing]}."
    if old.amount is not None and new.amount is not None and old.amount != new.amount:
        yield f"{about}: the fee changes from {_fee(old)} to {_fee(new)}."
    if old.unmatched != new.unmatched:
        yield f"{about}: usage that no row matches: “{new.get_unmatched_display()}”."
    yield from _rows(about, old, new)


def _rows(about: str, old: Charge, new: Charge) -> Iterator[str]:
    before, after = _by_key(old), _by_key(new)
    for key, cell in after.items():
        if key not in before:
            yield f"{about}: new row {words(cell.match)} at {_price(new, cell)}."
        elif before[key].unit_price != cell.unit_price:
            yield f"{about}: {words(cell.match)} changes from {_price(old, before[key])} to {_price(new, cell)}."
    for key, cell in before.items():
        if key not in after:
            yield f"{about}: the row {words(cell.match)} at {_price(old, cell)} is gone."
    kept = [key for key in before if key in after]
    if kept != [key for key in after if key in before]:
        yield f"{about}: the rows stand in another order, which decides between rows that are equally exact."


def _by_key(charge: Charge) -> dict[tuple[tuple[str, str], ...], Cell]:
    return {tuple(sorted(cell.match.items())): cell for cell in charge.cells.all()}


def _summary(charge: Charge) -> str:
    if charge.kind == Charge.Kind.FLAT:
        return f"a flat fee of {_fee(charge)} {TIMING[charge.timing]}"
    cells = list(charge.cells.all())
    prices = f"{_price(charge, cells[0])} for {words(cells[0].match)}" if len(cells) == 1 else f"{len(cells)} rows"
    assert charge.meter is not None
    return f"the usage of {charge.meter.name} ({charge.meter.code}), {prices}"


def _fee(charge: Charge) -> str:
    assert charge.amount is not None
    return show(charge.amount, charge.version.currency)


def _price(charge: Charge, cell: Cell) -> str:
    """A unit price is never rounded, whatever the currency's minor unit."""
    unit = charge.meter.unit if charge.meter else "unit"
    return f"{grouped(cell.unit_price)} {charge.version.currency} per {unit}"


def _read(version: PlanVersion) -> list[Charge]:
    return list(version.charges.select_related("version", "product", "meter").prefetch_related("cells"))
