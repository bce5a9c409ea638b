"""What the demo prints."""

from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from billing_site.foundation.money import plain


def invoice_table(invoice: dict[str, Any]) -> Table:
    """An invoice of the API as a table: a line each, the total below."""
    table = Table(title=f"Invoice {invoice['number']}  ·  id {invoice['id']}", show_footer=True)
    table.add_column("line", footer="Total")
    table.add_column("quantity", justify="right")
    table.add_column("unit price", justify="right")
    table.add_column("amount", justify="right", footer=total(invoice))
    for line in invoice["lines"]:
        quantity, price = Decimal(line["quantity"]), Decimal(line["unit_price"])
        table.add_row(line["description"], f"{quantity.normalize():,f}", plain(price), line["amount"])
    return table


def total(invoice: dict[str, Any]) -> str:
    """The invoice's total and its currency: “680.00 USD”."""
    return f"{invoice['total']} {invoice['currency']}"


def closing_words(console: Console, invoice_id: int) -> None:
    """Where to look next."""
    console.print("\n[bold]Next[/bold]: [bold]make run[/bold] serves this data. Then open")
    for path, what in (
        (f"/admin/invoicing/invoice/{invoice_id}/change/", "this invoice; every line opens to its arithmetic"),
        ("/admin/", "the admin: meters, plans, customers, runs"),
        ("/v1/docs", "the API, with a form to try each call"),
    ):
        console.print(f"  http://localhost:8000{path}\n    {what}", highlight=False, soft_wrap=True)
