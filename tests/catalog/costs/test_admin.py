"""Model costs in the hands of operators: found by any name, read side by side, recorded, withdrawn, and by whom not."""

from datetime import date, time
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import ModelAlias, ModelCost, ProviderModel
from catalog.pricing.model_costs import Hours
from catalog.pricing.price import Model, Price
from catalog.versions.charging import add_usage_charge
from tests.catalog import making
from tests.catalog.costing import daily, from_day, own, price, read, rows, usually, utc

pytestmark = pytest.mark.django_db

NOW = utc(2026, 5, 20, 14, 25)
HOSTILE = "<script>alert(1)</script>"


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="catalog", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def _may_20() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def alice() -> Client:
    return signed_in("view_providermodel", "add_modelcost")


@pytest.fixture
def reader() -> Client:
    return signed_in("view_providermodel")


@pytest.fixture
def acme() -> ProviderModel:
    read(
        acme_1=[
            usually(
                input_mtok=["1.25", (200_000, "2.5")], output_mtok="10", cache_read_mtok="0.3", web_searches_kcount="5"
            ),
            from_day(date(2026, 3, 1), input_mtok=["1", (200_000, "2")], output_mtok="8", web_searches_kcount="5"),
            from_day(date(2026, 7, 1), input_mtok="0.5", output_mtok="8", web_searches_kcount="5"),
        ],
        acme_2=[usually(input_mtok="2"), daily(time(1), time(17), input_mtok="4")],
        acme_3=price(),
    )
    return ProviderModel.objects.get(model="acme-1")


def page(name: str, *args: int) -> str:
    return reverse(f"admin:catalog_providermodel_{name}", args=args)


def text(response: HttpResponse) -> str:
    return unescape(" ".join(response.content.decode().split()))


def listed(client: Client, **asked: str) -> list[str]:
    answer: Any = client.get(page("changelist"), asked)
    assert answer.status_code == 200
    return [model.name for model in answer.context["cl"].result_list]


def entry(**changed: str) -> dict[str, str]:
    given = {"provider": "acme", "model": "acme-1", "token_type": "input", "action": "costs", "cost": "0.9", "per": ""}
    given |= {"above": "0", "effective_from": "2026-06-01T00:00", "hours_start": "", "hours_end": "", "note": ""}
    return given | changed


def record(client: Client, **changed: str) -> Any:
    """What is shown first, and then recorded as it was shown."""
    first: Any = client.post(page("add"), {**entry(**changed), "preview": "1"})
    assert first.status_code == 200
    preview = first.context["preview"]
    assert preview is not None, first.context["form"].errors
    return client.post(page("add"), {**entry(**changed), "record": "1", "shown": str(preview.entry)})


# The list.


def test_costs_side_by_side_per_million(reader: Client, acme: ProviderModel) -> None:
    own("0.00000777", "output", effective_from=utc(2026, 4, 1))
    answer: Any = reader.get(page("changelist"))
    models = {model.name: model for model in answer.context["cl"].result_list}
    steps = models["acme/acme-1"].steps
    assert [(step.amount, step.above, step.own) for step in steps["input"]] == [
        ("1", "", False),
        ("2", "200,000", False),
    ]
    assert [(step.amount, step.own) for step in steps["output"]] == [("7.77", True)]
    assert steps["cache_read"] == []
    assert models["acme/acme-1"].further == ["Web searches"]
    assert [step.amount for step in models["acme/acme-2"].steps["input"]] == ["4"]  # at 14:25
    assert "edition 1" in text(answer)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("acme-1", ["acme/acme-1"]),
        ("litellm_proxy/acme/ACME-2", ["acme/acme-2"]),
        ("acme", ["acme/acme-1", "acme/acme-2", "acme/acme-3"]),
        ("our deployment", ["acme/acme-3"]),
        ("nothing", []),
        ("a\0", ["acme/acme-1", "acme/acme-2", "acme/acme-3"]),
        (HOSTILE, []),
        ("x" * 5_000, []),
    ],
)
def test_found_by_any_form_of_a_name(reader: Client, acme: ProviderModel, asked: str, found: list[str]) -> None:
    ModelAlias.objects.create(alias="our deployment", model=ProviderModel.objects.get(model="acme-3"), recorded_by="x")
    assert listed(reader, q=asked) == found


def test_what_is_meant_comes_first_and_is_said(reader: Client, acme: ProviderModel) -> None:
    own("1", name="aaa/acme-2-tuned")
    assert listed(reader, q="acme-2") == ["acme/acme-2", "aaa/acme-2-tuned"]
    assert "“acme-2” means" in text(reader.get(page("changelist"), {"q": "acme-2"}))
    unknown = text(reader.get(page("changelist"), {"q": "acme-22"}))
    assert "No single model is meant by “acme-22”" in unknown
    assert "acme/acme-2" in unknown
    hostile = reader.get(page("changelist"), {"q": HOSTILE}).content.decode()
    assert HOSTILE not in hostile


