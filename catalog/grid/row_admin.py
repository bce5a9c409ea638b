"""The matrix as a table of plain fields: for who has no JavaScript, or prefers it to the grid (`?plain=1`)."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from catalog.admin_pages import is_draft
from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import priceable
from catalog.charges.priced_in import per_of, unit_of
from catalog.grid.row_forms import RowFormSet, field_of, row_form
from catalog.models import Cell, Charge
from catalog.pricing.words import in_words

PLAIN = "plain"


class RowInline(TabularInline):  # type: ignore[misc]
    """The matrix: a row for each combination that has a price of its own, a column for each dimension."""

    model = Cell
    formset = RowFormSet
    extra = 2
    hide_title = True
    verbose_name = "price"
    verbose_name_plural = "prices: for each use, the row that names most of its values exactly"
    template_before = "admin/catalog/charge/_values.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._per: dict[int, int] = {}  # by charge: it is worked out once for all of its rows

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cell]:
        """Those of the currency that the address names, else of the version's own."""
        rows: QuerySet[Cell] = (
            super().get_queryset(request).select_related("charge__version__plan", "charge__meter", "price_list")
        )
        currency = listed(request)
        return rows.filter(price_list__currency=currency) if currency else rows.filter(price_list=None)

    def get_formset(self, request: HttpRequest, obj: Charge | None = None, **kwargs: Any) -> Any:
        assert obj is not None
        if self.has_change_permission(request, obj):
            kwargs["form"] = row_form(obj)
        kwargs["fields"] = list(kwargs["form"].base_fields) if "form" in kwargs else []
        return super().get_formset(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Charge | None = None) -> list[Any]:
        dimensions = _dimensions(obj)
        if not self.has_change_permission(request, obj):
            return [*(_value_of(name) for name in dimensions), "said"]
        return [*(field_of(name) for name in dimensions), "model", "price", "rate", "position"]

    def get_readonly_fields(self, request: HttpRequest, obj: Charge | None = None) -> list[Any]:
        return ["rate"] if self.has_change_permission(request, obj) else self.get_fields(request, obj)

    def get_max_num(self, request: HttpRequest, obj: Charge | None = None, **kwargs: Any) -> int | None:
        """Usage that nothing tells apart has one price; who may not add has no room for more."""
        return self.max_num if self.max_num is not None or _dimensions(obj) else 1

    def has_add_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        """Who may change a charge may change its prices."""
        open_to_change = obj is None or is_draft(obj.version)
        return open_to_change and bool(request.user.has_perm("catalog.change_charge"))

    def has_delete_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return bool(request.user.has_perm("catalog.view_charge") or request.user.has_perm("catalog.change_charge"))

    @admin.display(description="Price")
    def said(self, cell: Cell) -> str:
        charge = cell.charge
        assert charge.meter is not None
        if charge.pk not in self._per:
            self._per[charge.pk] = per_of(charge)
        return in_words(price_of(cell), unit_of(charge, cell.price_list), charge.meter.unit, self._per[charge.pk])

    @admin.display(description="That is")
    def rate(self, cell: Cell) -> str:
        if not cell.pk or cell.charge.meter is None:
            return "–"
        return self.said(cell)


def listed(request: HttpRequest) -> str:
    """The further currency whose rows `?plain=EUR` asks for; empty: the version's own."""
    asked = request.GET.get(PLAIN, "")
    return asked if re.fullmatch("[A-Z]{3}", asked) else ""


def _dimensions(charge: Charge | None) -> tuple[str, ...]:
    """What rows of the charge can name."""
    assert charge is not None
    assert charge.meter is not None
    return priceable(charge.meter).dimensions


@cache
def _value_of(dimension: str) -> Callable[[Cell], str]:
    """A column that shows the value of one dimension."""

    @admin.display(description=f"“{dimension}”")
    def value(cell: Cell) -> str:
        return str(cell.match.get(dimension, "* any"))

    return value
