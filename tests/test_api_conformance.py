"""Every operation of the OpenAPI document, called with what the document allows and with what it does not.

No answer is a 5xx, none has a status or a shape that the document does not tell. An operation that is added is called
too, without a word here. Examples are the same in every run.
"""

import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import Scope
from billing_site.wsgi import application
from catalog.costs import own_costs
from catalog.costs.own_costs import Entry
from catalog.documents import plan as documents
from catalog.documents.importing import bring
from catalog.versions.products import create_product
from catalog.versions.publishing import create_feature
from customers.deals import redeeming
from customers.subscriptions import subscribing
from invoicing.models import Invoice
from meters.definitions.metering import define_meter
from meters.models import Event
from tests.catalog import plan_documents
from tests.customers import making
from tests.customers.dealing import coupon, override
from tests.invoicing.running import plan_with, run, subscribed, utc

pytestmark = pytest.mark.django_db

WHOLE_PLANS = "/document$"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.ignored_auth,
]

Start = Callable[..., Any]
Existing = dict[str, dict[str, Any]]


def compressing(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """The site; a body that is said to be gzip is made so on its way."""
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        body = gzip.compress(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return application(environ, start)


document: dict[str, Any] = SchemaGenerator().get_schema(public=True)
schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict({"seed": 1}))
schema.app = compressing
answered: dict[str, Counter[int]] = {}


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """The site closes connections after a request; the test's transaction is on this one."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def existing(db: None) -> Existing:
    """A customer with usage, a subscription and an invoice; another one without; a plan to subscribe to; features.

    And a catalogue: a product and a meter that nothing uses, a plan with a draft that can be published, one to retire.
    """
    requests = making.meter("requests", dimensions=["model"], unit="request")
    create_feature(code="requests", name="Requests", kind="number", meter=requests, window="month")
    create_feature(code="unused", name="Unused", kind="switch")
    version = plan_with(requests, arrears="5")
    subscription = subscribed(version, "acme")
    making.use("acme", requests, utc(2024, 1, 2), 1234, {"model": "a"})
    run(utc(2024, 2, 1, 1))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # as in a transaction that has finalized nothing
    subscribing.create_customer(reference="globex", name="Globex", currency="USD", timezone="UTC")
    own_costs.record_cost(Entry("acme", "acme-1", "input", Decimal("0.000001")), "dana")
    define_meter(code="unused", name="Unused", event_type="none", aggregation="count", unit="one")
    create_product(code="unused", name="Unused")
    chatbot = plan_documents.chatbot()
    draft = {"code": chatbot["code"], "number": 1}
    bring(documents.from_json(chatbot))
    coupon("SPRING", max_per_customer=None)
    coupon("OTHER")
    term = override(subscription, "fee", date(2024, 2, 1), charge="charge-0", amount="4")
    redemption = redeeming.redeem(subscription, "SPRING")
    named = {"reference": subscription.reference}
    return {
        "/v1/model-costs/{name}": {"name": "acme/acme-1"},
        "/v1/plans/{code}/versions/{number}/retire": {"code": version.plan.code, "number": version.number},
        "/v1/plans/{code}/versions/{number}/charges/{charge}": {**draft, "charge": "tokens"},
        "/v1/plans/{code}/versions/{number}/price-lists/{currency}": {**draft, "currency": "EUR"},
        "/v1/plans/{code}/versions": draft,
        "/v1/plans/{code}/document": draft,
        "/v1/products/{code}": {"code": "unused"},
        "/v1/meters/{code}": {"code": "unused"},
        "/v1/subscriptions/{reference}/overrides": {**named, "number": term.pk},
        "/v1/subscriptions/{reference}/coupons": {**named, "number": redemption.pk},
        "/v1/subscriptions/{reference}": named,
        "/v1/coupons": {"code": "OTHER"},
        "/v1/invoices/{id}": {"id": Invoice.objects.get().pk},
        "/v1/plans/{code}": draft,
        "/v1/features/{code}": {"code": "unused"},
        "": {
            "customer": "acme",
            "reference": "acme",
            "plan": version.plan.code,
            "feature": "requests",
            "event": Event.objects.get().reference,
        },
    }


BODIES = {
    "POST /v1/coupons": {"code": "new", "name": "New", "percent": "10"},
    "PATCH /v1/coupons/{code}": {"name": "Other name"},
    "POST /v1/subscriptions/{reference}/overrides": {
        "what": "price",
        "charge": "charge-1",
        "price": {"unit_price": "0.5"},
        "starts_on": "2024-02-01",
        "reason": "Deal",
    },
    "POST /v1/subscriptions/{reference}/overrides/{number}/end": {"ends_on": "2024-03-01"},
    "POST /v1/subscriptions/{reference}/coupons": {"code": "spring", "first_invoice_on": "2030-01-01"},
}


def make_real(case: schemathesis.Case, existing: Existing) -> None:
    """Let a request that the document allows name what there is: at random it would not, and only ever be refused."""
    known = existing[""] | next((names for place, names in existing.items() if place and place in case.path), {})
    case.path_parameters.update({name: value for name, value in known.items() if name in case.path_parameters})
    case.headers.pop("If-Match", None)
    if case.path in CATALOGUE:
        make_real_of_catalogue(case)
        return
    asked = {"from": "2024-01-01", "to": "2024-02-01", "customer": "acme", "meter": "requests", "group_by": "model"}
    named = asked.keys() & case.query.keys()
    case.query.update({name: asked[name] for name in named})
    if isinstance(case.body, dict) and f"{case.method} {case.path}" in BODIES:
        case.body = {**BODIES[f"{case.method} {case.path}"]}
    elif isinstance(case.body, dict) and "token_type" in case.body:
        case.body |= {"provider": "acme", "model": "acme-1", "token_type": "input", "cost": "0.0000025"}
        case.body |= {"effective_from": None, "hours": None, "above": 0, "note": "agreed"}
    elif isinstance(case.body, dict) and "plan" in case.body:
        case.body |= {"customer": "globex", "plan": known["plan"], "starts_on": "2026-03-01"}
        case.body.pop("version", None)
    elif isinstance(case.body, dict) and case.body.get("ends_on"):
        case.body = {"ends_on": "2030-01-01"}


# What makes sense of what the document allows: codes that are there, sums that can be paid.
CATALOGUE: dict[str, Any] = {
    "/v1/products": {"code": "made", "name": "Made"},
    "/v1/products/{code}": {"code": "changed"},
    "/v1/features": {"code": "made", "name": "Made", "kind": "switch"},
    "/v1/meters": plan_documents.METERS["calls"] | {"code": "made"},
    "/v1/meters/{code}": {"code": "changed", "rounding": "ceil", "rounding_places": 2},
    "/v1/plans": {"code": "made", "name": "Made", "margin_floor": "5"},
    "/v1/plans/{code}": {"code": "changed", "consumption": "metered"},
    "/v1/plans/{code}/document": plan_documents.chatbot(interval="year"),
    "/v1/plans/{code}/versions": {"clone_of": 1},
    "/v1/plans/{code}/versions/{number}": {"interval": "week", "grace_seconds": 60},
    "/v1/plans/{code}/versions/{number}/document": plan_documents.chatbot(interval="year"),
    "/v1/plans/{code}/versions/{number}/price-lists/{currency}": {"cap": "5"},
    "/v1/plans/{code}/versions/{number}/charges": {
        "code": "made",
        "name": "Made",
        "kind": "flat",
        "product": "api",
        "amount": "5",
    },
    "/v1/plans/{code}/versions/{number}/charges/{charge}": {"rows": [{"unit_price": "1"}]},
}


def make_real_of_catalogue(case: schemathesis.Case) -> None:
    """A body that does something: what was given of the fields that say nothing of others stays."""
    if isinstance(case.body, dict):
        kept = {name: value for name, value in case.body.items() if name in ("name", "description", "tax_category")}
        case.body = CATALOGUE[case.path] | {name: value for name, value in kept.items() if 0 < len(value) < 200}


def examples(most: int) -> Callable[[Callable[..., None]], Any]:
    return settings(
        max_examples=most,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@schema.exclude(path_regex=WHOLE_PLANS).parametrize()
@examples(20)
def test_operation(case: schemathesis.Case, existing: Existing) -> None:
    called_as_documented(case, existing)


@schema.include(path_regex=WHOLE_PLANS).parametrize()
@examples(8)  # to make one up takes a second
def test_operation_with_a_whole_plan(case: schemathesis.Case, existing: Existing) -> None:
    called_as_documented(case, existing)


def called_as_documented(case: schemathesis.Case, existing: Existing) -> None:
    answers = answered.setdefault(f"{case.method} {case.path}", Counter())
    if answers.total() % 2 and case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        make_real(case, existing)
    _, secret = create_key("caller", [scope.value for scope in Scope])
    headers = {"Authorization": f"Bearer {secret}"}
    response = case.call(headers=headers)
    answers[response.status_code] += 1
    case.validate_response(response, checks=CHECKS, headers=headers)


def test_every_operation_was_called_and_did_something(capsys: pytest.CaptureFixture[str]) -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    with capsys.disabled():
        for name, answers in sorted(answered.items(), key=lambda each: each[0].split()[::-1]):
            if name not in operations:
                continue  # a method that is not offered, which was tried too
            told = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
            print(f"\n  {name}: {told}", end="")  # noqa: T201
    if len(answered) < len(operations):
        pytest.skip("Only some of the operations were called.")
    called = {name for name, answers in answered.items() if any(200 <= status < 300 for status in answers)}
    assert operations - called == set()