def test_filters(reader: Client, acme: ProviderModel) -> None:
    own("1", name="home/llm")
    own("1")
    assert listed(reader, provider="home") == ["home/llm"]
    assert listed(reader, whose="own") == ["acme/acme-1", "home/llm"]
    assert listed(reader, whose="package") == ["acme/acme-2"]
    assert listed(reader, whose="none") == ["acme/acme-3"]
    assert len(listed(reader, whose="x", provider="")) == 4


def test_the_list_asks_as_often_for_many(reader: Client, acme: ProviderModel) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            listed(reader)
        return len(captured)

    queries()
    few = queries()
    read("edition 2", **{f"acme_{number}": price(input_mtok="1", output_mtok="2") for number in range(10, 50)})
    queries()
    assert queries() == few


def test_an_empty_catalogue_says_how_it_is_filled(reader: Client) -> None:
    shown = text(reader.get(page("changelist")))
    assert "No model costs yet" in shown
    assert "manage.py model_costs import" in shown


# A model.


def test_a_model_its_course_and_history(reader: Client, acme: ProviderModel) -> None:
    answer: Any = reader.get(page("change", acme.pk))
    costs = [(each["type"], each["amount"], each["above"], each["since"]) for each in answer.context["costs"]]
    assert costs == [
        ("Input", "1", "", "2026-03-01 00:00"),
        ("Input", "2", "above 200,000", "2026-03-01 00:00"),
        ("Output", "8", "", "2026-03-01 00:00"),
        ("Web searches", "5", "", "always"),
    ]
    assert [(each["type"], each["amount"], each["since"]) for each in answer.context["coming"]] == [
        ("Input", "0.5", "2026-07-01 00:00"),
        ("Input", "–", "2026-07-01 00:00"),
    ]
    course = answer.context["course"]
    assert [line["name"] for line in course["lines"]] == ["Input", "Output", "Cache read"]
    by_month = {row["label"]: [cell and cell["text"] for cell in row["cells"]] for row in course["rows"]}
    assert by_month["2026-02"] == ["1.25", "10", "0.3"]
    assert by_month["2026-03"] == by_month["2026-06"] == ["1", "8", None]
    assert by_month["2026-08"] == ["0.5", "8", None]
    assert len(course["rows"]) == 24
    assert len(answer.context["history"]) == len(rows()) - 2  # all but those of acme-2
    assert "is “acme-1”" in text(answer)
    assert "Record an own cost" not in text(answer)


def test_what_takes_over_when_a_cost_ends(reader: Client, acme: ProviderModel) -> None:
    """The package's, where it says one; above 200,000 from July on that of smaller requests; else nobody knows."""
    for code, above in (("output", 0), ("input", 300_000), ("pages", 0)):
        own("0.9", code, above=above, effective_from=utc(2026, 5, 1))
        own(None, code, above=above, effective_from=utc(2026, 6, 1))
    shown = text(reader.get(page("change", acme.pk)))
    for told in (
        "From 2026-06-01 00:00 UTC: Output: no own cost any more; the package's takes over: 8 USD for 1,000,000",
        "Input, above 300,000: no own cost any more; the package's, above 200,000, takes over: 2 USD for",
        "From 2026-06-01 00:00 UTC: Document pages: no own cost any more; nobody knows what it costs then.",
        "Input, above 200,000: no cost any more; the package's, of all sizes, takes over: 0.5 USD for",
    ):
        assert told in shown


def test_what_an_own_cost_hides_and_hours(reader: Client, acme: ProviderModel) -> None:
    other = ProviderModel.objects.get(model="acme-2")
    own("0.000001", name="acme/acme-2", effective_from=utc(2026, 4, 1), hours=Hours(1, 17))
    answer: Any = reader.get(page("change", other.pk))
    told = [
        (each["amount"], each["hours"], each["own"], each["hidden"], each["now"]) for each in answer.context["costs"]
    ]
    assert told == [
        ("2", "", False, False, False),
        ("1", "01:00–17:00 UTC", True, False, True),
        ("4", "01:00–17:00 UTC", False, True, False),
    ]
    assert answer.context["course"] is None or answer.context["course"]["rows"]


def test_a_model_without_a_cost(reader: Client, acme: ProviderModel) -> None:
    answer: Any = reader.get(page("change", ProviderModel.objects.get(model="acme-3").pk))
    assert "No cost is known" in text(answer)
    assert answer.context["course"] is None


