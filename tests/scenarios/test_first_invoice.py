"""The whole way with real traffic: HTTP, beat, worker, invoice. The figures are those of the traffic's own sums."""

from decimal import Decimal

import pytest
from rich.console import Console

from billing_site.demo import catalogue, traffic
from billing_site.demo.sending import Api, send
from billing_site.demo.waiting import finalized_invoice
from billing_site.foundation.api_keys import create_key
from tests.processes import Processes

pytestmark = pytest.mark.scenarios

REQUESTS = 28_185
LINES = [
    # Exact amounts before rounding: 281.85, 223.6187, 81.7733, 90.29987, 2.45896.
    ("API calls", "28185", "0.01", "281.85"),
    ("Tokens · model-a · input", "22361870", "0.00001", "223.62"),
    ("Tokens · model-a · output", "4088665", "0.00002", "81.77"),
    ("Tokens · model-b · input", "18059974", "0.000005", "90.30"),
    ("Tokens · model-b · output", "245896", "0.00001", "2.46"),
]


def test_an_hour_of_traffic_becomes_680_dollars_once(processes: Processes) -> None:
    web = processes.web()
    processes.worker()
    processes.beat(environment={"INVOICE_BEAT_SECONDS": "1"})
    version = catalogue.chatbot_plan()
    customer = catalogue.customer()
    events = list(traffic.events(customer.reference))
    _, key = create_key(name="scenario", scopes=["ingest", "backfill", "read"], expires_at=None, created_by=None)
    console = Console(quiet=True)

    with Api(web.base_url, key) as api:
        assert send(api, events, "first") == {"accepted": REQUESTS, "duplicates": 0}
        subscription = catalogue.november(version)
        invoice = finalized_invoice(api, subscription.reference, console)

        assert Decimal(invoice["total"]) == Decimal("680.00")
        assert invoice["currency"] == "USD"
        assert [
            (line["description"], Decimal(line["quantity"]), Decimal(line["unit_price"]), Decimal(line["amount"]))
            for line in invoice["lines"]
        ] == [(text, Decimal(quantity), Decimal(price), Decimal(amount)) for text, quantity, price, amount in LINES]
        assert all(line["explanation"]["steps"] for line in invoice["lines"])

        assert send(api, events, "again") == {"accepted": 0, "duplicates": REQUESTS}
        assert finalized_invoice(api, subscription.reference, console) == invoice
        assert len(api.get("/v1/invoices", customer=customer.reference)["data"]) == 1
