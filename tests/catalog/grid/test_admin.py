"""What the grid asks of the server: rows, saving, reading, checking, previews and files; and who may not."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_site.foundation import clock
from catalog.models import Cell, Charge
from catalog.pricing.compact import EXAMPLES
from catalog.versions.charging import drafted
from catalog.versions.publishing import publish, set_price_list, set_rows
from tests.catalog import making
from tests.catalog.costing import own, utc
from tests.catalog.plans.test_admin import ALL, signed_in
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

PAGES = ("rows", "save", "read", "prices", "check", "preview", "file")


@pytest.fixture
def alice() -> Client:
    return signed_in(*ALL)


@pytest.fixture
def charge() -> Charge:
    version = making.draft()
    set_price_list(version, "EUR")
    return making.usage(version, making.tokens())


def address(charge: Charge, page: str) -> str:
    return reverse(f"admin:catalog_charge_grid_{page}", args=[charge.pk])


def ask(client: Client, charge: Charge, page: str, **body: Any) -> Any:
    if page == "rows":
        return client.get(address(charge, page))
    return client.post(address(charge, page), json.dumps(body), content_type="application/json")


def lists(client: Client, charge: Charge) -> dict[str, dict[str, Any]]:
    return {each["currency"]: each for each in ask(client, charge, "rows").json()["lists"]}


def row(price: str, **match: str) -> dict[str, Any]:
    return {"match": match, "price": {"unit_price": price}}


def test_rows_and_values_are_loaded(alice: Client, charge: Charge) -> None:
    answer = ask(alice, charge, "rows").json()
    own, euro = answer["lists"]
    assert own["rows"][0] == {
        "match": {"model": "model-a", "token_type": "input"},
        "price": {"model": "per_unit", "unit_price": "0.00001"},
    }
    assert (own["currency"], len(own["rows"]), euro["currency"], euro["rows"]) == ("USD", 4, "EUR", [])
    assert answer["values"] == {"model": [], "token_type": ["input", "output"]}


def test_loading_takes_as_many_queries_for_many_rows(alice: Client, charge: Charge) -> None:
    with CaptureQueriesContext(connection) as few:
        ask(alice, charge, "rows")
    set_rows(charge, None, drafted([({"model": f"m{number}"}, Decimal(1)) for number in range(500)]))
    with CaptureQueriesContext(connection) as many:
        assert len(lists(alice, charge)["USD"]["rows"]) == 500
    assert len(many) == len(few)


def test_all_lists_are_saved_in_one_request(alice: Client, charge: Charge) -> None:
    before = lists(alice, charge)
    sent = [
        {"currency": "USD", "stamp": before["USD"]["stamp"], "rows": [row("1", model="a"), row("2")]},
        {"currency": "EUR", "stamp": before["EUR"]["stamp"], "rows": [row("3")]},
    ]
    answer = ask(alice, charge, "save", lists=sent)
    assert answer.status_code == 200
    after = lists(alice, charge)
    assert answer.json() == {"stamps": {currency: each["stamp"] for currency, each in after.items()}}
    assert [[each["match"] for each in after[currency]["rows"]] for currency in ("USD", "EUR")] == [
        [{"model": "a"}, {}],
        [{}],
    ]


def test_a_refusal_names_each_cell(alice: Client, charge: Charge) -> None:
    before = lists(alice, charge)
    tiers = [{"up_to": "-1", "unit_price": "1"}, {"unit_price": "1"}]
    rows = [
        row("1", token_type="ouput", model="a"),
        row("-1"),
        row("1", token_type="input", nothing="x"),
        {"match": {"model": "t"}, "price": {"model": "graduated", "tiers": tiers}},
    ]
    sent = [{"currency": "EUR", "stamp": before["EUR"]["stamp"], "rows": rows}]
    answer = ask(alice, charge, "save", lists=sent)
    assert answer.status_code == 422
    found = [(each["currency"], each["row"], each["column"], each["names"]) for each in answer.json()["errors"]]
    assert found == [
        ("EUR", 0, "match", ["token_type"]),
        ("EUR", 1, "unit_price", []),
        ("EUR", 2, "match", ["nothing"]),
        ("EUR", 3, "tiers.0.up_to", []),
    ]
    assert answer.json()["errors"][0]["field"] == "lists.EUR.rows.0.match"
    assert lists(alice, charge) == before


def test_what_could_not_be_read_is_refused_at_its_cell(alice: Client, charge: Charge) -> None:
    rows = [
        {"match": {}, "model": "per_unit", "text": "0,5"},
        {"match": {"model": "a"}, "model": "graduated", "text": "x: 1; : 2"},
        {"match": {"model": "b"}, "price": {"unit_price": "n/a"}},
        {"match": {"model": "c"}},
        {"match": {"model": "d"}, "model": "gratis", "text": "1"},
    ]
    stamp = lists(alice, charge)["USD"]["stamp"]
    answer = ask(alice, charge, "save", lists=[{"currency": "USD", "stamp": stamp, "rows": rows}])
    assert answer.status_code == 422
    assert [(each["row"], each["column"]) for each in answer.json()["errors"]] == [
        (0, "price"),
        (1, "price.tiers.0.up_to"),
        (2, "unit_price"),
        (3, "unit_price"),
        (4, "model"),
    ]


def test_who_comes_second_is_told(alice: Client, charge: Charge) -> None:
    stamp = lists(alice, charge)["USD"]["stamp"]
    set_rows(charge, None, drafted([({}, Decimal(9))]))
    answer = ask(alice, charge, "save", lists=[{"currency": "USD", "stamp": stamp, "rows": [row("1")]}])
    assert answer.status_code == 409
    [error] = answer.json()["errors"]
    assert (error["code"], error["row"]) == ("rows_changed_conflict", None)
    assert [cell.unit_price for cell in Cell.objects.filter(charge=charge)] == [9]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lists": "x"},
        {"lists": ["x"]},
        {"lists": [{"currency": "USD", "rows": "x"}]},
        {"lists": [{"currency": "USD", "rows": ["x"]}]},
        {"lists": [{"currency": "USD", "rows": [{"match": {"model": 1}}]}]},
        {"lists": [{"currency": "USD", "rows": [{"match": {"model": "a\0b"}, "price": {"unit_price": "1"}}]}]},
        {"lists": [{"currency": "ZZZ", "rows": []}]},
        {"lists": [{"currency": None, "rows": []}]},
    ],
)
def test_nonsense_is_refused(alice: Client, charge: Charge, body: dict[str, Any]) -> None:
    answer = ask(alice, charge, "save", **body)
    assert answer.status_code in (409, 422), answer.content
    assert answer.json()["errors"]


def test_no_json_is_refused(alice: Client, charge: Charge) -> None:
    for body in (b"", b"[1]", b"{", b"[" * 100_000, b"\xff"):
        answer = alice.post(address(charge, "check"), body, content_type="application/json")
        assert answer.status_code == 422
    for page, wrong in (("rows", alice.post), ("save", alice.get)):
        assert wrong(address(charge, page)).status_code == 405


def test_what_was_pasted_is_read(alice: Client, charge: Charge) -> None:
    answer = ask(alice, charge, "read", text="20\n1000: 2; : 1\n", start=3, models=["per_unit", "graduated"], scale=6)
    assert answer.json() == {
        "head": False,
        "columns": ["price per unit"],
        "scale": 6,
        "trimmed": 0,
        "told": "",
        "commas": [],
        "errors": [],
        "marks": [],
        "rows": [
            {"values": {}, "model": None, "price": {"model": "per_unit", "unit_price": "0.00002"}},
            {
                "values": {},
                "model": None,
                "price": {
                    "model": "graduated",
                    "tiers": [
                        {"up_to": "1000", "unit_price": "0.000002", "flat_price": "0"},
                        {"unit_price": "0.000001", "flat_price": "0"},
                    ],
                },
            },
        ],
    }
    assert ask(alice, charge, "read", text="0,5", start=3).json()["commas"] == ["0,5"]
    marked = ask(alice, charge, "read", text="n/a", start=3).json()
    assert (marked["rows"][0]["text"], marked["marks"][0]["row"]) == ("n/a", 0)
    assert marked["rows"][0]["wrong"] == "“n/a” is no price. For example: 0.00001"
    trimmed = ask(alice, charge, "read", text="TRUE \n", start=0).json()
    assert (trimmed["rows"][0]["values"], trimmed["trimmed"]) == ({"model": "TRUE"}, 1)
    [garbled] = ask(alice, charge, "read", text="M\ufffdnchen").json()["errors"]
    assert garbled["code"] == "sheet_garbled"


def test_what_was_typed_is_read(alice: Client, charge: Charge) -> None:
    texts = [
        {"model": "package", "text": "7 per 1000"},
        {"model": "volume", "text": ": 20", "scale": 6},
        {"model": "per_unit", "text": "1.000,5", "comma": "decimal"},
        {"model": "per_unit", "text": "0,5"},
        {"model": "per_unit", "text": "1" * 4_001},
    ]
    package, volume, decimal, comma, long = ask(alice, charge, "prices", texts=texts).json()["prices"]
    assert package == {"price": {"model": "package", "unit_price": "7", "size": "1000"}}
    assert volume["price"]["tiers"] == [{"unit_price": "0.00002", "flat_price": "0"}]
    assert decimal == {"price": {"model": "per_unit", "unit_price": "1000.5"}}
    assert comma["wrong"].startswith("“0,5” has a comma: write a point for decimals")
    assert "longer than 4,000 characters" in long["wrong"]


def test_a_text_is_saved_for_as_many_units_as_it_was_typed_for(alice: Client, charge: Charge) -> None:
    stamp = lists(alice, charge)["USD"]["stamp"]
    rows = [{"match": {}, "model": "per_unit", "text": "20", "scale": 6}]
    assert ask(alice, charge, "save", lists=[{"currency": "USD", "stamp": stamp, "rows": rows}]).status_code == 200
    assert lists(alice, charge)["USD"]["rows"][0]["price"]["unit_price"] == "0.00002"


@pytest.mark.parametrize(
    ("model", "tier", "field", "what"),
    [
        ("graduated", {"flat_price": "5"}, "unit_price", "price"),
        ("volume", {"unit_price": None}, "unit_price", "price"),
        ("stairstep", {"unit_price": "1"}, "flat_price", "amount"),
    ],
)
def test_a_tier_without_a_price_is_not_free(
    alice: Client, charge: Charge, model: str, tier: dict[str, Any], field: str, what: str
) -> None:
    before = lists(alice, charge)
    price = {"model": model, "tiers": [{"up_to": "10", **tier}, {"unit_price": "0", "flat_price": "0"}]}
    sent = [{"currency": "USD", "stamp": before["USD"]["stamp"], "rows": [{"match": {}, "price": price}]}]
    answer = ask(alice, charge, "save", lists=sent)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"]) == (0, f"tiers.0.{field}")
    assert error["message"] == f"The {what} of tier 1 is missing: write 0 if it is free."
    [error] = ask(alice, charge, "preview", price=price, currency="USD").json()["errors"]
    assert error["field"] == f"price.tiers.0.{field}"
    assert lists(alice, charge) == before


# What somebody sends who is no grid


WRONG: list[tuple[str, dict[str, Any]]] = [
    *(
        ("read", {"text": "1", **wrong})
        for wrong in (
            {"start": 9},
            {"start": -1},
            {"start": "x"},
            {"start": 1.0},
            {"start": True},
            {"models": ["x"]},
            {"models": [{}]},
            {"models": 1},
            {"comma": "x"},
            {"comma": []},
            {"scale": 1},
            {"scale": 3.0},
            {"scale": False},
            {"text": None},
            {"text": ["1"]},
            {"more": 1},
        )
    ),
    *(
        ("prices", {"texts": texts})
        for texts in (None, [1], [{}], [{"model": {}, "text": "1"}], [{"model": "flat", "text": "\ud800"}], [[]])
    ),
    *(
        (page, {"currency": "USD", "rows": [row], **more})
        for page, more in (("check", {}), ("file", {"currency": None}))
        for row in (
            {"match": {"model": "\ud800"}, "price": {"unit_price": "1"}},
            {"match": {"\ud800": "a"}, "price": {"unit_price": "1"}},
            {"match": [], "price": {"unit_price": "1"}},
            {"price": {"unit_price": "1"}},
            {"match": {}, "price": {"unit_price": "1"}, "id": 1},
        )
    ),
    ("preview", {"currency": "USD", "price": {"unit_price": "1"}, "match": {"model": "\ud800"}}),
    ("preview", {"currency": "USD", "price": {"unit_price": "1"}, "quantities": {}}),
    ("preview", {"currency": ["USD"], "price": {"unit_price": "1"}}),
    ("save", {"lists": [], "form": 1}),
]


@pytest.mark.parametrize(("page", "body"), WRONG, ids=[f"{page}-{index}" for index, (page, _) in enumerate(WRONG)])
def test_what_the_grid_never_sends_is_refused(alice: Client, charge: Charge, page: str, body: dict[str, Any]) -> None:
    answer = ask(alice, charge, page, **body)
    assert (answer.status_code, bool(answer.json()["errors"])) == (422, True), answer.content


def test_a_value_is_as_long_as_in_the_plain_table(alice: Client, charge: Charge) -> None:
    stamp = lists(alice, charge)["USD"]["stamp"]

    def answer(length: int) -> Any:
        sent = [{"currency": "USD", "stamp": stamp, "rows": [row("1", model="x" * length)]}]
        return ask(alice, charge, "save", lists=sent)

    [error] = answer(256).json()["errors"]
    assert (error["code"], error["names"]) == ("value_too_long", ["model"])
    assert error["message"] == "The value of “model” has 256 characters: 255 are possible."
    assert answer(255).status_code == 200


def test_a_currency_stands_in_a_body_once(alice: Client, charge: Charge) -> None:
    before = lists(alice, charge)
    sent = [{"currency": "EUR", "stamp": before["EUR"]["stamp"], "rows": [row(each)]} for each in "12"]
    answer = ask(alice, charge, "save", lists=sent)
    assert [each["code"] for each in answer.json()["errors"]] == ["list_twice"]
    assert lists(alice, charge) == before


NAMES = st.sampled_from(
    [
        *("lists", "rows", "match", "price", "currency", "stamp", "form", "text", "start", "models", "comma", "scale"),
        *(
            "texts",
            "model",
            "quantities",
            "events",
            "tiers",
            "unit_price",
            "up_to",
            "free_events",
            "token_type",
            "percent",
        ),
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        ["USD", "EUR", "per_unit", "graduated", "cost_plus", "decimal", "*", "1", "\0", "\ud800", "1: 2; : 3"]
    ),
    st.text(st.characters(), max_size=5),
)
NONSENSE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from([0, 3, 6, 10**400]), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, TEXTS), inner, max_size=4)),
    max_leaves=12,
)
PRICE = st.one_of(
    NONSENSE,
    st.fixed_dictionaries(
        {}, optional={"model": st.sampled_from(["graduated", "cost_plus", "flat"]), "tiers": NONSENSE, "percent": TEXTS}
    ),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"match": st.one_of(NONSENSE, st.dictionaries(st.sampled_from(["model", "token_type"]), TEXTS))},
        optional={"price": PRICE, "model": NONSENSE, "text": NONSENSE, "scale": NONSENSE, "comma": NONSENSE},
    ),
    max_size=3,
)
BODIES: dict[str, Any] = {
    "lists": st.lists(st.fixed_dictionaries({"currency": TEXTS, "stamp": TEXTS, "rows": ROWS}), max_size=2),
    "form": TEXTS,
    "rows": ROWS,
    "texts": ROWS,
    "currency": st.sampled_from(["USD", "EUR", 1]),
    "price": PRICE,
    "quantities": NONSENSE,
    "events": NONSENSE,
    "match": NONSENSE,
    "text": TEXTS,
    "start": NONSENSE,
    "models": NONSENSE,
    "so_far": NONSENSE,
    "comma": NONSENSE,
    "scale": NONSENSE,
}
ASKED = {
    "save": ("lists", "form"),
    "read": ("text", "start", "models", "comma", "scale", "currency"),
    "prices": ("texts",),
    "check": ("rows", "currency", "so_far"),
    "preview": ("price", "currency", "quantities", "events", "match"),
    "file": ("rows",),
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(sorted(ASKED)))
def test_no_nonsense_breaks_a_page(alice: Client, charge: Charge, data: st.DataObject, page: str) -> None:
    shaped = st.fixed_dictionaries({}, optional={name: BODIES[name] for name in ASKED[page]})
    body = data.draw(st.one_of(shaped, st.fixed_dictionaries({name: BODIES[name] for name in ASKED[page]}), NONSENSE))
    answer = alice.post(address(charge, page), json.dumps(body), content_type="application/json")
    assert answer.status_code in (200, 409, 422), answer.content


def test_rows_are_looked_at_without_being_saved(alice: Client, charge: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 4, 15, tzinfo=UTC))
    send(event(), event("r2", customer="other", properties={"model": "model-c", "input_tokens": 300}))
    rows = [row("1", model="model-a"), row("0", model="model-z"), {"match": {}, "model": "per_unit", "text": "x"}]
    before = lists(alice, charge)
    answer = ask(alice, charge, "check", currency="USD", rows=rows).json()
    # 410 tokens in all: 110 of model-a, 300 of model-c, which the default row takes.
    assert [(each["code"], each["row"], each["severity"]) for each in answer["findings"]] == [
        ("price_unreadable", 2, "error"),
        ("usage_by_default", 2, "warning"),
        ("row_unused", 1, "hint"),
        ("price_zero", 1, "warning"),
    ]
    assert answer["findings"][1]["message"] == "73 % of the usage of March 2026 hits the default row, 3."
    assert (answer["month"], answer["used"]) == ("March 2026", True)
    assert answer["wanted"] == [
        {"match": {"model": "model-c", "token_type": "input"}, "share": "73 %", "by_default": True}
    ]
    assert lists(alice, charge) == before


def test_a_month_without_usage_is_told_from_one_that_is_priced(
    alice: Client, charge: Charge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at in March, in which usage was, as was none in February."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    send(event(properties={"model": "model-c", "input_tokens": 300}))
    rows = [row("1")]
    answer = ask(alice, charge, "check", currency="USD", rows=rows).json()
    assert (answer["month"], answer["used"], answer["wanted"]) == ("February 2026", False, [])
    answer = ask(alice, charge, "check", currency="USD", rows=rows, so_far=True).json()
    assert (answer["month"], answer["used"]) == ("March 2026 so far", True)
    assert answer["wanted"] == [
        {"match": {"model": "model-c", "token_type": "input"}, "share": "100 %", "by_default": True}
    ]


def test_a_price_is_previewed_by_the_code_that_bills(alice: Client, charge: Charge) -> None:
    tiers = [{"up_to": "1000", "unit_price": "0.02"}, {"unit_price": "0.01", "flat_price": "5"}]
    price = {"model": "graduated", "tiers": tiers}
    answer = ask(alice, charge, "preview", price=price, currency="EUR").json()
    assert [(each["quantity"], each["amount"]) for each in answer["lines"]] == [
        ("1,000", "€20.00"),
        ("1,001", "€25.01"),
    ]
    answer = ask(alice, charge, "preview", price=price, currency="USD", quantities=["2000"]).json()
    assert [each["amount"] for each in answer["lines"]] == ["$35.00"]
    for wrong in (
        {"price": {"unit_price": "-1"}, "currency": "USD"},
        {"price": {"unit_price": "x"}, "currency": "USD"},
        {"price": None, "currency": "USD"},
        {"price": price, "currency": "GBP"},
        {"price": price, "currency": "USD", "quantities": ["x"]},
        {"price": price, "currency": "USD", "events": "x"},
    ):
        assert ask(alice, charge, "preview", **wrong).status_code == 422


def test_a_price_by_cost_is_previewed_by_what_its_model_costs(alice: Client, charge: Charge) -> None:
    price = {"model": "cost_plus", "percent": "20"}
    asked = {"price": price, "currency": "USD", "match": {"model": "acme/gpt", "token_type": "input"}}
    assert [each["amount"] for each in ask(alice, charge, "preview", **asked).json()["lines"]] == ["", "", ""]
    own("0.000002", name="acme/gpt", effective_from=utc(2023, 1, 1))
    Charge.objects.filter(pk=charge.pk).update(cost_model="model", cost_token_type="token_type")
    answer = ask(alice, charge, "preview", **asked, quantities=["1000000"]).json()
    assert [each["amount"] for each in answer["lines"]] == ["$2.40"]
    assert answer["words"] == "what a token costs, plus 20 %; model = acme/gpt, token_type = input"


def test_rows_become_a_file(alice: Client, charge: Charge) -> None:
    answer = ask(alice, charge, "file", rows=[row("0.5", model="=1+1")])
    assert answer["Content-Type"].startswith("text/csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")  # else Excel takes it for something else
    assert (
        answer.content.decode("utf-8-sig") == "model,token_type,price model,price per unit\r\n'=1+1,*,per_unit,0.5\r\n"
    )


# The page's own button: prices and fields at once


def fields(charge: Charge, **changed: str) -> dict[str, str]:
    """What the form of the charge's page sends."""
    stored = {"name": charge.name, "code": charge.code, "product": str(charge.product_id), "position": "0"}
    said = {"version": str(charge.version_id), "kind": "usage", "unmatched": charge.unmatched, "_save": "Save"}
    return {**stored, **said, **changed}


