"""What a reviewer reads of a version: what is new, whole, and each price in what it is priced in."""

from decimal import Decimal

import pytest

from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.price import per_unit
from catalog.versions.price_tables import price_tables
from catalog.versions.publishing import (
    add_usage_charge,
    change_charge,
    change_version,
    clone_version,
    publish,
    remove_charge,
    remove_price_list,
    review,
    set_amounts,
    set_price_list,
    set_rows,
)
from tests.catalog import making

pytestmark = pytest.mark.django_db

D = Decimal


def two_rows(*prices: str) -> list[DraftRow]:
    return [DraftRow({"model": model}, per_unit(D(price))) for model, price in zip("ab", prices, strict=True)]


def test_credits_are_said_to_be_credits() -> None:
    version = making.in_credits()
    tables = price_tables(version)
    assert [(table.currency, table.lines[:2]) for table in tables] == [
        ("USD", [("Calls", "everything (*)", "7 credits per call"), ("Base", "", "$20.00 in advance")]),
        ("EUR", [("Calls", "everything (*)", "7 credits per call"), ("Base", "", "€18.00 in advance")]),
    ]
    assert tables[1].lines[2:] == [
        ("All usage", "Credits that each period grants", "1,000"),
        ("", "A credit beyond those", "0.018 EUR"),
        ("", "When the wallet is empty", "Go on, and invoice what is beyond it when the period is over"),
    ]
    second = clone_version(publish(version))
    calls = second.charges.get(code="calls")
    set_rows(calls, None, [DraftRow({}, per_unit(D(8)))])
    making.usage(second, making.calls("jobs"), [({}, D(3))], code="jobs")
    change_charge(second.charges.get(code="jobs"), minimum=D(500))
    assert review(second).changes == [
        "“Calls”: everything (*) changes from 7 credits per call to 8 credits per call.",
        "New charge “Jobs”: the usage of API calls (jobs), 3 credits per call for everything (*).",
        "“Jobs”: usage that no row matches: “Hold the invoice until somebody prices it”.",
        "“Jobs”: the minimum is 500 credits.",
    ]


def test_a_new_currency_is_told_with_all_its_sums_and_rows() -> None:
    version = making.draft()
    base, tokens = making.fee(version), making.usage(version, making.tokens(), [({}, D("0.01"))])
    change_charge(tokens, minimum=D(5))
    change_version(version, minimum=D(50), commitment_product=making.product())
    second = clone_version(publish(version))
    base, tokens = second.charges.all()
    euro = set_price_list(second, "EUR", minimum=D(45))
    set_amounts(base, euro, amount=D("18.50"))
    set_amounts(tokens, euro, minimum=D(4))
    set_rows(tokens, euro, two_rows("0.009", "0.5"))
    assert review(second).changes == [
        "It is offered in EUR, too.",
        "The minimum of all usage in EUR is 45.",
        "“Base” in EUR: the fee is 18.5.",
        "“Tokens” in EUR: the minimum is 4.",
        "“Tokens” in EUR: new row model = a at 9 EUR per 1,000 token.",
        "“Tokens” in EUR: new row model = b at 500 EUR per 1,000 token.",
    ]
    third = clone_version(second)
    assert [line for table in price_tables(third) for line in table.lines if "EUR" in table.currency] == [
        ("Base", "", "€18.50 in advance"),
        ("Tokens", "model = a", "9 EUR per 1,000 token"),
        ("", "model = b", "500 EUR per 1,000 token"),
        ("", "Minimum", "€4.00"),
        ("All usage", "Minimum", "€45.00"),
    ]


