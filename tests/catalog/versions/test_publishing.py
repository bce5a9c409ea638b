"""From a draft to published prices: what is refused, with which words, and that nothing happened then."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_site.foundation.errors import Refused
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import DraftRow
from catalog.checks.linting import lint
from catalog.models import Cell, Charge, Plan, PlanVersion
from catalog.versions.charging import drafted
from catalog.versions.publishing import (
    add_flat_charge,
    clone_version,
    create_plan,
    draft_version,
    predecessor,
    publish,
    retire,
    review,
    set_price_list,
    set_rows,
)
from meters.definitions.metering import define_meter
from meters.models import Dimension, Meter
from tests.catalog import making
from tests.catalog.counting import lines

pytestmark = pytest.mark.django_db


def refusal(error: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(fault.code, fault.field) for fault in error.value.faults]


def raw_cell(charge: Charge, match: Mapping[str, str], price: str = "1", position: int = 9) -> Cell:
    return Cell.objects.create(charge=charge, match=match, unit_price=Decimal(price), position=position)


# Drafting


def test_versions_are_numbered_within_their_plan() -> None:
    plan, other = create_plan(code="a", name="A"), create_plan(code="b", name="B")
    assert [draft_version(plan).number, draft_version(plan).number, draft_version(other).number] == [1, 2, 1]


def test_a_draft_says_what_was_asked() -> None:
    version = draft_version(
        create_plan(code="a", name="A"), currency="JPY", interval="quarter", grace=timedelta(hours=5)
    )
    version = PlanVersion.objects.get(pk=version.pk)
    assert (version.currency, version.interval, version.grace) == ("JPY", "quarter", timedelta(hours=5))
    assert (version.status, version.published_at, version.retired_at) == ("draft", None, None)


@pytest.mark.parametrize("currency", ["usd", "DEM", "XXX", "Dollar", ""])
def test_a_currency_must_be_in_use(currency: str) -> None:
    with pytest.raises(Refused, match=f"“{currency}” is not a currency in use") as error:
        draft_version(create_plan(code="a", name="A"), currency=currency)
    assert refusal(error) == [("currency_unknown", "currency")]
    assert not PlanVersion.objects.exists()


def test_an_unknown_interval_and_a_negative_grace_are_refused() -> None:
    plan = create_plan(code="a", name="A")
    with pytest.raises(Refused) as error:
        draft_version(plan, interval="fortnight")
    assert error.value.faults[0].field == "interval"
    with pytest.raises(Refused, match="grace cannot be negative"):
        draft_version(plan, grace=timedelta(seconds=-1))


def test_a_code_is_taken_once() -> None:
    create_plan(code="a", name="A")
    with pytest.raises(Refused) as error:
        create_plan(code="a", name="Another")
    assert refusal(error) == [("code_taken", "code")]
    with pytest.raises(Refused) as error:
        create_plan(code="Not A Code", name="A")
    assert error.value.faults[0].field == "code"
    assert Plan.objects.count() == 1


def test_charges_stand_in_the_order_in_which_they_were_added() -> None:
    assert [charge.code for charge in making.chatbot().charges.all()] == ["base", "calls", "tokens"]


def test_a_charge_code_is_taken_once_in_a_version() -> None:
    version = making.draft()
    making.fee(version)
    with pytest.raises(Refused):
        making.fee(version)
    assert version.charges.count() == 1


def test_rows_keep_their_order_and_their_exact_price() -> None:
    charge = making.usage(
        making.draft(), making.tokens(), [({"model": "a"}, Decimal("0.000000000000001")), ({}, Decimal(2))]
    )
    assert [(c.match, c.unit_price, c.position) for c in charge.cells.all()] == [
        ({"model": "a"}, Decimal("0.000000000000001"), 0),
        ({}, Decimal(2), 1),
    ]


def test_values_become_the_text_that_usage_is_compared_by() -> None:
    rows = [({"model": 1}, Decimal(1)), ({"model": True, "token_type": "*"}, Decimal(2)), ({"model": None}, Decimal(3))]
    charge = making.usage(making.draft(), making.tokens(), rows)
    assert [cell.match for cell in charge.cells.all()] == [{"model": "1"}, {"model": "true"}, {}]


@pytest.mark.parametrize(
    ("rows", "codes", "words"),
    [
        ([({"token_type": "ouput"}, 1)], [("label_unknown", "rows.0.match")], "did you mean “output”"),
        ([({"token_type": "cached"}, 1)], [("label_unknown", "rows.0.match")], "it knows “input”, “output”"),
        ([({"modle": "a"}, 1)], [("dimension_unknown", "rows.0.match")], "did you mean “model”"),
        ([({"region": "eu"}, 1)], [("dimension_not_active", "rows.0.match")], "is pending and cannot be priced"),
        ([({"model": ""}, 1)], [("value_empty", "rows.0.match")], r"or \* for any"),
        ([({}, 1), ({"model": "*"}, 2)], [("row_twice", "rows.1.match")], r"Rows 1 and 2 are both for everything"),
        ([({}, -1)], [("price_negative", "rows.0.unit_price")], "-1 is negative"),
        ([({}, "NaN")], [("price_invalid", "rows.0.unit_price")], "is not a number"),
        ([({}, "1e15")], [("price_too_large", "rows.0.unit_price")], "16 digits before the point"),
        ([({}, "1e-16")], [("price_too_precise", "rows.0.unit_price")], "has 16 decimals"),
        (
            [({"modle": "a", "token_type": "inpt"}, -1)],
            [
                ("dimension_unknown", "rows.0.match"),
                ("label_unknown", "rows.0.match"),
                ("price_negative", "rows.0.unit_price"),
            ],
            "did you mean “input”",
        ),
    ],
)
def test_rows_that_cannot_price_are_refused_all_at_once(
    rows: Sequence[tuple[Mapping[str, object], object]], codes: list[tuple[str, str]], words: str
) -> None:
    version = making.draft()
    with pytest.raises(Refused, match=words) as error:
        making.usage(version, making.tokens(), [(match, Decimal(str(price))) for match, price in rows])
    assert refusal(error) == codes
    assert not Charge.objects.exists()


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        ("USD", "20.001", "amount_too_precise"),
        ("JPY", "20.5", "amount_too_precise"),
        ("KWD", "20.0001", "amount_too_precise"),
        ("USD", "1000000000000000", "amount_too_large"),
        ("USD", "-1", "amount_invalid"),
        ("USD", "Infinity", "amount_invalid"),
    ],
)
def test_a_fee_is_a_sum_that_can_be_paid(currency: str, amount: str, code: str) -> None:
    version = making.draft(currency=currency)
    with pytest.raises(Refused) as error:
        making.fee(version, amount)
    assert refusal(error) == [(code, "amount")]
    assert not Charge.objects.exists()


def test_a_fee_may_have_as_many_decimals_as_its_currency() -> None:
    assert making.fee(making.draft(currency="KWD"), "1.234").amount == Decimal("1.234")
    assert making.fee(making.draft(currency="JPY"), "100.00").amount == 100


# Publishing


def test_publishing_freezes_the_meters_and_says_when() -> None:
    version = publish(making.chatbot())
    assert version.status == "published"
    assert version.published_at is not None
    assert set(Meter.objects.values_list("frozen_at", flat=True)) == {version.published_at}


def test_a_meter_that_is_frozen_already_keeps_its_instant() -> None:
    first = publish(making.chatbot())
    publish(clone_version(first))
    assert set(Meter.objects.values_list("frozen_at", flat=True)) == {first.published_at}


def test_a_version_without_charges_is_not_published() -> None:
    version = making.draft()
    with pytest.raises(Refused, match="add a charge") as error:
        publish(version)
    assert refusal(error) == [("charges_missing", "charges")]
    version.refresh_from_db()
    assert version.status == "draft"


def test_every_fault_is_named_at_once_with_its_place() -> None:
    version = making.chatbot()
    PlanVersion.objects.filter(pk=version.pk).update(currency="DEM")
    base, calls, tokens = version.charges.all()
    Charge.objects.filter(pk=base.pk).update(amount=Decimal("1.2345"))
    raw_cell(base, {})
    calls.cells.all().delete()
    raw_cell(tokens, {"model": "a", "token_type": "ouput"})
    raw_cell(tokens, {"region": "eu"})
    with pytest.raises(Refused) as error:
        publish(version)
    assert refusal(error) == [
        ("currency_unknown", "currency"),
        ("amount_too_precise", "charges.base.amount"),
        ("rows_of_fee", "charges.base.rows"),
        ("rows_missing", "charges.calls.rows"),
        ("label_unknown", "charges.tokens.rows.4.match"),
        ("dimension_not_active", "charges.tokens.rows.5.match"),
    ]
    assert all(fault.message.startswith("Charge “") for fault in error.value.faults[1:])
    assert not Meter.objects.exclude(frozen_at=None).exists()


def test_a_meter_that_is_not_sane_cannot_be_published() -> None:
    version = making.chatbot()
    Meter.objects.filter(code="llm_tokens").update(label_dimension="")
    with pytest.raises(Refused, match="meter “llm_tokens” is not ready") as error:
        publish(version)
    assert any(field.startswith("charges.tokens.meter.") for _, field in refusal(error))


def test_a_dimension_that_went_inactive_since_is_noticed() -> None:
    version = making.chatbot()
    Dimension.objects.filter(name="model").update(status="retired")
    with pytest.raises(Refused) as error:
        publish(version)
    assert refusal(error) == [("dimension_not_active", f"charges.tokens.rows.{n}.match") for n in range(4)]


def test_what_was_published_is_not_published_again_nor_added_to() -> None:
    version = publish(making.chatbot())
    with pytest.raises(Refused, match="version 1 is published"):
        publish(version)
    with pytest.raises(Refused, match="clone it"):
        making.fee(version, code="other")
    with pytest.raises(Refused, match="clone it"):
        making.usage(version, making.calls("other"), [({}, Decimal(1))], code="other")
    assert version.charges.count() == 3


def test_only_a_published_version_is_retired_and_once() -> None:
    draft = making.chatbot()
    with pytest.raises(Refused, match="version 1 is draft"):
        retire(draft)
    version = retire(publish(draft))
    assert (version.status, version.retired_at is None) == ("retired", False)
    with pytest.raises(Refused) as error:
        retire(version)
    assert refusal(error) == [("version_status_conflict", "status")]


def test_a_clone_charges_the_same_under_the_next_number() -> None:
    original = publish(making.chatbot())
    clone = clone_version(original)
    assert (clone.number, clone.status, clone.currency) == (2, "draft", "USD")

    def contents(version: PlanVersion) -> list[object]:
        charges = version.charges.prefetch_related("cells")
        ids = ("id", "version_id", "_state", "_prefetched_objects_cache")
        plain = [{k: v for k, v in vars(charge).items() if k not in ids} for charge in charges]
        cells = [[(c.match, c.unit_price, c.position) for c in charge.cells.all()] for charge in charges]
        return [plain, cells]

    assert contents(clone) == contents(original)
    assert review(clone).changes == []
    assert original.charges.count() == 3


# The review


def test_the_review_warns_where_no_row_may_match() -> None:
    version = making.chatbot()
    warning = "Charge “Tokens” has no row of only *: when usage comes that no row matches, its invoice is held"
    assert [text[: len(warning)] for text in review(version).warnings] == [warning]
    Charge.objects.filter(code="tokens").update(unmatched="zero")
    assert "charged nothing and stands on the invoice at 0" in review(version).warnings[0]


def test_a_row_for_every_label_leaves_no_gap() -> None:
    version = making.draft()
    making.usage(
        version, making.tokens(), [({"token_type": "input"}, Decimal(1)), ({"token_type": "output"}, Decimal(2))]
    )
    assert review(version).warnings == []


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        ({}, {}, True),
        ({"token_type": "input"}, {}, True),
        ({"token_type": "input"}, {"model": "model-a"}, True),
        ({"token_type": "input"}, {"token_type": "output"}, False),
    ],
)
def test_the_review_warns_of_two_charges_that_price_the_same_usage(
    first: dict[str, str], second: dict[str, str], *, warned: bool
) -> None:
    version, tokens = making.draft(), making.tokens()
    for name, match in (("Tokens", first), ("Surcharge", second)):
        making.usage(version, tokens, [(match, Decimal(1))], code=name.lower())
    warnings = [text for text in review(version).warnings if "charged twice" in text]
    warning = (
        "Charges “Tokens” and “Surcharge” both price usage of the meter “llm_tokens”:"
        " what a row of each matches is charged twice."
    )
    assert warnings == [warning] * int(warned)
    assert review(version).faults == []


def test_charges_meet_within_one_currency_alone() -> None:
    """Who pays in EUR has no usage that is priced in USD."""
    version, tokens = making.draft(), making.tokens()
    set_price_list(version, "EUR")
    making.usage(version, tokens, [({"model": "a"}, Decimal(1))], code="tokens")
    surcharge = making.usage(version, tokens, [({"model": "b"}, Decimal(1))], code="surcharge")
    euros = version.price_lists.get()
    set_rows(surcharge, euros, drafted([({"model": "a"}, Decimal(1))]))
    assert not [text for text in review(version).warnings if "charged twice" in text]
    set_rows(version.charges.get(code="tokens"), euros, drafted([({}, Decimal(1))]))
    assert [text for text in review(version).warnings if "charged twice" in text]


def test_looking_at_many_rows_is_work_of_as_many_rows() -> None:
    """Two charges on one meter, whose rows keep apart: nothing is found before all of them were looked at."""

    def work(count: int) -> tuple[int, int]:
        version, tokens = making.draft(), making.tokens(f"meter_{count}")
        for code in ("tokens", "surcharge"):
            prices = [({"model": f"{code}-{n}", "token_type": "input"}, Decimal(n + 1)) for n in range(count)]
            charge = making.usage(version, tokens, prices, code=code)
        rows = [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all()]
        known = Charge.objects.get(pk=charge.pk)
        return lines(lambda: review(version)), lines(lambda: lint(known, "USD", rows))

    (few_reviewed, few_linted), (reviewed, linted) = work(500), work(5_000)
    assert reviewed < 12 * few_reviewed, (few_reviewed, reviewed)
    assert linted < 12 * few_linted, (few_linted, linted)


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        ([({}, 1)], True),
        ([({"model": "a"}, 1)], True),
        ([({"token_type": "total"}, 1), ({}, 1)], True),
        ([({"token_type": "input"}, 1), ({"token_type": "output"}, 1), ({}, 1)], True),
        ([({"token_type": "total", "model": "a"}, 0), ({}, 1)], True),  # of another model, both are paid
        ([({"token_type": "total"}, 0), ({}, 1)], False),
        ([({"model": "a", "token_type": "total"}, 0), ({"model": "a"}, 1)], False),
        ([({}, 0)], False),
        ([({"token_type": "total"}, 1)], False),
        ([({"token_type": name}, 1) for name in ("input", "output", "total")], False),
        ([({"model": "a", "token_type": "total"}, 1), ({"model": "b"}, 1), ({"token_type": "total"}, 0)], True),
        ([({"token_type": "total"}, 0), ({"model": "b"}, 1)], False),  # of equals the first one takes it
        ([({"model": "b"}, 1), ({"token_type": "total"}, 0)], True),
    ],
)
def test_the_review_warns_where_a_total_is_charged_beside_its_parts(
    rows: list[tuple[dict[str, str], int]], *, warned: bool
) -> None:
    meter = define_meter(
        code="tokens",
        name="Tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "i"), ("output", "o"), ("total", "i", ["o"]), ("cached", "c")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
    )
    version = making.draft()
    making.usage(version, meter, [(match, Decimal(price)) for match, price in rows])
    assert review(version).faults == []
    found = [text for text in review(version).warnings if "adds up" in text]
    if warned:
        assert found[0].startswith("Charge “Tokens”: token_type “total” adds up what “input” and “output” count, too")
        assert "at 0 for what is not to be paid" in found[0]
    assert len(found) == int(warned)


def test_the_review_compares_with_the_version_published_last() -> None:
    first = publish(making.chatbot())
    abandoned = clone_version(first)
    second = clone_version(first)
    assert predecessor(second) == first
    publish(second)
    third = clone_version(second)
    assert review(third).previous == second
    assert predecessor(abandoned) == first
    assert review(first).previous is None
    assert review(first).changes == []


def test_the_differences_are_told_in_plain_words() -> None:
    first = publish(making.chatbot())
    second = clone_version(first)
    second.currency, second.interval, second.grace = "EUR", "quarter", timedelta(0)
    second.save()
    base, calls, tokens = second.charges.all()
    base.amount, base.timing, base.name = Decimal(25), "arrears", "Platform"
    base.save()
    calls.delete()
    add_flat_charge(second, code="seats", name="Seats", product=making.product(), amount=Decimal(5))
    tokens.cells.filter(match={"model": "model-a", "token_type": "input"}).update(unit_price=Decimal("0.000012"))
    tokens.cells.filter(match={"model": "model-b", "token_type": "output"}).delete()
    raw_cell(tokens, {}, "0.0000005")
    Charge.objects.filter(pk=tokens.pk).update(unmatched="zero")
    assert review(second).changes == [
        "The currency changes from USD to EUR.",
        "It is billed every quarter instead of every month.",
        "The grace before an invoice is finalized changes from 1:00:00 to 0:00:00 hours.",
        "The charge “Base” is now called “Platform”.",
        "“Platform”: it is billed in arrears instead of in advance.",
        "“Platform”: the fee changes from $20.00 to €25.00.",
        "“Tokens”: usage that no row matches: “Charge nothing: it stands on the invoice at 0”.",
        (
            "“Tokens”: model = model-a, token_type = input changes from 10 USD per 1,000,000 token"
            " to 12 EUR per 1,000,000 token."
        ),
        "“Tokens”: new row everything (*) at 0.5 EUR per 1,000,000 token.",
        "“Tokens”: the row model = model-b, token_type = output at 10 USD per 1,000,000 token is gone.",
        "New charge “Seats”: a flat fee of €5.00 in advance.",
        "The charge “Calls” is gone (the usage of API calls (api_calls), 0.01 USD per call for everything (*)).",
    ]


def test_another_meter_product_or_order_is_told() -> None:
    first = publish(making.chatbot())
    second = clone_version(first)
    base, calls, tokens = second.charges.all()
    Charge.objects.filter(pk=calls.pk).update(meter=making.calls("jobs"))
    Charge.objects.filter(pk=tokens.pk).update(position=0, product=making.Product.objects.create(code="x", name="X"))
    Charge.objects.filter(pk=base.pk).update(position=5)
    Cell.objects.filter(charge=tokens, match__model="model-a", match__token_type="input").update(position=99)
    assert review(second).changes == [
        "“Tokens”: its product changes from Chatbot API to X.",
        "“Tokens”: the rows stand in another order, which decides between rows that are equally exact.",
        (
            "“Calls”: the usage of API calls (api_calls), 0.01 USD per call for everything (*) becomes"
            " the usage of API calls (jobs), 0.01 USD per call for everything (*)."
        ),
        "The charges stand in another order: “Tokens”, “Calls”, “Base”.",
    ]
