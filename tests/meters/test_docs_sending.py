"""What docs/sending-usage.md shows is run as it stands there, against a real server."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from billing_site.foundation.api_keys import create_key
from meters.models import Bucket, Event
from tests.meters.making import calls_meter, tokens_meter

EXAMPLES = re.findall(
    r"```python\n(.*?)```", (Path(settings.BASE_DIR) / "docs/sending-usage.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.django_db(transaction=True)
def test_failed_attempts_are_kept_and_only_the_one_that_answered_is_counted(
    live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens_meter()
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
    again = names["send"]([names["attempt"](3, "small", "succeeded", {"input_tokens": 1200, "output_tokens": 310})])
    assert again == {"accepted": 0, "duplicates": 1, "rejected": []}
