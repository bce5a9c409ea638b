"""What the demo does, in order. Every write goes through HTTP or a verb; what bills is beat and the worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console

from billing_site.demo import catalogue, report, traffic
from billing_site.demo.sending import Api, send
from billing_site.demo.waiting import finalized_invoice
from billing_site.foundation.api_keys import create_key, revoke_key
from billing_site.foundation.clock import now

KEY_LIFETIME = timedelta(hours=1)


def tell(base_url: str, console: Console) -> int:
    """Run the whole way against a running site. Returns 0, or 1 when the second sending changed anything."""
    version = catalogue.chatbot_plan()
    customer = catalogue.customer()
    console.print(f"Plan [bold]{version}[/bold] is published; customer [bold]{customer}[/bold] is there.")
    events = list(traffic.events(customer.reference))
    with _key() as key, Api(base_url, key) as api:
        first = send(api, events, "Sending one hour of LLM traffic")
        console.print(_counts(first), highlight=False)
        subscription = catalogue.november(version)
        state = "billed already" if subscription.due_at is None else "due"
        console.print(f"Subscription {subscription}, November 2023: it is {state}.", highlight=False)
        before = finalized_invoice(api, subscription.reference, console)
        console.print(report.invoice_table(before))
        second = send(api, events, "Sending everything again  ")
        console.print(_counts(second), highlight=False)
        after = finalized_invoice(api, subscription.reference, console)
    if second["accepted"] or after != before:
        console.print(f"[red]Sending again changed something.[/red] Before: {before} After: {after}", highlight=False)
        return 1
    same = f"The same invoice: id {after['id']}, number {after['number']}, {report.total(after)}."
    console.print(same, highlight=False)
    report.closing_words(console, after["id"])
    return 0


def _counts(totals: dict[str, int]) -> str:
    return f"  {totals['accepted']:,} events accepted, {totals['duplicates']:,} duplicates dropped."


@contextmanager
def _key() -> Iterator[str]:
    """An API key for this run alone: old traffic needs the backfill scope."""
    key, secret = create_key(
        name="Demo", scopes=["ingest", "backfill", "read"], expires_at=now() + KEY_LIFETIME, created_by=None
    )
    try:
        yield secret
    finally:
        revoke_key(key)
