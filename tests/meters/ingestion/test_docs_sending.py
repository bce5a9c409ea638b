"""What docs/sending-usage.md shows is run as it stands there, against a real server."""

import os
import re
import shlex
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.db.models import Sum

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.periods import Period
from catalog.models import Product
from catalog.versions.publishing import add_usage_charge, create_plan, draft_version, publish
from customers.models import Subscription
from customers.rating.chunks import Request, rate
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.explorer.outcomes import outcomes
from meters.explorer.scanning import Part
from meters.models import Bucket, Event, Meter
from tests.meters.making import calls_meter, tokens_meter

TEXT = (Path(settings.BASE_DIR) / "docs/sending-usage.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [command for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for command in block.split("\n\n")]


def on_a_plan(meter: Meter) -> None:
    """The customer acme, who pays for the tokens of each model by its own price."""
    version = draft_version(create_plan(code="chat", name="Chat"))
    product = Product.objects.create(code="api", name="API")
    prices = [
        ("large", "input", "0.1"),
        ("large", "output", "0.3"),
        ("small", "input", "0.01"),
        ("small", "output", "0.03"),
    ]
    rows = [({"model": model, "token_type": kind}, Decimal(price)) for model, kind, price in prices]
    add_usage_charge(version, code="tokens", name="Tokens", product=product, meter=meter, rows=rows)
    publish(version)
    started = (clock.now() - timedelta(days=2)).date()
    subscribe(customer=create_customer(reference="acme", name="Acme"), version=version, starts_on=started)


def billed(now: datetime) -> dict[str, str]:
    period = Period(now - timedelta(hours=1), now + timedelta(hours=1))
    rated = rate([Request(1, Subscription.objects.get().pk, period, None)])[1]
    assert list(rated.problems) == []
    return {line.description: str(line.amount) for line in rated.lines}


@pytest.mark.django_db(transaction=True)
def test_failed_attempts_are_kept_and_only_the_one_that_answered_is_counted(
    live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_plan(tokens_meter())
    calls_meter()
    monkeypatch.setenv("TALLYBOOK_ADDRESS", live_server.url)
    monkeypatch.setenv("TALLYBOOK_KEY", create_key("gateway", ["ingest"])[1])
    names: dict[str, Any] = {}

    exec("\n".join(EXAMPLES), names)  # noqa: S102

    assert len(EXAMPLES) == 2
    assert names["answer"] == {"accepted": 3, "duplicates": 0, "rejected": []}
    kept = Event.objects.filter(customer="acme").order_by("reference").values_list("status", "properties")
    assert [(status, each["model"], each["input_tokens"], each["output_tokens"]) for status, each in kept] == [
        ("failed", "large", 1200, 0),
        ("failed", "large", 1200, 35),
        ("succeeded", "small", 1200, 310),
    ]
    counted = Bucket.objects.values_list("series__meter__code", "series__dimensions", "quantity", "events")
    assert sorted(counted, key=str) == [
        ("api_calls", {}, 1, 1),
        ("llm_tokens", {"model": "small", "token_type": "input"}, 1200, 1),
        ("llm_tokens", {"model": "small", "token_type": "output"}, 310, 1),
    ]

    now = clock.now()
    [row], read = outcomes(Part(Period(now - timedelta(hours=1), now + timedelta(minutes=1))))
    # two of three attempts failed: 66.67 %; they used 1,200 + 1,200 tokens in, 0 + 35 out, in two calls
    assert (row.customer, row.succeeded, row.failed, row.error_rate) == ("acme", 1, 2, Decimal("66.67"))
    by_code = {meter.code: row.failed_quantities[meter.id] for meter in read}
    assert by_code == {"api_calls": 2, "llm_tokens": 2_435}
    # what is billed: 1,200 × 0.01 + 310 × 0.03 of “small” = 12.00 + 9.30; nothing of “large”, which has a price too
    assert billed(now) == {"Tokens · small · input": "12.00", "Tokens · small · output": "9.30"}

    again = names["send"]([names["attempt"](3, "small", "succeeded", {"input_tokens": 1200, "output_tokens": 310})])
    assert again == {"accepted": 0, "duplicates": 1, "rejected": []}


def curl(command: str) -> httpx2.Response:
    """Send what a curl of the docs sends. Nothing else is needed on the machine for it, such as a maker of UUIDs."""
    assert "$(" not in command
    words = shlex.split(os.path.expandvars(command))
    options = list(pairwise(words))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    [body] = [value for option, value in options if option == "-d"]
    [address] = [word for word in words if word.startswith("http")]
    return httpx2.post(address, content=body, headers=headers, trust_env=False)


def counted() -> dict[tuple[str, str], Decimal]:
    rows = Bucket.objects.values_list("series__dimensions__model", "series__dimensions__token_type")
    return {(model, kind): total for model, kind, total in rows.annotate(total=Sum("quantity")) if total}


@pytest.mark.django_db(transaction=True)
def test_what_was_sent_wrongly_is_amended_and_voided_as_shown(
    live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens_meter()
    monkeypatch.setenv("TALLYBOOK_ADDRESS", live_server.url)
    monkeypatch.setenv("TALLYBOOK_KEY", create_key("gateway", ["ingest", "correct"])[1])
    exec("\n".join(EXAMPLES), {})  # noqa: S102
    amend, void = COMMANDS

    assert curl(amend).status_code == curl(amend).status_code == 200
    assert counted() == {("medium", "input"): 1200, ("medium", "output"): 310}
    assert curl(void).json()["kind"] == "void"
    assert counted() == {}
