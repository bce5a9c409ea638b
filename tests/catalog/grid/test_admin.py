"""What the grid asks of the server: rows, saving, reading, checking, previews and files; and who may not."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_site.foundation import clock
from catalog.models import Cell, Charge
from catalog.versions.charging import drafted
from catalog.versions.publishing import publish, set_price_list, set_rows
from tests.catalog import making
from tests.catalog.costing import own, utc
from tests.catalog.plans.test_admin import ALL, signed_in
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db

PAGES = ("rows", "save", "read", "check", "preview", "file")


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
        {"lists": [{"currency": "XXX", "rows": []}]},
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
    for wrong in ({"start": 9}, {"start": "x"}, {"models": ["x"]}, {"models": 1}, {"comma": "x"}, {"scale": 1}):
        assert ask(alice, charge, "read", text="1", **wrong).status_code == 422


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
    assert answer["month"] == "March 2026"
    assert answer["wanted"] == [
        {"match": {"model": "model-c", "token_type": "input"}, "share": "73 %", "by_default": True}
    ]
    assert lists(alice, charge) == before


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
    assert answer.content.decode() == "model,token_type,price model,price per unit\r\n'=1+1,*,per_unit,0.5\r\n"


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


def test_the_page_of_a_charge_does_not_read_its_rows(alice: Client, charge: Charge) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = alice.get(reverse("admin:catalog_charge_change", args=[charge.pk]))
    assert "charge-grid-config" in page.content.decode()
    assert not [each["sql"] for each in queries if "catalog_cell" in each["sql"]]
