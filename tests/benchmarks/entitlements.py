"""What it costs to ask what a customer may, while events of the same customers come in without a pause.

Ours: GET /v1/customers/{reference}/entitlements, ten features, five of them tied to meters: by billing period, month,
week, day and hour, one of them by model. Each customer has used both meters in every hour of the last 30 days. The
floor: GET of an empty Django REST framework view of the same granian, behind the same middleware, that asks for no key
and reads nothing. The two are asked in turn, so both meet the same load: two senders that post a batch of 50 events
each tenth of a second.

The figures are 1 ÷ the 99th percentile of the seconds that a request took, so the ratio is the floor's p99 ÷ ours: 0.25
says that ours took four times as long.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from threading import Event
from urllib.parse import urlsplit

from django.db import connection

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from catalog.models import Feature, Product
from catalog.versions import publishing
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.backfills.rebuilding import differences
from meters.definitions.metering import define_meter
from meters.models import Meter
from meters.usage import day_totals
from tests.benchmarks.ingest_http import assert_durable, bodies_of, tokens_meter
from tests.processes import Processes

CUSTOMERS, MODELS, DAYS = 20, 3, 30
READERS = 2
REQUESTS = 1_500
SENDERS, BATCH, PAUSE = 2, 50, 0.1
RUNS, WORKERS = 3, 2
UNIT = f"the slowest of 100 requests, {REQUESTS} of each kind in turn over {READERS} connections under ingestion"


def measure(progress: Callable[[str], None]) -> list[tuple[float, float]]:
    """(floor, ours) as 1 ÷ p99, of each of three runs."""
    meters = [
        tokens_meter(),
        define_meter(code="api_calls", name="API calls", event_type="llm.request", aggregation="count", unit="call"),
    ]
    _customers(_features(*meters))
    _past(meters)
    _, writer = create_key("gateway", ["ingest"])
    _, reader = create_key("reader", ["read"])
    assert_durable()
    processes = Processes()
    found = []
    try:
        web = processes.web(
            workers=WORKERS,
            threads=4,
            environment={
                "DJANGO_SETTINGS_MODULE": "tests.benchmarks._settings",
                "INGEST_EVENTS_PER_SECOND": "10000000",
            },
        )
        for run in range(RUNS + 1):
            with _load(web.base_url, writer, f"run-{run}-") as sent:
                empty, ours = _ask(web.base_url, reader)
            if run:  # the first warms up
                found.append((1 / _percentile(empty, 0.99), 1 / _percentile(ours, 0.99)))
                progress(
                    f"empty: {_told(empty)}; ours: {_told(ours)}; ours takes"
                    f" {_percentile(ours, 0.99) / _percentile(empty, 0.99):.2f} times as long at p99,"
                    f" beside {sent() * BATCH:,} events"
                )
    finally:
        for process in processes.started:
            process.stop()
    wrong = [each for meter in meters for each in differences(meter)]
    assert not wrong, wrong[:3]
    return found


def _features(tokens: Meter, calls: Meter) -> dict[Feature, object]:
    counted = [
        (tokens, "billing_period", {}),
        (tokens, "month", {"model": ["model-0"]}),
        (tokens, "day", {}),
        (calls, "week", {}),
        (calls, "hour", {}),
    ]
    values: dict[Feature, object] = {
        publishing.create_feature(
            code=f"limit-{number}", name="Limit", kind="number", meter=meter, window=window, filters=filters
        ): 10**12
        for number, (meter, window, filters) in enumerate(counted)
    }
    values[publishing.create_feature(code="models", name="Models", kind="list", allowed=["a", "b"])] = ["a"]
    values[publishing.create_feature(code="seats", name="Seats", kind="number")] = 5
    for code in ("audit", "sso", "support"):
        values[publishing.create_feature(code=code, name=code, kind="switch")] = True
    return values


def _customers(values: dict[Feature, object]) -> None:
    version = publishing.draft_version(publishing.create_plan(code="chat", name="Chat"))
    product = Product.objects.create(code="api", name="API")
    publishing.add_flat_charge(version, code="base", name="Base", product=product, amount=Decimal(5))
    publishing.set_feature_values(version, values)
    publishing.publish(version)
    began = (clock.now() - timedelta(days=60)).date()
    for number in range(CUSTOMERS):
        customer = create_customer(reference=f"customer-{number}", name="Customer", timezone="Europe/Berlin")
        subscribe(customer=customer, version=version, starts_on=began)


def _past(meters: list[Meter]) -> None:
    """Series and buckets of every hour until the one before, as ingestion leaves them; whole days added up."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meters_series (customer, meter_id, subscription, dimensions)"
            " SELECT 'customer-' || customer, %s, '',"
            " jsonb_build_object('model', 'model-' || model, 'token_type', token_type)"
            " FROM generate_series(0, %s) customer, generate_series(0, %s) model,"
            " unnest(ARRAY['input', 'output']) token_type"
            " UNION ALL SELECT 'customer-' || customer, %s, '', '{}' FROM generate_series(0, %s) customer",
            [meters[0].pk, CUSTOMERS - 1, MODELS - 1, meters[1].pk, CUSTOMERS - 1],
        )
        # They are a cache of events: each has its one.
        cursor.execute(
            "INSERT INTO meters_event (customer, reference, type, timestamp, status, subscription, properties)"
            " SELECT 'customer-' || customer, 'past-' || model || '-' || hour, 'llm.request', hour, 'succeeded', '',"
            " jsonb_build_object('model', 'model-' || model, 'input_tokens', 300, 'output_tokens', 40)"
            " FROM generate_series(0, %s) customer, generate_series(0, %s) model,"
            " generate_series(%s, %s, interval '1 hour') hour",
            [
                CUSTOMERS - 1,
                MODELS - 1,
                (now - timedelta(days=DAYS)).replace(minute=0, second=0, microsecond=0),
                now - timedelta(hours=1),
            ],
        )
        cursor.execute(
            "INSERT INTO meters_bucket (series_id, hour, slot, quantity, events)"
            " SELECT series.id, date_trunc('hour', event.timestamp, 'UTC'), 0,"
            " sum(CASE series.dimensions->>'token_type' WHEN 'input' THEN 300 WHEN 'output' THEN 40 ELSE 1 END),"
            " count(*)"
            " FROM meters_event event JOIN meters_series series ON series.customer = event.customer"
            " AND coalesce(series.dimensions->>'model', event.properties->>'model') = event.properties->>'model'"
            " GROUP BY 1, 2"
        )
        cursor.execute("ANALYZE")
    day_totals.close()
    while day_totals.work(timedelta(minutes=1)):
        pass