def save_all(client: Client, charge: Charge, price: str, **changed: str) -> Any:
    stamp = lists(client, charge)["USD"]["stamp"]
    sent = [{"currency": "USD", "stamp": stamp, "rows": [row(price)]}]
    return ask(client, charge, "save", lists=sent, form=urlencode(fields(charge, **changed)))


def test_rows_and_fields_are_saved_in_one_request(alice: Client, charge: Charge) -> None:
    answer = save_all(alice, charge, "7", name="All tokens", minimum_in_EUR="3")
    version = reverse("admin:catalog_planversion_change", args=[charge.version_id])
    assert (answer.status_code, answer.json()["goto"]) == (200, version)
    assert answer.json()["stamps"] == {each["currency"]: each["stamp"] for each in lists(alice, charge).values()}
    charge.refresh_from_db()
    assert (charge.name, charge.cells.get().unit_price) == ("All tokens", 7)
    assert charge.amounts.get().minimum == 3
    assert "“All tokens” is saved." in alice.get(version).content.decode()
    written = [each.get_change_message() for each in LogEntry.objects.order_by("pk")]
    assert written == ["Changed Name and Minimum in EUR.", "Saved 1 row of prices."]
    answer = ask(alice, charge, "save", lists=[], form=urlencode(fields(charge, _continue="1")))
    assert answer.json()["goto"] == reverse("admin:catalog_charge_change", args=[charge.pk])


