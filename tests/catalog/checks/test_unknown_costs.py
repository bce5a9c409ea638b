"""A price by cost for models whose cost nobody knows is told before it is published, from the usage of last month."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.charges.row_checks import DraftRow
from catalog.checks.linting import lint
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.publishing import review, set_rows
from tests.catalog import making
from tests.catalog.costing import own, utc
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

D = Decimal
SINCE = {"effective_from": utc(2023, 1, 1)}
BY_COST = DraftRow({}, Price(Model.COST_PLUS, percent=D(20)))


@pytest.fixture
def charge(monkeypatch: pytest.MonkeyPatch) -> Charge:
    """In March 390 input tokens of gpt, whose cost is known, and 110 of mystery-1; looked at in April."""
    charge = making.usage(making.draft(), making.tokens())
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 4, 15, tzinfo=UTC))
    own("0.000002", name="acme/gpt", **SINCE)
    send(
        event("a", properties={"model": "gpt", "input_tokens": 390}),
        event("b", properties={"model": "mystery-1", "input_tokens": 110}),
    )
    Charge.objects.filter(pk=charge.pk).update(cost_model="model", cost_token_type="token_type")
    return Charge.objects.get(pk=charge.pk)


def told(charge: Charge, *rows: DraftRow, currency: str = "USD") -> list[str]:
    return [each.message for each in lint(charge, currency, rows).findings if each.code == "cost_unknown"]


def test_the_share_and_the_models_are_told(charge: Charge) -> None:
    """110 of 500."""
    said = "22 % of the usage of March 2026 is of models whose cost nobody knows; invoices with it are held: mystery-1."
    assert told(charge, BY_COST) == [said]
    set_rows(charge, None, [BY_COST])
    assert f"Charge “Tokens”: {said}" in review(charge.version).warnings


def test_it_is_of_usage_alone_that_is_priced_by_cost(charge: Charge) -> None:
    mystery = DraftRow({"model": "mystery-1"}, per_unit(D(1)))
    assert told(charge, mystery, BY_COST) == []
    assert told(charge, DraftRow({}, per_unit(D(1)))) == []
    assert told(charge, BY_COST, currency="EUR") == []
    own("0.000001", name="acme/mystery-1", **SINCE)
    assert told(charge, BY_COST) == []


def test_what_is_missing_is_named(charge: Charge) -> None:
    """Usage without a model; a known model at a token type without a cost; and of many models the first."""
    send(event("c", properties={"input_tokens": 50}), event("d", properties={"model": "gpt", "output_tokens": 40}))
    send(*(event(f"m{n}", properties={"model": f"m{n}", "input_tokens": 30 - n}) for n in range(4)))
    [message] = told(charge, BY_COST)
    assert message.endswith("held: mystery-1, usage without model, gpt (output), m0, m1 and 2 more.")


def test_it_asks_as_much_for_many_models(charge: Charge) -> None:
    def asked(models: int) -> int:
        send(*(event(f"{models}-{n}", properties={"model": f"x{n}", "input_tokens": 1}) for n in range(models)))
        known = Charge.objects.get(pk=charge.pk)
        with CaptureQueriesContext(connection) as captured:
            assert len(told(known, BY_COST)) == 1
        return len(captured)

    asked(2)  # the first to ask reads the names
    assert asked(1) == asked(60)
