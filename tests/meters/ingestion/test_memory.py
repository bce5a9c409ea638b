"""A worker that takes events keeps none of them."""

import pytest

from billing_site.foundation.api_keys import create_key
from tests.benchmarks import memory
from tests.benchmarks.ingest_http import CONNECTIONS
from tests.meters.making import tokens_meter
from tests.processes import Processes


@pytest.mark.django_db(transaction=True)
def test_memory_is_flat(processes: Processes) -> None:
    """Kept events would show: the last 80,000 are 18 MB as they are sent, and several times that when they are read."""
    tokens_meter()
    _, key = create_key("sender", ["ingest"])
    web = processes.web(
        workers=1,
        threads=CONNECTIONS + 1,
        environment={"INGEST_EVENTS_PER_SECOND": "10000000", "INGEST_AT_ONCE": str(CONNECTIONS)},
    )
    found = list(memory.over(web, key, 200_000))
    warm, end = max(found[4:6]), min(found[8:])
    assert end < 1.05 * warm, f"{warm:.1f} MB after 120,000 events, {end:.1f} MB after 200,000"
