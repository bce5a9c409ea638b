"""What failed calls cost in money: by model and token type, at the hour of each, and what nobody knows the cost of."""

import csv
import io
from decimal import Decimal

import pytest
from django.test import Client

from catalog.models import Charge
from catalog.versions.publishing import add_usage_charge
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.catalog import making
from tests.catalog.costing import own, utc
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

CALLS = "/admin/calls/"
DAYS = {"first": "2026-03-09", "last": "2026-03-10"}


def failed(reference: str, day: int, model: str | None = "acme/acme-1", **more: object) -> object:
    properties = {"input_tokens": 1_000_000, "output_tokens": 10_000} | ({} if model is None else {"model": model})
    return event(reference, status="failed", timestamp=f"2026-03-{day:02}T12:00:00Z", properties=properties, **more)


@pytest.fixture
def tokens() -> Meter:
    return making.tokens()


@pytest.fixture
def charge(tokens: Meter) -> Charge:
    own("0.000002", effective_from=utc(2023, 1, 1))
    own("0.000003", effective_from=utc(2026, 3, 10, 12))
    own("0.00001", "output", effective_from=utc(2023, 1, 1))
    return add_usage_charge(
        making.draft(), meter=tokens, code="tokens", name="Tokens", product=making.product(),
        cost_model="model", cost_token_type="token_type",
    )  # fmt: skip


def test_each_call_costs_what_its_model_did_at_its_hour(admin_client: Client, charge: Charge) -> None:
    send(failed("a", 9), failed("b", 10), event("c", timestamp="2026-03-10T11:00:00Z"))
    answer = admin_client.get(CALLS, DAYS)
    # 2 + 0.1, and 3 + 0.1; the call that went well is not in it
    assert answer.context["cost"] == "5.2000"
    assert [row["cost"] for row in answer.context["rows"]] == ["5.2000"]
    assert "Failed calls cost, in USD" in answer.content.decode()
    text = admin_client.get(CALLS, {**DAYS, "format": "csv"}).content.decode()
    header, line = csv.reader(io.StringIO(text))
    assert dict(zip(header, line, strict=True))["failed_cost_usd"] == "5.2"


def test_what_nobody_knows_the_cost_of_is_told_in_units(admin_client: Client, charge: Charge) -> None:
    send(failed("a", 9), failed("b", 9, "nobody/x"), failed("c", 9, None, customer="b"))
    rows = admin_client.get(CALLS, DAYS).context["rows"]
    assert [(row["customer"], row["cost"], row["unknown"]) for row in rows] == [
        ("acme", "2.1000", "1,010,000"),
        ("b", "0.0000", "1,010,000"),
    ]


def test_two_meters_of_one_type_count_nothing_twice(admin_client: Client, charge: Charge) -> None:
    other = define_meter(
        code="all_tokens", name="All", event_type="llm.request", aggregation="sum", unit="token",
        values=[("", "input_tokens")], dimensions=[("model", "model")],
    )  # fmt: skip
    add_usage_charge(
        charge.version, meter=other, code="all", name="All", product=making.product(), cost_model="model",
        rows=[({}, Decimal(1))],
    )  # fmt: skip
    send(failed("a", 9))
    assert admin_client.get(CALLS, DAYS).context["cost"] == "2.1000"


def test_without_a_charge_that_names_costs_nothing_is_said(admin_client: Client, tokens: Meter) -> None:
    send(failed("a", 9))
    answer = admin_client.get(CALLS, DAYS)
    assert not answer.context["costs"]
    assert "in USD" not in answer.content.decode()