def test_a_new_charge_is_told_with_all_its_terms_and_rows() -> None:
    version = making.draft()
    making.fee(version)
    euro = set_price_list(version, "EUR")
    set_amounts(version.charges.get(), euro, amount=D(18))
    second = clone_version(publish(version))
    tokens = add_usage_charge(
        second, meter=making.tokens(), code="tokens", name="Tokens", product=making.product(), unmatched="zero",
        cost_model="model",
    )  # fmt: skip
    change_charge(tokens, included=D(1000), minimum=D(5), cap=D(90))
    set_rows(tokens, None, two_rows("1", "2"))
    euro = second.price_lists.get()
    set_amounts(tokens, euro, minimum=D(4), cap=D(80))
    set_rows(tokens, euro, two_rows("0.9", "1.8"))
    assert review(second).changes == [
        "New charge “Tokens”: the usage of LLM tokens (llm_tokens), 2 rows.",
        "“Tokens”: usage that no row matches: “Charge nothing: it stands on the invoice at 0”.",
        "“Tokens”: the included quantity is 1,000.",
        "“Tokens”: the minimum is $5.00.",
        "“Tokens”: the cap is $90.00.",
        "“Tokens”: the dimension with the model, for its cost, is model.",
        "“Tokens”: new row model = a at 1 USD per token.",
        "“Tokens”: new row model = b at 2 USD per token.",
        "“Tokens” in EUR: the minimum is 4.",
        "“Tokens” in EUR: the cap is 80.",
        "“Tokens” in EUR: new row model = a at 0.9 EUR per token.",
        "“Tokens” in EUR: new row model = b at 1.8 EUR per token.",
    ]
    assert price_tables(second)[0].lines[1:] == [
        ("Tokens", "model = a", "1 USD per token"),
        ("", "model = b", "2 USD per token"),
        ("", "Included in each period", "1,000 token"),
        ("", "Minimum", "$5.00"),
        ("", "Cap", "$90.00"),
    ]


def test_another_meter_is_told_with_all_its_terms_and_rows() -> None:
    version = making.draft()
    calls = making.usage(version, making.tokens(), [], code="calls")
    set_rows(calls, None, two_rows("1", "2"))
    second = clone_version(publish(version))
    remove_charge(second.charges.get())
    other = making.usage(second, making.tokens("other"), [], code="calls")
    set_rows(other, None, two_rows("1", "2"))
    change_charge(other, cap=D(7))
    assert review(second).changes == [
        ("“Calls”: the usage of LLM tokens (llm_tokens), 2 rows becomes the usage of LLM tokens (other), 2 rows."),
        "“Calls”: the cap changes from nothing to $7.00.",
        "“Calls”: new row model = a at 1 USD per token.",
        "“Calls”: new row model = b at 2 USD per token.",
    ]


def test_a_fee_that_becomes_usage_is_told_whole() -> None:
    version = making.draft()
    making.fee(version, code="x")
    second = clone_version(publish(version))
    remove_charge(second.charges.get())
    usage = making.usage(second, making.calls(), [({}, D(1))], code="x")
    change_charge(usage, minimum=D(3))
    assert review(second).changes == [
        (
            "“X”: a flat fee of $20.00 in advance becomes"
            " the usage of API calls (api_calls), 1 USD per call for everything (*)."
        ),
        "“X”: usage that no row matches: “Hold the invoice until somebody prices it”.",
        "“X”: the minimum is $3.00.",
    ]


def test_a_currency_that_goes_is_told() -> None:
    first = publish(making.in_credits())
    second = clone_version(first)
    remove_price_list(second, "EUR")
    assert review(second).changes == ["It is no longer offered in EUR."]


def test_what_has_no_price_yet_says_so() -> None:
    version = making.draft()
    making.usage(version, making.calls(), [], code="calls")
    set_price_list(version, "EUR")
    Charge.objects.create(version=version, code="base", name="Base", product=making.product(), kind="flat", amount=1)
    assert [table.lines for table in price_tables(version)] == [
        [("Calls", "", "no price yet"), ("Base", "", "$1.00 in arrears")],
        [("Calls", "", "no price yet"), ("Base", "", "no fee yet")],
    ]


def test_all_prices_of_a_charge_are_told_for_as_many_units() -> None:
    """A small price in any currency decides for all rows, of before and after, and for the table beside them."""
    version = making.draft()
    tokens = making.usage(version, making.tokens())
    set_rows(tokens, None, two_rows("0.5", "0.25"))
    second = clone_version(publish(version))
    set_rows(second.charges.get(), None, two_rows("0.5", "0.0000025"))
    assert review(second).changes == [
        "“Tokens”: model = b changes from 250,000 USD per 1,000,000 token to 2.5 USD per 1,000,000 token."
    ]
    assert [line[2] for line in price_tables(second)[0].lines] == [
        "500,000 USD per 1,000,000 token",
        "2.5 USD per 1,000,000 token",
    ]
    third = clone_version(publish(second))
    set_rows(third.charges.get(), None, [])
    gone = "“Tokens”: the row model = b at 2.5 USD per 1,000,000 token is gone."
    assert gone in review(third).changes
