"""What a subscription's plan says and what was negotiated, side by side, for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing_site.foundation import clock
from billing_site.foundation.money import EXACT, ZERO, grouped, round_to
from catalog.charges.cell_prices import price_of
from catalog.charges.priced_in import amounts_of, in_credits, per_of, rows_of, sum_in, unit_of
from catalog.charges.row_checks import words
from catalog.models import Cell, Charge, ChargeAmount, PlanVersion, PriceList
from catalog.pricing.price import Model, Price
from catalog.pricing.words import in_words, shown_per
from customers.deals.days import span
from customers.models import Override, Subscription
from customers.rating.negotiated import What

ROWS_SHOWN = 20
NOTHING = "–"
_Key = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Agreed:
    """A negotiated term in words. `difference`: against the standard, in percent, where both are one number."""

    override: Override
    text: str
    days: str
    state: str
    difference: str


@dataclass(frozen=True)
class TermRow:
    """One term: what the plan says, and all that was negotiated of it that holds or will, the earliest first."""

    group: str
    label: str
    what: What
    charge: str
    match: Mapping[str, str]
    standard: str
    agreed: Sequence[Agreed] = ()


@dataclass
class _Plan:
    """The version's terms in the customer's currency, each with its words and, where it is one, its number."""

    currency: str
    rows: list[tuple[_Key, str, str, str, Decimal | None]] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    per: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    priced_in: dict[str, str] = field(default_factory=dict)

    def unit_of(self, charge: str) -> str:
        """What a charge is priced in; that of the customer for what is about all of them, or about one that is gone."""
        return self.priced_in.get(charge, self.currency)

    def add(self, key: _Key, group: str, label: str, text: str | None, number: Decimal | None = None) -> None:
        self.rows.append((key, group, label, text or NOTHING, number))


@dataclass(frozen=True)
class Table:
    """`hidden`: by charge code, how many further rows of it are not listed. `ended`: what holds no more."""

    rows: Sequence[TermRow]
    hidden: Mapping[str, int]
    ended: Sequence[Agreed]
    names: Mapping[str, str]


def table(subscription: Subscription) -> Table:
    """A constant number of queries. Of a large matrix only the first rows, and those of which something differs."""
    overrides = list(Override.objects.filter(subscription=subscription).order_by("starts_at", "id"))
    now = clock.now()
    open_ones = [each for each in overrides if each.ends_at is None or each.ends_at > max(now, each.starts_at)]
    plan = _plan(subscription, {_key(each) for each in open_ones})
    by_key: dict[_Key, list[Override]] = {}
    for override in open_ones:
        by_key.setdefault(_key(override), []).append(override)
    rows = []
    for key, group, label, text, number in plan.rows:
        agreed = [_agreed(each, subscription, plan, number, now) for each in by_key.pop(key, ())]
        rows.append(TermRow(group, label, What(key[1]), key[0], dict(key[2]), text, agreed))
    for key, left in by_key.items():
        agreed = [_agreed(each, subscription, plan, None, now) for each in left]
        group = plan.names.get(key[0], f"{key[0]} (not in this version)" if key[0] else "All")
        label = words(dict(key[2])) if key[1] == What.PRICE else What(key[1]).label
        rows.append(TermRow(group, label, What(key[1]), key[0], dict(key[2]), NOTHING, agreed))
    ended = [_agreed(each, subscription, plan, None, now) for each in overrides if each not in open_ones]
    return Table(rows, plan.hidden, ended[::-1], plan.names)


def standard_text(subscription: Subscription, what: str, charge: str, match: Mapping[str, str]) -> str:
    """What the plan says of one term."""
    key = (charge, what, tuple(sorted(match.items())))
    return next((text for each, _, _, text, _ in _plan(subscription, {key}).rows if each == key), NOTHING)


def standard_price(subscription: Subscription, charge: Charge, match: Mapping[str, str]) -> Price | None:
    price_list = None if in_credits(charge) else _price_list(subscription.version, subscription.customer.currency)
    cell = Cell.objects.filter(charge=charge, price_list=price_list, match=dict(match)).first()
    return None if cell is None else price_of(cell)


def _key(override: Override) -> _Key:
    return override.charge, override.what, tuple(sorted(override.match.items()))


def _price_list(version: PlanVersion, currency: str) -> PriceList | None:
    return version.price_lists.filter(currency=currency).first()


def _plan(subscription: Subscription, wanted: set[_Key]) -> _Plan:
    version, currency = subscription.version, subscription.customer.currency
    price_list = _price_list(version, currency)
    plan = _Plan(currency)
    for charge in version.charges.select_related("meter", "version__plan").prefetch_related("cells", "amounts"):
        plan.names[charge.code] = charge.name
        amounts, unit = amounts_of(charge, price_list), unit_of(charge, price_list)
        plan.priced_in[charge.code] = unit
        if charge.meter is None:
            plan.add((charge.code, What.FEE, ()), charge.name, "Fee", sum_in(amounts.amount, unit), amounts.amount)
        else:
            plan.units[charge.code], plan.per[charge.code] = charge.meter.unit, per_of(charge)
            _usage(plan, charge, amounts, rows_of(charge, price_list))
        plan.add((charge.code, What.DISCOUNT, ()), charge.name, "Discount", None)
    terms: PlanVersion | PriceList = version if price_list is None else price_list
    plan.add(("", What.MINIMUM, ()), "All usage", "Minimum", sum_in(terms.minimum, currency), terms.minimum)
    plan.add(("", What.CAP, ()), "All usage", "Cap", sum_in(terms.cap, currency), terms.cap)
    plan.add(("", What.DISCOUNT, ()), "All lines", "Discount", None)
    return _shortened(plan, wanted)


def _usage(plan: _Plan, charge: Charge, amounts: Charge | ChargeAmount, cells: Sequence[Cell]) -> None:
    assert charge.meter is not None
    unit = plan.unit_of(charge.code)
    for cell in cells:
        price = price_of(cell)
        key = (charge.code, What.PRICE, tuple(sorted(cell.match.items())))
        text = in_words(price, unit, charge.meter.unit, plan.per[charge.code])
        plan.add(key, charge.name, words(cell.match), text, _one_number(price))
    included = None if charge.included is None else f"{grouped(charge.included)} {charge.meter.unit}"
    plan.add((charge.code, What.INCLUDED, ()), charge.name, What.INCLUDED.label, included, charge.included)
    for what in (What.MINIMUM, What.CAP):
        amount = getattr(amounts, what)
        plan.add((charge.code, what, ()), charge.name, what.label, sum_in(amount, unit), amount)


def _shortened(plan: _Plan, wanted: set[_Key]) -> _Plan:
    """Of each matrix its first rows, and those that are wanted."""
    seen: dict[str, int] = {}
    kept = []
    for row in plan.rows:
        (code, what, _), shown = row[0], True
        if what == What.PRICE:
            seen[code] = seen.get(code, 0) + 1
            shown = seen[code] <= ROWS_SHOWN or row[0] in wanted
            plan.hidden[code] = plan.hidden.get(code, 0) + (not shown)
        kept += [row] if shown else []
    plan.rows = kept
    return plan


def _agreed(
    override: Override, subscription: Subscription, plan: _Plan, standard: Decimal | None, now: datetime
) -> Agreed:
    text, number = _said(override, plan)
    if override.ends_at is not None and override.ends_at <= override.starts_at:
        state, days = "taken back", span(override, subscription.timezone)
    else:
        days = span(override, subscription.timezone)
        over = override.ends_at is not None and override.ends_at <= now
        state = "ended" if over else "now" if override.starts_at <= now else "later"
    return Agreed(override, text, days, state, _difference(standard, number))


def _said(override: Override, plan: _Plan) -> tuple[str, Decimal | None]:
    """In words, and as a number where it is one that compares with the plan's."""
    if override.what == What.PRICE:
        price = price_of(override)
        measured, per = plan.units.get(override.charge, "unit"), plan.per.get(override.charge) or shown_per([price])
        return in_words(price, plan.unit_of(override.charge), measured, per), _one_number(price)
    if override.what == What.INCLUDED:
        assert override.quantity is not None
        return f"{grouped(override.quantity)} {plan.units.get(override.charge, '')}".strip(), override.quantity
    if override.percent is not None:
        return f"{grouped(override.percent)} % off", None
    if override.what == What.DISCOUNT:
        return f"{sum_in(override.amount, plan.currency)} off, in a full period", None  # off what is invoiced: money
    return sum_in(override.amount, plan.unit_of(override.charge), "none"), override.amount


def _one_number(price: Price) -> Decimal | None:
    return price.unit_price if price.model == Model.PER_UNIT else None


def _difference(standard: Decimal | None, agreed: Decimal | None) -> str:
    if not standard or agreed is None:
        return ""
    percent = round_to(EXACT.multiply(EXACT.divide(EXACT.subtract(agreed, standard), standard), Decimal(100)), 1)
    sign = "+" if percent > ZERO else ""
    return f"{sign}{grouped(percent)} %".replace("-", "−")


def groups(rows: Sequence[TermRow]) -> Iterator[tuple[str, list[TermRow]]]:
    """Rows of one charge together, in order."""
    found: dict[str, list[TermRow]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    yield from found.items()
