"""What docs/entitlements.md shows is run as it stands there, against a real server."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, set_feature_values
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from tests.customers import making
from tests.meters.making import LIMITS, event, tokens_meter

[EXAMPLE] = re.findall(
    r"```python\n(.*?)```", (Path(settings.BASE_DIR) / "docs/entitlements.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.django_db(transaction=True)
def test_a_call_is_made_or_not(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    meter = tokens_meter()
    models = create_feature(code="models", name="Models", kind="list", allowed=["small", "large", "huge"])
    tokens = create_feature(code="tokens", name="Tokens", kind="number", meter=meter, window="billing_period")
    version = making.version()
    making.fee(version, "5")
    set_feature_values(version, {models: ["small", "large"], tokens: 5_000})
    customer = create_customer(reference="acme", name="Acme")
    now = clock.now()
    subscribe(customer=customer, version=publishing.publish(version), starts_on=(now - timedelta(days=40)).date())
    used = {"model": "small", "input_tokens": 400, "output_tokens": 90}
    accept(decode(json.dumps([event("r1", timestamp=now.isoformat(), properties=used)]).encode(), now, LIMITS))
    monkeypatch.setenv("TALLYBOOK_ADDRESS", live_server.url)
    monkeypatch.setenv("TALLYBOOK_KEY", create_key("chat", ["read"])[1])
    names: dict[str, Any] = {}

    exec(EXAMPLE, names)  # noqa: S102

    # 400 in and 90 out of 5,000: 4,510 are left, so 400 more fit and 5,000 more do not
    first = (now.replace(day=1) + timedelta(days=32)).replace(day=1)
    left = f"4510 left until {first:%Y-%m-%d}T00:00:00+00:00"
    assert capsys.readouterr().out.strip() == f"490 of 5000 used, {left}"
    assert names["allowed"] is None
    assert names["too_many"] == (
        f"490 of 5,000 “Tokens” are used, 4,510 are left until {first:%Y-%m-%d} 00:00: 5,000 more do not fit."
    )
    assert names["wrong_model"] == "“Models” does not include “huge”, but “small”, “large”."