def test_when_a_field_is_refused_no_row_is_stored(alice: Client, charge: Charge) -> None:
    making.usage(charge.version, making.calls(), [], code="calls")
    before = lists(alice, charge)
    answer = save_all(alice, charge, "7", code="calls", minimum="5", cap="1")
    assert answer.status_code in (409, 422)
    found = {each["field"]: each["message"] for each in answer.json()["errors"]}
    assert found.keys() == {"form.code", "form.minimum"}
    assert "calls" in found["form.code"]
    assert lists(alice, charge) == before
    assert not LogEntry.objects.exists()


def test_when_a_row_is_refused_no_field_is_stored(alice: Client, charge: Charge) -> None:
    before = lists(alice, charge)
    answer = save_all(alice, charge, "-7", name="All tokens")
    assert [(each["row"], each["column"]) for each in answer.json()["errors"]] == [(0, "unit_price")]
    charge.refresh_from_db()
    assert (charge.name, lists(alice, charge)) == ("Tokens", before)
    assert not LogEntry.objects.exists()


def test_fields_of_a_published_charge_are_not_saved(alice: Client, charge: Charge) -> None:
    set_rows(charge, charge.version.price_lists.get(), drafted([({}, Decimal(1))]))
    publish(charge.version)
    answer = save_all(alice, charge, "7", name="All tokens")
    assert answer.status_code == 409
    charge.refresh_from_db()
    assert (charge.name, charge.cells.filter(unit_price=7).exists()) == ("Tokens", False)