# An own cost.


def test_what_it_changes_is_shown_and_then_recorded(alice: Client, acme: ProviderModel) -> None:
    first: Any = alice.post(page("add"), {**entry(), "preview": "1"})
    preview = first.context["preview"]
    assert (preview.before.cost, preview.after.cost, preview.change) == (
        preview.before.cost,
        preview.entry.cost,
        "-10.0 %",
    )
    shown = text(first)
    for told in (
        "Above 200,000 input tokens it goes on costing 2.",
        "Billed as this type, and changing with it: Cache write",
        "No charge of a draft, of a plan's newest version",
    ):
        assert told in shown
    assert rows("own") == []

    done = alice.post(page("add"), {**entry(), "record": "1", "shown": str(preview.entry)})
    assert done.status_code == 302
    (made,) = ModelCost.objects.filter(source="own")
    assert (f"{made.cost:f}", made.effective_from, made.recorded_by) == ("0.000000900000000", utc(2026, 6, 1), "user-0")


def test_what_was_edited_is_shown_again(alice: Client, acme: ProviderModel) -> None:
    first: Any = alice.post(page("add"), {**entry(), "preview": "1"})
    edited = {**entry(cost="0.8"), "record": "1", "shown": str(first.context["preview"].entry)}
    again: Any = alice.post(page("add"), edited)
    assert (again.status_code, rows("own")) == (200, [])
    assert again.context["preview"].change == "-20.0 %"


def test_units_and_ends(alice: Client, acme: ProviderModel) -> None:
    for cost, per, token_type in (("1", "1000", "input"), ("0.01", "1", "output"), ("5", "", "web_searches")):
        assert record(alice, cost=cost, per=per, token_type=token_type).status_code == 302
    assert [f"{row[3].normalize():f}" for row in rows("own")] == ["0.001", "0.01", "0.005"]
    assert record(alice, action="ends", cost="", effective_from="2026-06-02T00:00").status_code == 302
    assert rows("own")[-1][3] is None


def test_a_new_model_and_what_its_name_means_today(alice: Client, acme: ProviderModel) -> None:
    ModelAlias.objects.create(alias="acme/tuned", model=acme, recorded_by="x")
    first = text(alice.post(page("add"), {**entry(model="Tuned"), "preview": "1"}))
    assert "The catalogue has no model acme/Tuned" in first.replace('<b dir="auto">', "").replace("</b>", "")
    assert "Events of this name cost what acme/acme-1 does until then" in first
    assert record(alice, model="Tuned").status_code == 302
    assert ProviderModel.objects.get(model="Tuned")


def test_what_takes_its_place_and_what_comes_after(alice: Client, acme: ProviderModel) -> None:
    own("0.0000007", effective_from=utc(2026, 6, 1))
    own("0.0000006", effective_from=utc(2026, 8, 1))
    shown = text(alice.post(page("add"), {**entry(), "preview": "1"}))
    assert "It takes the place of the own one of the same hour." in shown
    assert "Until 2026-08-01 00:00 UTC, when an own one of 0.6 begins" in shown
    night = text(alice.post(page("add"), {**entry(hours_start="22", hours_end="6"), "preview": "1"}))
    assert "At 22:00–06:00 UTC of every day" in night


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"provider": "A B"}, "provider"),
        ({"model": "a\nb"}, "model"),
        ({"token_type": "x"}, "token_type"),
        ({"cost": ""}, "cost"),
        ({"cost": "-1"}, "cost"),
        ({"cost": "0.0000000001", "per": "1000000"}, "cost"),
        ({"cost": "x"}, "cost"),
        ({"above": "-1"}, "above"),
        ({"above": "3000000000"}, "above"),
        ({"effective_from": "yesterday"}, "effective_from"),
        ({"effective_from": "2099-01-01T00:00"}, "effective_from"),
        ({"hours_start": "5"}, "hours_end"),
        ({"hours_start": "5", "hours_end": "5"}, "__all__"),
        ({"note": "n" * 501}, "note"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    alice: Client, acme: ProviderModel, changed: dict[str, str], field: str
) -> None:
    answer: Any = alice.post(page("add"), {**entry(**changed), "record": "1"})
    assert (answer.status_code, rows("own")) == (200, [])
    assert list(answer.context["form"].errors) == [field]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cost": "2,5"}, "“2,5” has a comma: write a point for decimals, and nothing between thousands."),
        ({"above": "200,000"}, "“200,000” has a comma: write a whole number in digits alone."),
    ],
)
def test_a_comma_is_refused_with_what_to_write(
    alice: Client, acme: ProviderModel, changed: dict[str, str], said: str
) -> None:
    answer: Any = alice.post(page("add"), {**entry(**changed), "record": "1"})
    assert (rows("own"), [each for errors in answer.context["form"].errors.values() for each in errors]) == ([], [said])


