"""Names that break pages, and an invoice of many lines, made by the verbs."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from billing_site.foundation.api_keys import create_key
from catalog.models import PlanVersion, Product
from catalog.versions.publishing import add_flat_charge, add_usage_charge, create_plan, draft_version, publish
from customers.models import Customer
from customers.subscriptions.subscribing import add_alias, create_customer, subscribe
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.invoicing.running import run
from tests.meters.making import event, send

NAMES = {
    "hebrew": "חברת הבדיקות בע״מ של תל אביב",
    "arabic": "شركة الاختبار المحدودة",
    "chinese": "株式会社テスト顧客・長い名前の有限会社北京分公司",
    "emoji": "🚀🔥 Söhne 👩‍👩‍👧‍👦",
    "markup": "<script>alert(1)</script>",
    "quotes": """O'Brien "the" `quote` & <b>bold</b>""",
    "long": "W" * 255,
}
MODELS = 100
ROWS = 20
AFTER = datetime(2026, 4, 2, tzinfo=UTC)


def everything() -> None:
    """Each kind of thing with every name, and what comes of them: invoices, a run, a held draft, strangers' usage."""
    meter, version = _meter(), _many_rows()
    for number, (key, name) in enumerate(NAMES.items()):
        product = Product.objects.create(code=f"p-{key}", name=name[:200], description=name)
        customer = create_customer(reference=name, name=name, address=f"{name}\nTel Aviv", tax_id="DE1234")
        add_alias(customer, f"alias of {name}"[:255])
        _subscribe(customer, _priced(key, name, product, meter), f"{name[:200]} {number}")
        create_key(name=name[:100], scopes=["read"], expires_at=None, created_by=None)
        send(
            event(f"{key}-1", customer=name, type=name, properties={name[:200]: name}),
            event(f"{key}-2", customer=f"stranger {name}"[:255], type=f"strange {name}"[:255]),
        )
    many = create_customer(reference="many", name="Many Lines Ltd")
    send(*_many_events())
    _subscribe(many, version, "many-lines")
    run(AFTER)


def _meter() -> Meter:
    return define_meter(
        code="w" * 100,
        name=NAMES["markup"] + "W" * 170,
        event_type=NAMES["long"],
        aggregation="count",
        unit="U" * 50,
        description=NAMES["long"],
        dimensions=[("d" * 100, "p" * 200)],
        filters=[("p" * 200, "none_of", ["v" * 255])],
    )


def _priced(key: str, name: str, product: Product, meter: Meter) -> PlanVersion:
    version = draft_version(create_plan(code=f"plan-{key}", name=name[:200], description=name), grace=timedelta(0))
    rows = [({"d" * 100: "v" * 255}, Decimal("1e-15")), ({}, Decimal("123456789.123456789"))]
    add_usage_charge(version, code="c" * 100, name=name[:200], product=product, meter=meter, rows=rows)
    add_flat_charge(
        version, code="flat", name=name[:200], product=product, amount=Decimal("1234567890.12"), timing="arrears"
    )
    draft_version(version.plan)
    return publish(version)


def _many_rows() -> PlanVersion:
    """40 rows of a price and one for everything else: 200 combinations come to 200 lines."""
    meter = define_meter(
        code="tokens",
        name="LLM tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input_tokens"), ("output", "output_tokens")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
    )
    product = Product.objects.create(code="llm", name="Language model API")
    version = draft_version(create_plan(code="many", name="Many rows"), grace=timedelta(0))
    rows = [
        ({"model": f"model-{number:03d}", "token_type": label}, Decimal(number + 1) / 100_000)
        for number in range(ROWS)
        for label in ("input", "output")
    ]
    rows.append(({}, Decimal("0.000002")))
    add_usage_charge(version, code="tokens", name="Tokens", product=product, meter=meter, rows=rows)
    return publish(version)


def _many_events() -> list[dict[str, object]]:
    properties = {"input_tokens": 123_456_789, "output_tokens": 98_765}
    return [
        event(f"many-{number}", customer="many", properties={"model": f"model-{number:03d}", **properties})
        for number in range(MODELS)
    ]


def _subscribe(customer: Customer, version: PlanVersion, reference: str) -> None:
    subscribe(customer=customer, version=version, starts_on=date(2026, 3, 1), reference=reference)
