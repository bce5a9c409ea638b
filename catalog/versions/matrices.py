"""All rows of a charge, in every currency: read in one query, and replaced as a whole unless somebody was faster."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from django.db import transaction

from billing_site.foundation.errors import Fault, Refused
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import DraftRow
from catalog.models import Cell, Charge, PriceList
from catalog.pricing.documents import to_json
from catalog.versions.charging import set_rows
from catalog.writing import locked_draft


@dataclass(frozen=True)
class ListRows:
    """The rows of one price list, in order. `stamp`: what was read of them before; None: whatever is there."""

    currency: str
    rows: Sequence[DraftRow]
    stamp: str | None = None


def read_matrix(charge: Charge) -> list[ListRows]:
    """The rows by currency, the version's own first, each with its stamp. One query of price lists, and one of rows."""
    lists = [None, *charge.version.price_lists.all()]
    found: dict[int | None, list[DraftRow]] = {None if each is None else each.pk: [] for each in lists}
    for cell in Cell.objects.filter(charge=charge):
        found[cell.price_list_id].append(DraftRow(cell.match, price_of(cell)))
    by_currency = [
        (charge.version.currency if each is None else each.currency, found[None if each is None else each.pk])
        for each in lists
    ]
    return [ListRows(currency, rows, stamp_of(rows)) for currency, rows in by_currency]


def stamp_of(rows: Sequence[DraftRow]) -> str:
    """The same for the same rows in the same order, and for no others."""
    said = [[sorted(row.match.items()), to_json(row.price)] for row in rows]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def set_matrix(charge: Charge, lists: Sequence[ListRows]) -> list[ListRows]:
    """Make these the charge's rows, in all of these currencies or in none; gives what is there now, as `read_matrix`.

    Raises Refused: a fault's field is “rows.2.match” in the version's own currency, “lists.EUR.rows.2.match” in
    another; “rows” or “lists.EUR.rows” when the rows are not those any more that the stamp is of.
    """
    with transaction.atomic():
        version = locked_draft(charge.version_id)
        held = Charge.objects.get(pk=charge.pk)
        held.version = version
        stamps = {each.currency: each.stamp for each in read_matrix(held)}
        by_currency: dict[str, PriceList | None] = {each.currency: each for each in version.price_lists.all()}
        by_currency[version.currency] = None
        faults: list[Fault] = []
        for each in lists:
            place = "" if each.currency == version.currency else f"lists.{each.currency}."
            try:
                _check(each, stamps)
                set_rows(held, by_currency[each.currency], list(each.rows))
            except Refused as refused:
                faults += [replace(fault, field=place + fault.field) for fault in refused.faults]
        if faults:
            raise Refused(*faults)
        return read_matrix(held)


def _check(given: ListRows, stamps: dict[str, str | None]) -> None:
    if given.currency not in stamps:
        message = f"The version has no prices in {given.currency} any more: load the page again."
        raise Refused(Fault("price_list_gone_conflict", message, "rows"))
    if given.stamp is not None and given.stamp != stamps[given.currency]:
        message = (
            f"Somebody has changed the prices in {given.currency} since you loaded them, so nothing was saved."
            " Copy what you wrote or download it as CSV, load the page again, and paste it."
        )
        raise Refused(Fault("rows_changed_conflict", message, "rows"))
