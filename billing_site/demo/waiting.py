"""Waiting for beat and the worker to do their part, as anybody outside would: by asking the API."""

import time
from typing import Any

from rich.console import Console

from billing_site.demo.sending import Api

PATIENCE_S = 90


def finalized_invoice(api: Api, subscription: str, console: Console) -> dict[str, Any]:
    """The subscription's finalized invoice with its lines. TimeoutError when none comes, with what the draft says."""
    deadline = time.monotonic() + PATIENCE_S
    with console.status("Beat finds the period that is due; the worker rates, closes and finalizes it …"):
        while time.monotonic() < deadline:
            for invoice in api.get("/v1/invoices", subscription=subscription)["data"]:
                if invoice["status"] == "finalized":
                    answer: dict[str, Any] = api.get(f"/v1/invoices/{invoice['id']}")
                    return answer
            time.sleep(0.3)
    drafts = api.get("/v1/invoices", subscription=subscription)["data"]
    raise TimeoutError(f"No finalized invoice after {PATIENCE_S} s; what there is: {drafts}")
