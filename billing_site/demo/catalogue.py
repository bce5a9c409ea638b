"""The chatbot plan and its customer, made by the verbs of admin and API. Run again, it finds what is there."""

from datetime import date, timedelta
from decimal import Decimal

from catalog.models import Plan, PlanVersion, Product
from catalog.versions.charging import add_usage_charge
from catalog.versions.drafting import create_plan, draft_version
from catalog.versions.publishing import publish
from customers.models import Customer, Subscription
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.definitions.metering import define_meter
from meters.models import Meter

CUSTOMER = "splitwise"
PRICES = {
    ("model-a", "input"): Decimal("0.00001"),
    ("model-a", "output"): Decimal("0.00002"),
    ("model-b", "input"): Decimal("0.000005"),
    ("model-b", "output"): Decimal("0.00001"),
}


def chatbot_plan() -> PlanVersion:
    """0.01 USD per API call, and a price per token for each model and direction; billed monthly, without grace."""
    published = PlanVersion.objects.filter(plan__code="chatbot", status=PlanVersion.Status.PUBLISHED).first()
    return published or publish(_draft())


def _draft() -> PlanVersion:
    plan = Plan.objects.filter(code="chatbot").first() or create_plan(code="chatbot", name="Chatbot")
    # A draft that an interrupted demo left half priced is passed over, never published.
    version = draft_version(plan, currency="USD", interval="month", grace=timedelta(0))
    product, _ = Product.objects.get_or_create(code="chatbot-api", defaults={"name": "Chatbot API"})
    add_usage_charge(
        version, code="calls", name="API calls", product=product, meter=_calls(), rows=[({}, Decimal("0.01"))]
    )
    rows = [({"model": model, "token_type": direction}, price) for (model, direction), price in PRICES.items()]
    add_usage_charge(version, code="tokens", name="Tokens", product=product, meter=_tokens(), rows=rows)
    return version


def _calls() -> Meter:
    return Meter.objects.filter(code="api_calls").first() or define_meter(
        code="api_calls", name="API calls", event_type="llm.request", aggregation="count", unit="call"
    )


def _tokens() -> Meter:
    return Meter.objects.filter(code="llm_tokens").first() or define_meter(
        code="llm_tokens",
        name="LLM tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input_tokens"), ("output", "output_tokens")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
    )


def customer() -> Customer:
    return Customer.objects.filter(reference=CUSTOMER).first() or create_customer(
        reference=CUSTOMER, name="Splitwise Research", currency="USD", timezone="UTC"
    )


def november(version: PlanVersion) -> Subscription:
    """The subscription from 2023-11-01 to 2023-12-01: its one period has ended long ago, so it is due at once."""
    return Subscription.objects.filter(reference="splitwise-november").first() or subscribe(
        customer=customer(),
        version=version,
        starts_on=date(2023, 11, 1),
        ends_on=date(2023, 12, 1),
        reference="splitwise-november",
    )
