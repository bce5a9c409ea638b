"""What is looked at before publishing, in all currencies and with real usage; and what the page of it shows."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.charges.row_checks import DraftRow
from catalog.charges.seen_values import OFFERED
from catalog.checks.cost_lint import sizes_together
from catalog.checks.linting import SHOWN_OF_A_KIND, lint
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.charging import drafted
from catalog.versions.publishing import change_plan, publish, review, set_price_list, set_rows
from meters.definitions.metering import define_meter
from tests.catalog import making
from tests.catalog.costing import own, utc
from tests.customers.making import use
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def charge(monkeypatch: pytest.MonkeyPatch) -> Charge:
    """300 tokens of model-c in March, and 110 of model-a; looked at in April."""
    charge = making.usage(making.draft(), making.tokens())
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 4, 15, tzinfo=UTC))
    send(event(), event("r2", properties={"model": "model-c", "input_tokens": 300}))
    return charge


def rows(*matches: dict[str, str], price: str = "1") -> list[DraftRow]:
    return [DraftRow(match, per_unit(D(price))) for match in matches]


def test_faults_usage_and_rows_are_looked_at_together(charge: Charge) -> None:
    given = [*rows({"model": "model-a"}, {"token_type": "ouput"}), DraftRow({}, Price())]
    found = lint(charge, "USD", given)
    assert [(each.severity, each.code, each.row, each.column) for each in found.findings] == [
        ("error", "label_unknown", 1, "match"),
        ("error", "price_missing", 2, "price"),
        ("warning", "usage_by_default", 2, "match"),
        ("hint", "row_unused", 1, "match"),
    ]
    assert [(each.usage.dimensions, each.share) for each in found.wanted] == [
        ({"model": "model-c", "token_type": "input"}, "73 %")
    ]


def test_a_value_that_is_nearly_one_of_usage_is_told(charge: Charge) -> None:
    send(
        event("s1", properties={"model": "true", "input_tokens": 1}),
        event("s2", properties={"model": 1, "input_tokens": 1}),
    )
    given = rows(
        *({"model": model} for model in ("TRUE", "true", "Model-A", "1.0", "model-x")), {"token_type": "INPUT"}
    )
    told = [each for each in lint(charge, "USD", given).findings if each.code == "value_unlike"]
    assert [(each.severity, each.row, each.names) for each in told] == [
        ("warning", 0, ("model",)),
        ("warning", 2, ("model",)),
        ("warning", 3, ("model",)),
    ]
    assert told[0].message == "Row 1 names model “TRUE”, which no recent usage has had: did you mean “true”?"
    assert told[2].message.endswith("did you mean “1”?")


def test_values_are_looked_for_among_all_that_were_seen(charge: Charge) -> None:
    """More than are offered to whoever types."""
    send(*(event(f"s{n}", properties={"model": f"m{n:03d}", "input_tokens": 1}) for n in range(OFFERED + 50)))
    send(event("upper", properties={"model": "M249", "input_tokens": 1}))
    given = rows({"model": "m249"}, {"model": "M248"})
    assert [each.row for each in lint(charge, "USD", given).findings if each.code == "value_unlike"] == [1]


def test_what_the_charge_does_with_gaps_is_said(charge: Charge) -> None:
    given = rows({"model": "model-a"})
    assert "are held until it is priced" in lint(charge, "USD", given).findings[0].message
    charge.unmatched = "zero"
    assert "it is charged nothing" in lint(charge, "USD", given).findings[0].message


def test_of_many_findings_of_a_kind_the_first_are_told_and_how_many_there_are(charge: Charge) -> None:
    given = rows(*({"model": f"m{number}"} for number in range(SHOWN_OF_A_KIND + 7)), price="0")
    zero = [each for each in lint(charge, "USD", given).findings if each.code == "price_zero"]
    assert len(zero) == SHOWN_OF_A_KIND + 1
    assert (zero[-1].message, zero[-1].row) == ("So it is with 7 more.", None)


def test_looking_takes_as_many_queries_for_many_rows(charge: Charge) -> None:
    charge = Charge.objects.get(pk=charge.pk)
    with CaptureQueriesContext(connection) as few:
        lint(charge, "USD", rows({}))
    charge = Charge.objects.get(pk=charge.pk)
    with CaptureQueriesContext(connection) as many:
        lint(charge, "USD", rows(*({"model": f"m{number}"} for number in range(500))))
    assert len(many) == len(few)


def test_publishing_shows_warnings_of_every_currency_and_no_hints(charge: Charge) -> None:
    version = set_price_list(charge.version, "EUR").version
    making.fee(version)
    set_rows(charge, None, drafted([({"model": "model-a"}, D(1)), ({"model": "model-z"}, D(1)), ({}, D(1))]))
    set_rows(charge, version.price_lists.get(), drafted([({"model": "model-a"}, D(0)), ({}, D(1))]))
    said = [each for each in review(version).warnings if each.startswith("Charge “Tokens” in")]
    assert said == [
        "Charge “Tokens” in USD: 73 % of the usage of March 2026 hits the default row, 3.",
        "Charge “Tokens” in EUR: 73 % of the usage of March 2026 hits the default row, 2.",
        "Charge “Tokens” in EUR: Row 1 (model = model-a) costs nothing, whatever is used.",
    ]


def test_a_version_is_published_with_warnings(charge: Charge) -> None:
    assert review(charge.version).warnings
    assert publish(charge.version).status == "published"


def test_what_sells_below_cost_is_told(charge: Charge) -> None:
    """model-a costs 2 USD a million."""
    own("0.000002", name="acme/model-a", effective_from=utc(2023, 1, 1))
    given = [*rows({"model": "acme/model-a", "token_type": "input"}, price="0.0000019"), *rows({})]
    assert [each.code for each in lint(charge, "USD", given).findings if each.code == "below_cost"] == []
    Charge.objects.filter(pk=charge.pk).update(cost_model="model", cost_token_type="token_type")
    charge = Charge.objects.get(pk=charge.pk)
    [told] = [each for each in lint(charge, "USD", given).findings if each.code == "below_cost"]
    assert (told.severity, told.row, told.column) == ("warning", 0, "price")
    assert told.message == (
        "Row 1 sells model = acme/model-a, token_type = input at 1.9 USD per 1,000,000 token, which costs 2:"
        " ask for 2 or more."
    )
    plan = charge.version.plan
    plan.margin_floor = D(50)
    change_plan(plan)
    charge = Charge.objects.get(pk=charge.pk)
    [told] = [each for each in lint(charge, "USD", given).findings if each.code == "below_cost"]
    assert told.severity == "error"
    assert told.message.endswith("ask for 3 or more, the cost and 50 %.")
    assert [each.code for each in lint(charge, "EUR", given).findings if each.code == "below_cost"] == []


def test_one_amount_for_any_quantity_is_told_under_a_floor_alone(charge: Charge) -> None:
    own("0.000002", name="acme/model-a", effective_from=utc(2023, 1, 1))
    Charge.objects.filter(pk=charge.pk).update(cost_model="model")
    flat = [DraftRow({"model": "acme/model-a", "token_type": "input"}, Price(Model.FLAT, unit_price=D(50)))]

    def told() -> list[str]:
        findings = lint(Charge.objects.get(pk=charge.pk), "USD", flat).findings
        return [each.severity for each in findings if each.code == "below_cost"]

    assert told() == []
    charge.version.plan.margin_floor = D(0)
    change_plan(charge.version.plan)
    assert told() == ["error"]


BY_COST = Price(Model.COST_PLUS, percent=D(20))


@pytest.mark.parametrize(
    ("match", "bands", "context", "told"),
    [
        ({}, [], "", "acme/acme-1, home/ours above 200,000; home/ours above 400,000"),
        ({"model": "acme-1"}, [], "", "acme/acme-1 above 200,000"),
        ({"model": "acme-1"}, [("size", [128_000])], "size", "acme/acme-1 above 200,000"),
        ({"model": "acme-1"}, [("size", [128_000, 200_000])], "", "choose the band “size”."),
        ({"model": "acme-1"}, [("size", [128_000, 200_000])], "size", ""),
        ({}, [("size", [200_000])], "size", "home/ours above 400,000"),
        ({"model": "acme-0"}, [], "", ""),
    ],
)
def test_sizes_of_requests_that_a_price_by_cost_does_not_tell_apart(
    match: dict[str, str], bands: list[tuple[str, list[int]]], context: str, told: str
) -> None:
    for name, sizes in {"acme/acme-1": [200_000], "home/ours": [200_000, 400_000], "acme/acme-0": []}.items():
        own("0.000002", name=name)
        for step, size in enumerate(sizes, 3):
            own(f"0.00000{step}", name=name, above=size)
    meter = define_meter(
        code="tokens", name="Tokens", event_type="llm", aggregation="sum", unit="token",
        values=[("", "n")], dimensions=[("model", "model")], bands=[(name, ["n"], sizes) for name, sizes in bands],
    )  # fmt: skip
    for name in ("acme/acme-1", "home/ours", "acme/acme-0"):
        use("acme", meter, clock.now(), 1, {"model": name})
    charge = making.usage(making.draft(), meter, [(match, BY_COST)])
    Charge.objects.filter(pk=charge.pk).update(cost_model="model", cost_context=context)
    said = [each for each in review(charge.version).warnings if "requests of more input tokens" in each]
    assert len(said) == bool(told)
    assert all(told in each for each in said)
    if told and not context and not bands:
        assert "the meter “tokens” has no band of these sizes, so charge for one that has." in said[0]


def test_prices_that_ask_for_no_cost_have_no_sizes(charge: Charge) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert list(sizes_together(charge, rows({}))) == []
    assert len(captured) == 0
