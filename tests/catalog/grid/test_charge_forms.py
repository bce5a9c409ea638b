"""The terms of a charge in the admin: allowance, minimum and cap, in every currency, and what a unit costs."""

from decimal import Decimal

import pytest
from django.test import Client

from catalog.models import Charge, ChargeAmount
from catalog.pricing.price import Model
from catalog.versions.publishing import publish, set_amounts, set_price_list
from meters.definitions.metering import define_meter
from tests.catalog import making
from tests.catalog.plans.test_admin import ALL, errors, page, plain, row, rows_form, signed_in, stored, text

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def alice() -> Client:
    return signed_in(*ALL)


@pytest.fixture
def tokens() -> Charge:
    version = making.draft()
    set_price_list(version, "EUR")
    return making.usage(version, making.tokens())


def terms(charge: Charge, **changed: str) -> dict[str, str]:
    """What the browser sends, rows aside."""
    given = rows_form(charge, [])
    return {name: value for name, value in given.items() if not name.startswith("cells-")} | changed


def test_terms_are_saved_in_every_currency_and_rows_stay(alice: Client, tokens: Charge) -> None:
    before = stored(tokens)
    given = {"included": "1000.5", "minimum": "5", "cap": "900.25", "minimum_in_EUR": "4.5", "cap_in_EUR": "800"}
    costs = {"cost_model": "model", "cost_token_type": "token_type"}
    answer = alice.post(page("charge_change", tokens.pk), terms(tokens, **given, **costs))
    assert answer.status_code == 302, errors(answer)
    tokens.refresh_from_db()
    assert (tokens.included, tokens.minimum, tokens.cap) == (D("1000.5"), 5, D("900.25"))
    assert (tokens.cost_model, tokens.cost_token_type, tokens.cost_context) == ("model", "token_type", "")
    euro = tokens.amounts.get()
    assert (euro.price_list.currency, euro.minimum, euro.cap) == ("EUR", D("4.5"), 800)
    assert stored(tokens) == before
    shown = text(alice.get(page("charge_change", tokens.pk)))
    for value in ("1000.5", "900.25", "4.5", "800"):
        assert f'value="{value}"' in shown
    alice.post(page("charge_change", tokens.pk), terms(tokens))
    tokens.refresh_from_db()
    assert (tokens.included, tokens.minimum, tokens.cap, tokens.cost_model) == (None, None, None, "")
    assert ChargeAmount.objects.values_list("minimum", "cap").get() == (None, None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"minimum": "5.001"}, "The minimum 5.001 is finer than USD can be paid"),
        ({"minimum_in_EUR": "5.001"}, "The minimum 5.001 is finer than EUR can be paid"),
        ({"minimum": "9", "cap": "8"}, "The minimum 9 is above the cap 8: write a minimum of 8 or less"),
        ({"minimum_in_EUR": "9", "cap_in_EUR": "8"}, "The minimum 9 is above the cap 8: write a minimum of 8 or less"),
        ({"included": "-1"}, "is negative"),
        ({"included": "1,5"}, "“1,5” has a comma: write a point for decimals"),
        ({"minimum_in_EUR": "1.000,50"}, "“1.000,50” has a comma: write a point for decimals"),
        ({"cap": "a lot"}, "“a lot” is no number: write it in digits"),
        ({"cap": "NaN"}, "“NaN” is no number: write it in digits"),
        ({"position": "1,5"}, "“Place on the invoice” is no whole number: write it in digits alone."),
        ({"cost_token_type": "token_type"}, "Say first which dimension holds the model."),
        ({"cost_model": "region"}, "Select a valid choice"),
    ],
)
def test_wrong_terms_are_told_in_place_and_nothing_is_saved(
    alice: Client, tokens: Charge, changed: dict[str, str], said: str
) -> None:
    response = alice.post(page("charge_change", tokens.pk), terms(tokens, name="Changed", **changed))
    assert response.status_code == 200
    assert said in errors(response)
    tokens.refresh_from_db()
    assert (tokens.name, tokens.amounts.exists()) == ("Tokens", False)


def test_nothing_can_be_included_of_what_has_no_total(alice: Client) -> None:
    meter = define_meter(
        code="peak", name="Peak", event_type="x", aggregation="max", unit="seat", values=[("", "seats")]
    )
    charge = making.usage(making.draft(), meter, [({}, D(1))])
    response = alice.post(page("charge_change", charge.pk), terms(charge, included="5"))
    assert "from which nothing can be taken off" in errors(response)