@contextmanager
def _load(base_url: str, key: str, name: str) -> Iterator[Callable[[], int]]:
    """Senders at work for as long as it lasts; what it gives says afterwards how many batches they sent."""
    over = Event()
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(_send, base_url, key, f"{name}{sender}-", over) for sender in range(SENDERS)]
        try:
            yield lambda: sum(sender.result() for sender in senders)
        finally:
            over.set()
    _raise_first(senders)


def _raise_first(senders: "list[Future[int]]") -> None:
    for sender in senders:
        sender.result()


def _send(base_url: str, key: str, name: str, over: Event) -> int:
    client = _client(base_url)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    sent = 0
    while not over.wait(PAUSE):
        [body] = bodies_of(f"{name}{sent}-", CUSTOMERS, 1, BATCH)
        client.request("POST", "/v1/events", body, headers)
        answer = client.getresponse()
        accepted = json.loads(answer.read()).get("accepted")
        assert (answer.status, accepted) == (200, BATCH)
        sent += 1
    client.close()
    return sent


def _ask(base_url: str, key: str) -> tuple[list[float], list[float]]:
    """The seconds of every request, in order: of empty ones, and of ours."""
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda reader: _ask_share(base_url, key, reader), range(READERS)))
    return sorted(each for empty, _ in found for each in empty), sorted(each for _, ours in found for each in ours)


def _ask_share(base_url: str, key: str, reader: int) -> tuple[list[float], list[float]]:
    client = _client(base_url)
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(REQUESTS // READERS):
        customer = f"/v1/customers/customer-{(number * READERS + reader) % CUSTOMERS}/entitlements"
        for place, address in enumerate(("/empty", customer)):
            began = time.perf_counter()
            client.request("GET", address, headers={"Authorization": f"Bearer {key}"})
            answer = client.getresponse()
            text = answer.read()
            taken[place].append(time.perf_counter() - began)
            assert answer.status == 200, text[:500]
            if place:
                assert len(json.loads(text)["data"]) == 10
    client.close()
    return taken


def _client(base_url: str) -> http.client.HTTPConnection:
    place = urlsplit(base_url)
    assert place.hostname is not None
    return http.client.HTTPConnection(place.hostname, place.port, timeout=120)


def _percentile(seconds: list[float], share: float) -> float:
    return seconds[int(len(seconds) * share)]


def _told(seconds: list[float]) -> str:
    return ", ".join(f"p{share * 100:.0f} {_percentile(seconds, share) * 1e3:.2f} ms" for share in (0.5, 0.99))
