"""The chatbot's meters and prices, made by the verbs that people's clicks end in."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count

from catalog.models import Charge, PlanVersion, Product
from catalog.versions.publishing import (
    add_flat_charge,
    add_usage_charge,
    create_plan,
    draft_version,
    set_amounts,
    set_price_list,
)
from meters.definitions.metering import define_meter
from meters.models import Meter

_numbers = count(1)
TOKEN_PRICES = [
    ({"model": "model-a", "token_type": "input"}, Decimal("0.00001")),
    ({"model": "model-a", "token_type": "output"}, Decimal("0.00002")),
    ({"model": "model-b", "token_type": "input"}, Decimal("0.000005")),
    ({"model": "model-b", "token_type": "output"}, Decimal("0.00001")),
]


def product() -> Product:
    return Product.objects.get_or_create(code="chatbot-api", defaults={"name": "Chatbot API"})[0]


def tokens(code: str = "llm_tokens") -> Meter:
    """Priced by model and token_type; `region` is recorded but pending."""
    return define_meter(
        code=code,
        name="LLM tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input_tokens"), ("output", "output_tokens")],
        label_dimension="token_type",
        dimensions=[("model", "model"), ("region", "region", "pending")],
    )


def calls(code: str = "api_calls") -> Meter:
    return define_meter(code=code, name="API calls", event_type="llm.request", aggregation="count", unit="call")


def draft(**terms: object) -> PlanVersion:
    number = next(_numbers)
    return draft_version(create_plan(code=f"chatbot-{number}", name="Chatbot"), **terms)  # type: ignore[arg-type]


def usage(
    version: PlanVersion,
    meter: Meter,
    rows: Sequence[tuple[Mapping[str, object], Decimal]] = TOKEN_PRICES,
    code: str = "tokens",
    unmatched: str = "hold",
) -> Charge:
    return add_usage_charge(
        version, code=code, name=code.title(), product=product(), meter=meter, rows=rows, unmatched=unmatched
    )


def fee(version: PlanVersion, amount: str = "20.00", code: str = "base", timing: str = "advance") -> Charge:
    return add_flat_charge(
        version, code=code, name=code.title(), product=product(), amount=Decimal(amount), timing=timing
    )


def chatbot() -> PlanVersion:
    """A draft: 20.00 a month, 0.01 a call, and a price per token for each model and direction."""
    version = draft()
    fee(version)
    usage(version, calls(), [({}, Decimal("0.01"))], code="calls")
    usage(version, tokens())
    return version


def draft_with_fee() -> PlanVersion:
    version = draft()
    fee(version)
    return version


def in_credits() -> PlanVersion:
    """7 credits a call, at 0.02 USD or 0.018 EUR a credit; 20 USD or 18 EUR a month, with 1,000 credits."""
    plan = create_plan(code="credits", name="Credits", consumption="credits")
    version = draft_version(plan, when_empty="invoice", included_credits=Decimal(1000), credit_price=Decimal("0.02"))
    usage(version, calls(), [({}, Decimal(7))], code="calls")
    base = fee(version)
    euro = set_price_list(version, "EUR", credit_price=Decimal("0.018"))
    set_amounts(base, euro, amount=Decimal(18))
    return version
