"""Which charges a change of a model's cost touches: those that say which dimension holds the model; and how much.

Of the versions by which somebody is billed, or will be: drafts, the newest published one of each plan, and those with
running subscriptions.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import Count, Exists, Func, OuterRef, Q, QuerySet, Subquery, TextField, prefetch_related_objects

from billing_site.foundation.money import EXACT, ZERO
from billing_site.foundation.periods import Period
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priced_in import CREDITS, in_credits
from catalog.costs import agreed
from catalog.costs import books as costs
from catalog.costs.agreed import NOTHING, Agreed
from catalog.costs.margin_places import Place, Places, places_of, used_of
from catalog.costs.margins import at_costs, at_once, cost_at, rows_in_costs
from catalog.costs.names import names
from catalog.costs.own_costs import Entry
from catalog.costs.pages import as_row, first_hour
from catalog.models import Cell, Charge, Plan, PlanVersion, PriceList
from catalog.pricing.margins import RowMargin, is_endless, least_unit_price
from catalog.pricing.model_costs import HOUR
from catalog.pricing.model_names import ModelName, NameBook
from catalog.pricing.price import Model, Price

HIGHEST = Decimal("Infinity")
Status = PlanVersion.Status


@dataclass(frozen=True)
class Use:
    """A charge with rows for the model. `margins`: in percent, of rows by cost; `priced`: how many with others.

    `apart`: what it is priced in that cannot be compared with costs: further currencies, or credits. `agreed`: who is
    billed by it, and has prices of the model that stand in no plan.
    """

    charge: Charge
    margins: tuple[Decimal, ...]
    priced: int
    apart: str = ""
    agreed: Agreed = NOTHING

    @property
    def comparable(self) -> bool:
        return not in_credits(self.charge) and COST_CURRENCY in self.charge.version.currencies()


@dataclass(frozen=True)
class Becomes:
    """Of the prices of its own whose cost changes the one that earns least: before it does, and from then on.

    None: nobody knows what any of them costs.
    """

    before: RowMargin | None
    after: RowMargin | None


def uses_of(model: ModelName) -> list[Use]:
    """Charges whose rows match the model under one of its names, those of published versions first.

    Also those of which a price for it was negotiated. Rows in the currency of costs are counted, or where there are
    none of it, those in the version's own. Seven queries and those of names, which count rows and read none.
    """
    charges = _charges()
    named = _named_rows(charges)
    book = names()
    wanted = [name for name in named.values_list("named", flat=True).distinct() if name and means(name, model, book)]
    rows = named.filter(Q(named=None) | Q(named__in=wanted))
    margins, priced = defaultdict[int, set[Decimal]](set), defaultdict[int, int](int)
    for charge, kind, percent, count in rows.values_list("charge", "model", "percent").annotate(Count("pk")):
        if kind == Model.COST_PLUS:
            margins[charge].add(percent)
        else:
            priced[charge] += count
    every = list(charges.select_related("version__plan").prefetch_related("version__price_lists"))
    terms = agreed.of(every, lambda name: means(name, model, book))
    found = [
        Use(charge, tuple(sorted(margins[charge.pk])), priced[charge.pk], _apart(charge), told)
        for charge in every
        if (told := terms.get(charge.pk, NOTHING)).by_cost or told.priced or charge.pk in margins or charge.pk in priced
    ]
    return sorted(found, key=lambda use: use.charge.version.status != Status.PUBLISHED)


def means(name: str, model: ModelName, book: NameBook) -> bool:
    """Whether a name means a model; by its whole name one does, too, that the catalogue does not have yet."""
    return book.resolve(name) == model or name.strip().lower() == str(model).lower()


def becomes(uses: Collection[Use], model: ModelName, entry: Entry) -> dict[int, Becomes | None]:
    """By charge what an entry without faults makes of margins, in the first hour in which it holds.

    None: the cost of none of its own prices changes. Charges that cannot be compared are left out.
    """
    charges = [use.charge for use in uses if use.priced and use.comparable]
    prefetch_related_objects(charges, "cells", "meter__dimensions", "meter__bands", "meter__values")
    used, found = cache(used_of), {}
    for charge in charges:
        rows = rows_in_costs(charge)
        places = places_of(charge, rows, {str(model)}, used)
        own = [each for each in places.found if _has_margin(rows[each.row].price)]
        found[charge.pk] = _becomes(replace(places, found=own), model, entry)
    return found


def _has_margin(price: Price) -> bool:
    """Whether a unit has a price of its own, which earns more or less when its cost changes."""
    return price.model != Model.COST_PLUS and not is_endless(price) and least_unit_price(price, ZERO) is not None


def _becomes(places: Places, model: ModelName, entry: Entry) -> Becomes | None:
    at, book = first_hour(entry), names()
    before = costs.load({each.model for each in places.found}, Period(at, at + HOUR)).models
    known = costs.costs_of([model], at + HOUR)[model]
    changed = replace(known, rows=(*known.rows, as_row(entry)))
    meant = {each.model for each in places.found if means(each.model, model, book)}

    def was(place: Place) -> Decimal | None:
        return cost_at(place, before.get(place.model), at)

    def will(place: Place) -> Decimal | None:
        return cost_at(place, changed, at) if place.model in meant else was(place)

    touched = replace(places, found=[each for each in places.found if was(each) != will(each)])
    return Becomes(_least(touched, was), _least(touched, will)) if touched.found else None


def _least(places: Places, cost_of: Callable[[Place], Decimal | None]) -> RowMargin | None:
    margins = at_costs(places, lambda place: at_once(cost_of(place))).margins
    return min(
        margins, key=lambda each: EXACT.divide(each.unit_price, each.cost) if each.cost else HIGHEST, default=None
    )


def _charges() -> "QuerySet[Charge]":
    """Of the versions that matter, in order."""
    running = PlanVersion.objects.filter(pk=OuterRef("version"), subscriptions__due_at__isnull=False)
    published = PlanVersion.objects.filter(plan=OuterRef("version__plan"), status=Status.PUBLISHED)
    newest = published.order_by("-number").values("pk")[:1]
    matters = Q(version__status=Status.DRAFT) | Q(version=Subquery(newest)) | Exists(running)
    charges = Charge.objects.exclude(cost_model="").filter(matters)
    return charges.order_by("version__plan__code", "-version__number", "position", "id")


def _named_rows(charges: "QuerySet[Charge]") -> Any:
    """Rows with the model that each names (None: any), in one currency of each charge."""
    listed = PriceList.objects.filter(version=OuterRef("charge__version"), currency=COST_CURRENCY)
    credit = Q(charge__version__plan__consumption=Plan.Consumption.CREDITS)
    asked = Q(price_list__currency=COST_CURRENCY) & ~credit | Q(price_list=None) & (credit | ~Exists(listed))
    named = Func("match", "charge__cost_model", function="jsonb_extract_path_text", output_field=TextField())
    rows = Cell.objects.filter(charge__in=charges.order_by().values("pk")).order_by()
    return rows.filter(asked).annotate(named=named)


def _apart(charge: Charge) -> str:
    if in_credits(charge):
        return CREDITS
    return ", ".join(each for each in charge.version.currencies() if each != COST_CURRENCY)