def test_only_the_meters_own_names_are_offered_for_costs(alice: Client) -> None:
    meter = define_meter(
        code="banded",
        name="Banded",
        event_type="x",
        aggregation="sum",
        unit="token",
        values=[("", "tokens")],
        dimensions=[("model", "model"), ("region", "region")],
        bands=[("size", ["tokens"], [200_000])],
    )
    charge = making.usage(making.draft(), meter, [({}, D(1))])
    fields = alice.get(page("charge_change", charge.pk)).context["adminform"].form.fields
    offered = {name: [value for value, _ in fields[name].choices] for name in ("cost_model", "cost_context")}
    assert offered == {"cost_model": ["", "model", "region", "size"], "cost_context": ["", "size"]}
    # One that the meter has no more stays to be seen, and is refused.
    Charge.objects.filter(pk=charge.pk).update(cost_model="gone")
    fields = alice.get(page("charge_change", charge.pk)).context["adminform"].form.fields
    assert ("gone", "gone") in fields["cost_model"].choices
    response = alice.post(page("charge_change", charge.pk), terms(charge, cost_model="gone"))
    assert "has no dimension “gone” that can be priced" in errors(response)


def test_a_fee_is_due_once_and_has_an_amount_in_every_currency(alice: Client) -> None:
    version = making.draft()
    euro = set_price_list(version, "EUR")
    fee = making.fee(version)
    given = {"name": "Set-up", "code": "base", "product": str(fee.product_id), "amount": "20", "position": "0"}
    answer = alice.post(page("charge_change", fee.pk), {**given, "timing": "once", "amount_in_EUR": "18.5"})
    assert answer.status_code == 302, errors(answer)
    fee.refresh_from_db()
    assert (fee.timing, fee.amounts.get().amount) == ("once", D("18.5"))
    set_amounts(fee, euro, amount=D(19))
    publish(version)
    assert "fee €19.00" in text(alice.get(page("charge_change", fee.pk)))


def test_terms_are_given_to_a_new_charge(alice: Client) -> None:
    version, meter = making.draft(), making.calls()
    usage = {"version": version.pk, "kind": "usage", "name": "Calls", "code": "calls", "product": making.product().pk}
    usage |= {"meter": meter.pk, "unit_price": "0.01", "unmatched": "hold"}
    alice.post(page("charge_add"), {**usage, "included": "100", "minimum": "5"})
    charge = Charge.objects.get()
    assert (charge.included, charge.minimum, charge.cap) == (100, 5, None)


# Rows as plain fields


def test_any_price_is_written_in_a_plain_table_of_any_currency(alice: Client, tokens: Charge) -> None:
    rows = [
        row("a", "input", "1000: 0.02; : 0.01 + 5") | {"model": "graduated"},
        row("b", "input", "2 per 1000") | {"model": "package"},
        row(unit_price="20%") | {"model": "cost_plus"},
    ]
    answer = alice.post(plain(tokens, "EUR"), {**rows_form(tokens, rows), "_continue": "1"})
    assert (answer.status_code, answer["Location"]) == (302, plain(tokens, "EUR"))
    cells = list(tokens.cells.filter(price_list__currency="EUR"))
    assert [cell.model for cell in cells] == [Model.GRADUATED, Model.PACKAGE, Model.COST_PLUS]
    assert tokens.cells.filter(price_list=None).count() == 4
    formset = alice.get(plain(tokens, "EUR")).context["inline_admin_formsets"][0].formset
    assert [form.initial["price"] for form in formset.forms[:3]] == ["1000: 0.02; : 0.01 + 5", "2 per 1000", "20%"]


@pytest.mark.parametrize(
    ("model", "price", "said"),
    [
        ("graduated", "1000: 0.02", "Tier 1, the last one, ends at 1000: leave its upper bound empty."),
        ("graduated", "0.02", "“0.02” is no tier: write its upper bound, a colon and its price."),
        ("package", "2 per 0", "The package size is 0"),
        ("percentage", "x%", "“x” is no percentage"),
        ("gratis", "1", "Select a valid choice"),
    ],
)
def test_a_price_that_cannot_be_is_told_at_its_row(
    alice: Client, tokens: Charge, model: str, price: str, said: str
) -> None:
    before = stored(tokens)
    response = alice.post(plain(tokens), rows_form(tokens, [row("a", "input", price) | {"model": model}]))
    assert said in errors(response)
    assert stored(tokens) == before
