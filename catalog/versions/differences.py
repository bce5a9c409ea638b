"""What changed from one plan version to another, in plain words: one sentence for each change."""

from collections.abc import Iterator
from decimal import Decimal

from billing_site.foundation.money import grouped
from catalog.charges.cell_prices import price_of
from catalog.charges.priced_in import amounts_of, in_credits, per_of, rows_of, sum_in, unit_of
from catalog.charges.row_checks import words
from catalog.features import differences as feature_differences
from catalog.models import Cell, Charge, PlanVersion, PriceList
from catalog.pricing.words import counted, in_words

TIMING: dict[str, str] = {
    Charge.Timing.ADVANCE: "in advance",
    Charge.Timing.ARREARS: "in arrears",
    Charge.Timing.ONCE: "once",
}
NOTHING = "nothing"
_SUMS = {"minimum": "minimum", "cap": "cap"}
_LISTED = {"minimum": "minimum of all usage", "cap": "cap of all usage", "credit_price": "price of a credit"}
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
            sum_in(getattr(old, name), old.currency, NOTHING),
            sum_in(getattr(new, name), new.currency, NOTHING),
        )
    if old.commitment_product_id != new.commitment_product_id:
        yield f"The minimum's line is of the product {new.commitment_product} instead of {old.commitment_product}."
    if old.when_empty != new.when_empty:
        before, after = old.get_when_empty_display() or "nothing", new.get_when_empty_display() or "nothing"
        yield f"When the wallet is empty: “{after}” instead of “{before}”."
    for name, what in _TERMS.items():
        yield from _changed(f"The {what}", _number(getattr(old, name)), _number(getattr(new, name)))