def test_the_form_begins_with_the_model_one_comes_from(alice: Client, acme: ProviderModel) -> None:
    answer: Any = alice.get(page("add"), {"model": acme.pk, "token_type": "output"})
    found = answer.context["form"].initial
    assert (found["provider"], found["model"], found["token_type"]) == ("acme", "acme-1", "output")
    assert found["effective_from"] == utc(2026, 5, 20, 15)
    assert alice.get(page("add"), {"model": "9" * 30, "token_type": "x"}).status_code == 200


def test_an_own_cost_is_withdrawn(alice: Client, acme: ProviderModel) -> None:
    made = own("0.5", effective_from=utc(2026, 5, 1))
    address = page("withdraw", acme.pk, made.pk)
    assert address in text(alice.get(page("change", acme.pk)))
    assert "500,000 USD for 1,000,000 tokens" in text(alice.get(address))
    assert alice.post(address, {"note": "a slip"}).status_code == 302
    assert ModelCost.objects.get(action="withdrawn").note == "a slip"
    again: Any = alice.post(address, {"note": ""})
    assert again.status_code == 200
    assert "Another row has taken the place" in text(again)
    assert alice.get(page("withdraw", ProviderModel.objects.get(model="acme-2").pk, made.pk)).status_code == 404


def test_further_names(alice: Client, acme: ProviderModel) -> None:
    assert alice.post(page("change", acme.pk), {"do": "name", "alias": f"Our {HOSTILE}"}).status_code == 302
    shown = alice.get(page("change", acme.pk)).content.decode()
    assert HOSTILE not in shown
    assert "our &lt;script&gt;" in shown
    assert listed(alice, q=f"our {HOSTILE}") == ["acme/acme-1"]
    bad: Any = alice.post(page("change", acme.pk), {"do": "name", "alias": ""})
    assert list(bad.context["form"].errors) == ["alias"]
    assert alice.post(page("change", acme.pk), {"forget": f"our {HOSTILE}"}).status_code == 302
    assert listed(alice, q=f"our {HOSTILE}") == []
    assert alice.post(page("change", acme.pk), {"forget": "nothing"}).status_code == 302


# Who may not.


def test_who_may(reader: Client, acme: ProviderModel) -> None:
    made = own("1")
    withdraw = page("withdraw", acme.pk, made.pk)
    nobody, writer = signed_in(), signed_in("add_modelcost")
    for address in (page("changelist"), page("change", acme.pk)):
        assert nobody.get(address).status_code == 403
        assert writer.get(address).status_code == 403
    for address in (page("add"), withdraw):
        for client in (nobody, reader):
            assert client.get(address).status_code == 403
            assert client.post(address, {**entry(), "record": "1"}).status_code == 403
    assert reader.post(page("change", acme.pk), {"do": "name", "alias": "x"}).status_code == 403
    assert reader.post(page("change", acme.pk), {"forget": "x"}).status_code == 403
    assert Client().get(page("changelist")).status_code == 302
    assert (len(rows("own")), ModelAlias.objects.count()) == (1, 0)
    assert "Withdraw" not in text(reader.get(page("change", acme.pk)))


@pytest.mark.parametrize("address", ["change/", "delete/", "history/"])
def test_nothing_else_is_offered(alice: Client, acme: ProviderModel, address: str) -> None:
    where = f"/admin/catalog/providermodel/{acme.pk}/{address}"
    assert alice.post(where, {"provider": "x"}).status_code in (403, 302, 200)
    acme.refresh_from_db()
    assert acme.provider == "acme"
    assert alice.get("/admin/catalog/providermodel/x/change/").status_code == 404


def test_who_is_affected(alice: Client, acme: ProviderModel) -> None:
    meter, version = making.tokens(), making.draft()
    rows = [
        ({"model": "acme-1", "token_type": "input"}, Decimal("0.5")),
        ({}, Price(Model.COST_PLUS, percent=Decimal("12.5"))),
    ]
    named = {"code": "tokens", "name": f"Tokens {HOSTILE}", "product": making.product(), "cost_model": "model"}
    add_usage_charge(version, meter=meter, rows=rows, **named)  # type: ignore[arg-type]
    told = "priced by its cost + 12.5 %; 1 price of its own, whose"
    for answer, margin in (
        (alice.get(page("change", acme.pk)), "margin changes."),
        (alice.post(page("add"), {**entry(), "preview": "1"}), "least margin becomes <b>"),
    ):
        assert f"{told} {margin}" in text(answer)
        assert HOSTILE not in answer.content.decode()