# Who may not


@pytest.mark.parametrize("page", PAGES)
def test_nobody_asks_without_the_right_to_look(charge: Charge, page: str) -> None:
    assert ask(signed_in(), charge, page).status_code == 403
    assert ask(signed_in("view_plan", "view_planversion"), charge, page).status_code == 403
    answer = ask(Client(), charge, page)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse("admin:login"))


def test_who_may_look_saves_nothing(charge: Charge) -> None:
    vera = signed_in("view_charge")
    before = lists(vera, charge)
    sent = [{"currency": "USD", "stamp": before["USD"]["stamp"], "rows": [row("1")]}]
    assert ask(vera, charge, "save", lists=sent).status_code == 403
    assert ask(vera, charge, "save", lists=[], form=urlencode(fields(charge, name="Mine"))).status_code == 403
    assert ask(vera, charge, "check", currency="EUR", rows=[row("1")]).status_code == 200
    assert lists(vera, charge) == before


def test_a_published_price_is_not_saved(alice: Client, charge: Charge) -> None:
    set_rows(charge, charge.version.price_lists.get(), drafted([({}, Decimal(1))]))
    before = lists(alice, charge)
    publish(charge.version)
    answer = ask(
        alice, charge, "save", lists=[{"currency": "USD", "stamp": before["USD"]["stamp"], "rows": [row("1")]}]
    )
    assert answer.status_code == 409
    assert "was published and never changes" in answer.json()["errors"][0]["message"]
    assert lists(alice, charge) == before