def _lists(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    """Currencies that come and go, and the sums over all usage in each; rows are told with their charge."""
    before = {each.currency: each for each in old.price_lists.all()}
    after = {each.currency: each for each in new.price_lists.all()}
    for currency, listed in sorted(after.items()):
        if currency not in before:
            yield f"It is offered in {currency}, too."
        for name, what in _LISTED.items():
            was = _number(getattr(before[currency], name)) if currency in before else None
            yield from _changed(f"The {what} in {currency}", was, _number(getattr(listed, name)))
    for currency in sorted(before.keys() - after.keys()):
        yield f"It is no longer offered in {currency}."


def _changed(what: str, before: str | None, after: str) -> Iterator[str]:
    """`before` is None for what is new: that it has nothing of a kind is not worth a sentence."""
    if before is None and after != NOTHING:
        yield f"{what} is {after}."
    elif before is not None and before != after:
        yield f"{what} changes from {before} to {after}."


def _number(number: Decimal | None) -> str:
    return NOTHING if number is None else grouped(number)


def _charges(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    before = {charge.code: charge for charge in _read(old)}
    after = {charge.code: charge for charge in _read(new)}
    for code, charge in after.items():
        if code in before:
            yield from _charge(before[code], charge)
        else:
            yield f"New charge “{charge.name}”: {_summary(charge)}."
            yield from _parts(f"“{charge.name}”", None, charge)
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
    yield from _parts(about, old, new)


def _parts(about: str, old: Charge | None, new: Charge) -> Iterator[str]:
    """Terms, rows and sums in every currency. Whole when they are new: of a new charge, of another kind or meter."""
    known = old if old is not None and (old.kind, old.meter_id) == (new.kind, new.meter_id) else None
    yield from _charge_terms(about, old if old is not None and old.kind == new.kind else None, new)
    if known is not None or len(rows_of(new)) != 1:  # one row stands in the summary
        yield from _rows(about, known, new, None, None)
    before = {each.currency: each for each in old.version.price_lists.all()} if old is not None else {}
    for listed in new.version.price_lists.all():
        within, was = f"{about} in {listed.currency}", before.get(listed.currency)
        yield from _amounts(within, old, new, was, listed)
        if not in_credits(new):
            yield from _rows(within, known if was else None, new, was, listed)


def _charge_terms(about: str, old: Charge | None, new: Charge) -> Iterator[str]:
    if old is not None and old.timing != new.timing:
        yield f"{about}: it is billed {TIMING[new.timing]} instead of {TIMING[old.timing]}."
    if old is not None and old.amount is not None and new.amount is not None and old.amount != new.amount:
        yield f"{about}: the fee changes from {_fee(old)} to {_fee(new)}."
    if new.kind == Charge.Kind.USAGE and (old is None or old.unmatched != new.unmatched):
        yield f"{about}: usage that no row matches: “{new.get_unmatched_display()}”."
    included = _number(old.included) if old else None
    yield from _changed(f"{about}: the included quantity", included, _number(new.included))
    for name, what in _SUMS.items():
        before = sum_in(getattr(old, name), unit_of(old), NOTHING) if old else None
        yield from _changed(f"{about}: the {what}", before, sum_in(getattr(new, name), unit_of(new), NOTHING))
    for name, what in _COSTS.items():
        said = getattr(old, name) or NOTHING if old else None
        yield from _changed(f"{about}: the {what}", said, getattr(new, name) or NOTHING)


def _amounts(
    within: str, old: Charge | None, new: Charge, old_list: PriceList | None, new_list: PriceList
) -> Iterator[str]:
    """Sums in a further currency; those of what is priced in credits are the same in all of them."""
    if in_credits(new):
        return
    after = amounts_of(new, new_list)
    before = amounts_of(old, old_list) if old is not None and old_list is not None else None
    for name, what in {"amount": "fee", **_SUMS}.items():
        was = _number(getattr(before, name)) if before is not None else None
        yield from _changed(f"{within}: the {what}", was, _number(getattr(after, name)))


def _rows(
    about: str, old: Charge | None, new: Charge, old_list: PriceList | None, new_list: PriceList | None
) -> Iterator[str]:
    before, after = _by_key(old, old_list) if old is not None else {}, _by_key(new, new_list)
    per = per_of(new if after or old is None else old)  # of both, so that they compare
    for key, cell in after.items():
        if old is None or key not in before:
            yield f"{about}: new row {words(cell.match)} at {_price(new, cell, new_list, per)}."
        elif price_of(before[key]) != price_of(cell):
            was, now = _price(old, before[key], old_list, per), _price(new, cell, new_list, per)
            yield f"{about}: {words(cell.match)} changes from {was} to {now}."
    for key, cell in before.items():
        if old is not None and key not in after:
            yield f"{about}: the row {words(cell.match)} at {_price(old, cell, old_list, per)} is gone."
    kept = [key for key in before if key in after]
    if kept != [key for key in after if key in before]:
        yield f"{about}: the rows stand in another order, which decides between rows that are equally exact."


def _by_key(charge: Charge, price_list: PriceList | None) -> dict[tuple[tuple[str, str], ...], Cell]:
    return {tuple(sorted(cell.match.items())): cell for cell in rows_of(charge, price_list)}


def _summary(charge: Charge) -> str:
    if charge.kind == Charge.Kind.FLAT:
        return f"a flat fee of {_fee(charge)} {TIMING[charge.timing]}"
    cells = rows_of(charge)
    prices = counted(len(cells), "row")
    if len(cells) == 1:
        prices = f"{_price(charge, cells[0], None, per_of(charge))} for {words(cells[0].match)}"
    assert charge.meter is not None
    return f"the usage of {charge.meter.name} ({charge.meter.code}), {prices}"


def _fee(charge: Charge) -> str:
    return sum_in(charge.amount, unit_of(charge), NOTHING)


def _price(charge: Charge, cell: Cell, price_list: PriceList | None, per: int) -> str:
    """A price is never rounded, whatever the currency's minor unit."""
    unit = charge.meter.unit if charge.meter else "unit"
    return in_words(price_of(cell), unit_of(charge, price_list), unit, per)


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
