"""What changed from one plan version to another, in plain words: one sentence for each change."""

from collections.abc import Iterator
from decimal import Decimal

from billing_site.foundation.money import grouped, show
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import words
from catalog.features import differences as feature_differences
from catalog.models import Cell, Charge, PlanVersion, PriceList
from catalog.pricing.words import in_words

TIMING: dict[str, str] = {
    Charge.Timing.ADVANCE: "in advance",
    Charge.Timing.ARREARS: "in arrears",
    Charge.Timing.ONCE: "once",
}
_SUMS = {"minimum": "minimum", "cap": "cap"}
_TERMS = {"included_credits": "credits that each period grants", "credit_price": "price of a credit beyond them"}
_COSTS = {
    "cost_model": "dimension with the model, for its cost,",
    "cost_token_type": "dimension with the token type, for its cost,",
    "cost_context": "band of the request's size, for its cost,",
}


def diff(old: PlanVersion, new: PlanVersion) -> list[str]:
    """Sentences in the order of the new version's charges, then those of features; none when both are the same."""
    old, new = _with_lists(old), _with_lists(new)
    return [
        *_terms(old, new),
        *_lists(old, new),
        *_charges(old, new),
        *feature_differences.differences(old, new),
    ]


def _terms(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    if old.currency != new.currency:
        yield f"The currency changes from {old.currency} to {new.currency}."
    if old.interval != new.interval:
        yield f"It is billed every {new.interval} instead of every {old.interval}."
    if old.grace != new.grace:
        yield f"The grace before an invoice is finalized changes from {old.grace} to {new.grace} hours."
    for name, what in _SUMS.items():
        yield from _changed(
            f"The {what} of all usage",
            _sum(getattr(old, name), old.currency),
            _sum(getattr(new, name), new.currency),
        )
    if old.commitment_product_id != new.commitment_product_id:
        yield f"The minimum's line is of the product {new.commitment_product} instead of {old.commitment_product}."
    if old.when_empty != new.when_empty:
        before, after = old.get_when_empty_display() or "nothing", new.get_when_empty_display() or "nothing"
        yield f"When the wallet is empty: “{after}” instead of “{before}”."
    for name, what in _TERMS.items():
        yield from _changed(f"The {what}", _number(getattr(old, name)), _number(getattr(new, name)))


def _lists(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    """Currencies that come and go, and the sums over all usage in those that stay; rows are told with their charge."""
    before = {each.currency: each for each in old.price_lists.all()}
    after = {each.currency: each for each in new.price_lists.all()}
    for currency in sorted(after.keys() - before.keys()):
        yield f"It is offered in {currency}, too."
    for currency in sorted(before.keys() - after.keys()):
        yield f"It is no longer offered in {currency}."
    for currency in sorted(before.keys() & after.keys()):
        for name, what in {**_SUMS, "credit_price": "price of a credit"}.items():
            sums = (_number(getattr(each[currency], name)) for each in (before, after))
            yield from _changed(f"The {what} of all usage in {currency}", *sums)


def _changed(what: str, before: str, after: str) -> Iterator[str]:
    if before != after:
        yield f"{what} changes from {before} to {after}."


def _sum(amount: Decimal | None, currency: str) -> str:
    return "nothing" if amount is None else show(amount, currency)


def _number(number: Decimal | None) -> str:
    return "nothing" if number is None else grouped(number)


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
    yield from _charge_terms(about, old, new)
    yield from _rows(about, old, new, None, None)
    yield from _in_lists(about, old, new)


def _charge_terms(about: str, old: Charge, new: Charge) -> Iterator[str]:
    if old.timing != new.timing:
        yield f"{about}: it is billed {TIMING[new.timing]} instead of {TIMING[old.timing]}."
    if old.amount is not None and new.amount is not None and old.amount != new.amount:
        yield f"{about}: the fee changes from {_fee(old)} to {_fee(new)}."
    if old.unmatched != new.unmatched:
        yield f"{about}: usage that no row matches: “{new.get_unmatched_display()}”."
    yield from _changed(f"{about}: the included quantity", _number(old.included), _number(new.included))
    for name, what in _SUMS.items():
        sums = _sum(getattr(old, name), old.version.currency), _sum(getattr(new, name), new.version.currency)
        yield from _changed(f"{about}: the {what}", *sums)
    for name, what in _COSTS.items():
        yield from _changed(f"{about}: the {what}", getattr(old, name) or "none", getattr(new, name) or "none")


def _in_lists(about: str, old: Charge, new: Charge) -> Iterator[str]:
    """What changes in the currencies that both versions have beside their own."""
    before = {each.currency: each for each in old.version.price_lists.all()}
    for listed in new.version.price_lists.all():
        if listed.currency in before:
            yield from _amounts(about, old, new, before[listed.currency], listed)
            yield from _rows(f"{about} in {listed.currency}", old, new, before[listed.currency], listed)


def _amounts(about: str, old: Charge, new: Charge, before: PriceList, after: PriceList) -> Iterator[str]:
    for name, what in {"amount": "fee", **_SUMS}.items():
        sums = (
            next((getattr(each, name) for each in charge.amounts.all() if each.price_list_id == price_list.pk), None)
            for charge, price_list in ((old, before), (new, after))
        )
        yield from _changed(f"{about} in {after.currency}: the {what}", *map(_number, sums))


def _rows(
    about: str, old: Charge, new: Charge, old_list: PriceList | None, new_list: PriceList | None
) -> Iterator[str]:
    before, after = _by_key(old, old_list), _by_key(new, new_list)
    for key, cell in after.items():
        if key not in before:
            yield f"{about}: new row {words(cell.match)} at {_price(new, cell, new_list)}."
        elif price_of(before[key]) != price_of(cell):
            was, now = _price(old, before[key], old_list), _price(new, cell, new_list)
            yield f"{about}: {words(cell.match)} changes from {was} to {now}."
    for key, cell in before.items():
        if key not in after:
            yield f"{about}: the row {words(cell.match)} at {_price(old, cell, old_list)} is gone."
    kept = [key for key in before if key in after]
    if kept != [key for key in after if key in before]:
        yield f"{about}: the rows stand in another order, which decides between rows that are equally exact."


def _by_key(charge: Charge, price_list: PriceList | None) -> dict[tuple[tuple[str, str], ...], Cell]:
    wanted = None if price_list is None else price_list.pk
    cells = (cell for cell in charge.cells.all() if cell.price_list_id == wanted)
    return {tuple(sorted(cell.match.items())): cell for cell in cells}


def _summary(charge: Charge) -> str:
    if charge.kind == Charge.Kind.FLAT:
        return f"a flat fee of {_fee(charge)} {TIMING[charge.timing]}"
    cells = [cell for cell in charge.cells.all() if cell.price_list_id is None]
    prices = (
        f"{_price(charge, cells[0], None)} for {words(cells[0].match)}" if len(cells) == 1 else f"{len(cells)} rows"
    )
    assert charge.meter is not None
    return f"the usage of {charge.meter.name} ({charge.meter.code}), {prices}"


def _fee(charge: Charge) -> str:
    assert charge.amount is not None
    return show(charge.amount, charge.version.currency)


def _price(charge: Charge, cell: Cell, price_list: PriceList | None) -> str:
    """A price is never rounded, whatever the currency's minor unit."""
    currency = charge.version.currency if price_list is None else price_list.currency
    return in_words(price_of(cell), currency, charge.meter.unit if charge.meter else "unit")


def _with_lists(version: PlanVersion) -> PlanVersion:
    """As it stands in the database now."""
    rows = PlanVersion.objects.select_related("plan", "commitment_product").prefetch_related("price_lists")
    return rows.get(pk=version.pk)


def _read(version: PlanVersion) -> list[Charge]:
    rows = version.charges.select_related("product", "meter").prefetch_related("cells", "amounts")
    charges = list(rows)
    for charge in charges:
        charge.version = version
    return charges