def test_saving_needs_its_token(charge: Charge) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert ask(client, charge, "save", lists=[]).status_code == 403


def test_a_fee_has_no_grid(alice: Client, charge: Charge) -> None:
    fee = making.fee(charge.version)
    for page in PAGES:
        assert ask(alice, fee, page).status_code == 404
    assert "charge-grid" not in alice.get(reverse("admin:catalog_charge_change", args=[fee.pk])).content.decode()


def test_how_a_price_of_each_model_is_written_stands_on_the_page(alice: Client, charge: Charge) -> None:
    page = alice.get(reverse("admin:catalog_charge_change", args=[charge.pk])).content.decode()
    assert len(EXAMPLES) == 8
    for model, example in EXAMPLES.items():
        assert f"<dt>{escape(model.label)}</dt><dd><code>{escape(example)}</code></dd>" in page
    assert "<code></code>" not in page


def test_the_page_of_a_charge_does_not_read_its_rows(alice: Client, charge: Charge) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = alice.get(reverse("admin:catalog_charge_change", args=[charge.pk]))
    assert "charge-grid-config" in page.content.decode()
    assert not [each["sql"] for each in queries if "catalog_cell" in each["sql"]]


def test_faults_of_fields_and_rows_are_told_together(alice: Client, charge: Charge) -> None:
    """Whether the rows can be read or not; and nothing of either is saved."""
    before = lists(alice, charge)
    for price in ("-7", "seven"):
        answer = save_all(alice, charge, price, name="", cap="0.001")
        fields_of = [each["field"] for each in answer.json()["errors"]]
        assert answer.status_code == 422
        assert {"form.name", "form.cap"} <= set(fields_of)
        assert any(not each.startswith("form") for each in fields_of), price
    charge.refresh_from_db()
    assert (charge.name != "", lists(alice, charge)) == (True, before)
