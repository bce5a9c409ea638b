"""A document made true: what it changes, what it leaves, what it refuses, and two at once."""

from copy import deepcopy
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.documents.importing import Did, Outcome, bring
from catalog.models import Cell, Charge, Plan, PlanVersion, Product
from catalog.versions.publishing import change_charge, change_version, clone_version, publish, retire
from meters.models import Backfill, Meter
from tests.catalog.plan_documents import FEATURES, METERS, chatbot
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db
D = Decimal


def brought(said: dict[str, Any], **options: Any) -> Outcome:
    return bring(documents.from_json(said), **options)


def refusal(said: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as error:
        brought(said, **options)
    return [(fault.field, fault.code) for fault in error.value.faults]


def with_charge(code: str, **changes: Any) -> dict[str, Any]:
    said = deepcopy(chatbot())
    said["charges"][code] = {**said["charges"].get(code, {}), **changes}
    return said


def state() -> tuple[Any, ...]:
    tables = (Plan, PlanVersion, Charge, Cell, Product, Meter)
    return tuple(list(table.objects.order_by("pk").values()) for table in tables)  # type: ignore[attr-defined]


def test_a_plan_that_is_new_comes_with_all_that_it_needs() -> None:
    outcome = brought(chatbot())
    assert (outcome.did, outcome.version.number, outcome.version.status) == (Did.CREATED, 1, "draft")
    assert outcome.notes == [
        "The plan “Chatbot” (chatbot) is new.",
        "The product “Chatbot API” (api) is new.",
        "The meter “Tokens” (tokens) is new.",
    ]
    assert (outcome.changes, outcome.faults, outcome.warnings, outcome.published) == ([], [], [], False)


def test_the_same_again_changes_nothing() -> None:
    first = brought(chatbot())
    before = state()
    again = brought(chatbot())
    assert (again.did, again.version, again.notes) == (Did.UNCHANGED, first.version, [])
    assert state() == before


def test_what_differs_changes_the_draft_and_leaves_what_is_equal() -> None:
    version = brought(chatbot()).version
    kept = set(Cell.objects.filter(charge__code="tokens").values_list("pk", flat=True))
    said = with_charge("base", amount="25", lists={"EUR": {"amount": "20"}})
    outcome = brought(said)
    assert (outcome.did, outcome.version) == (Did.CHANGED, version)
    assert exporting.content(version) == documents.from_json(said).version
    assert set(Cell.objects.filter(charge__code="tokens").values_list("pk", flat=True)) == kept


def test_what_was_published_never_changes_and_a_new_draft_says_what_is_other() -> None:
    first = publish(brought(chatbot()).version)
    before = exporting.content(first)
    said = with_charge("base", amount="25")
    del said["lists"]["EUR"]
    said["charges"]["base"].pop("lists")
    said["charges"]["tokens"].pop("lists")
    outcome = brought(said)
    assert (outcome.did, outcome.version.number, outcome.version.status) == (Did.CREATED, 2, "draft")
    assert outcome.changes == [
        "It is no longer offered in EUR.",
        "“Base”: the fee changes from $20.00 to $25.00.",
    ]
    assert exporting.content(first) == before
    assert brought(said).did == Did.UNCHANGED
    assert PlanVersion.objects.count() == 2


def test_a_document_of_what_is_published_leaves_the_draft_that_somebody_writes() -> None:
    first = publish(brought(chatbot()).version)
    draft = change_version(clone_version(first), interval="year")
    outcome = brought(chatbot())
    assert (outcome.did, outcome.version) == (Did.UNCHANGED, first)
    assert exporting.content(draft).terms["interval"] == "year"


def test_what_is_retired_is_begun_anew() -> None:
    retire(publish(brought(chatbot()).version))
    outcome = brought(chatbot())
    assert (outcome.did, outcome.version.number, outcome.changes) == (Did.CREATED, 2, [])


def test_published_at_once_or_refused_with_all_that_forbids_it() -> None:
    outcome = brought(chatbot(), publish=True)
    assert (outcome.published, outcome.version.status) == (True, "published")
    assert brought(chatbot(), publish=True).published is False
    before = state()
    said = with_charge("base", lists={})
    said["charges"]["tokens"]["rows"] = []
    assert refusal(said, publish=True) == [
        ("charges.base.lists.EUR.amount", "amount_missing"),
        ("charges.tokens.rows", "rows_missing"),
    ]
    assert state() == before
    assert [fault.field for fault in brought(said).faults] == ["charges.base.lists.EUR.amount", "charges.tokens.rows"]


def test_a_dry_run_says_what_would_come_of_it() -> None:
    publish(brought(chatbot()).version)
    before = state()
    outcome = brought(with_charge("base", amount="25"), dry_run=True, publish=True)
    assert (outcome.did, outcome.version.number, outcome.published) == (Did.CREATED, 2, True)
    assert outcome.changes == ["“Base”: the fee changes from $20.00 to $25.00."]
    assert state() == before


def test_everything_that_is_wrong_is_told_at_its_place() -> None:
    said = deepcopy(chatbot(currency="USX", minimum="1", commitment_product="apo"))
    said["products"]["Bad Code"] = {"name": ""}
    said["meters"]["other"] = {**METERS["calls"], "values": [{"property": "x"}]}
    said["lists"]["XXX"] = {}
    said["charges"] |= {
        "unknown": {"name": "U", "kind": "flat", "product": "ap", "amount": "1"},
        "uses.other": {"name": "O", "kind": "usage", "product": "api", "meter": "other"},
        "missing": {"name": "M", "kind": "usage", "product": "Bad Code", "meter": "token"},
        "fine": {"name": "F", "kind": "flat", "product": "api", "amount": "1.001", "lists": {"GBP": {"amount": "1"}}},
    }
    said["charges"]["tokens"] |= {
        "rows": [
            {"match": {"model": "a"}, "unit_price": "-1"},
            {"match": {"model": "a"}, "unit_price": "1"},
            {"match": {"modle": "a"}, "unit_price": "1"},
        ],
        "included": "0.0000000000001",
        "lists": {"EUR": {"rows": [{"unit_price": "1", "size": "2"}], "minimum": "0.001"}},
    }
    assert sorted(refusal(said)) == [
        ("charges.fine.amount", "amount_too_precise"),
        ("charges.missing.meter", "meter_unknown"),
        ("charges.tokens.included", "price_too_precise"),
        ("charges.tokens.rows.0.unit_price", "price_negative"),
        ("charges.tokens.rows.1.match", "row_twice"),
        ("charges.tokens.rows.2.match", "dimension_unknown"),
        ("charges.unknown.product", "product_unknown"),
        ("commitment_product", "product_unknown"),
        ("currency", "currency_unknown"),
        ("lists.XXX.currency", "currency_unknown"),
        ("meters.other.values", "values_not_read"),
        ("products.Bad Code.code", "invalid"),
        ("products.Bad Code.name", "blank"),
    ]
    assert state() == ([], [], [], [], [], [])
    with pytest.raises(Refused, match="There is no meter “token”: did you mean “tokens”"):
        brought(said)


def test_a_price_list_that_no_version_has() -> None:
    said = with_charge("base", lists={"GBP": {"amount": "1"}})
    assert refusal(said) == [("charges.base.lists.GBP", "price_list_unknown")]
    listed = with_charge("tokens", lists={"EUR": {"rows": [{"unit_price": "1", "size": "2"}], "minimum": "0.001"}})
    assert refusal(listed) == [
        ("charges.tokens.lists.EUR.minimum", "amount_too_precise"),
        ("charges.tokens.lists.EUR.rows.0.size", "price_field_unused"),
    ]


def test_meters_and_products_that_are_there_need_not_be_in_it() -> None:
    brought(chatbot())
    outcome = brought(chatbot(code="other", products={}, meters={}))
    assert outcome.notes == ["The plan “Chatbot” (other) is new."]
    assert refusal(chatbot(code="third", meters={}, products={}, commitment_product="x")) == [
        ("commitment_product", "product_unknown")
    ]


def test_what_plans_share_is_changed_and_told() -> None:
    brought(chatbot())
    said = deepcopy(
        chatbot(name="Bot", margin_floor="5", products={"api": {"name": "Bot API", "tax_category": "saas"}})
    )
    said["meters"]["tokens"]["name"] = "All tokens"
    outcome = brought(said)
    assert outcome.did == Did.UNCHANGED
    assert outcome.notes == [
        "The plan “Chatbot”: its name changes from “Chatbot” to “Bot”.",
        "The plan “Chatbot”: its margin floor changes from nothing to “5”.",
        "The product “Chatbot API”: its name changes from “Chatbot API” to “Bot API”.",
        "The product “Chatbot API”: its tax category changes from nothing to “saas”.",
        "The meter “All tokens” (tokens) is changed.",
    ]
    assert (Plan.objects.get().margin_floor, Meter.objects.get().name) == (5, "All tokens")


def test_a_meter_that_counts_otherwise_counts_anew_and_a_frozen_one_refuses() -> None:
    version = brought(chatbot()).version
    send(event())
    said = deepcopy(chatbot())
    said["meters"]["tokens"]["filters"] = []
    assert brought(said).notes == ["The meter “Tokens” (tokens) is changed, and counts anew."]
    assert Backfill.objects.filter(meter__code="tokens", status="counting").exists()
    Backfill.objects.all().delete()
    publish(version)
    assert refusal(chatbot()) == [("meters.tokens", "meter_frozen_conflict")]


def with_features(**given: Any) -> dict[str, Any]:
    """By code: what is given; all of them are defined."""
    return chatbot(features={code: {"value": value, "definition": FEATURES[code]} for code, value in given.items()})


def test_features_come_with_it_and_are_given() -> None:
    said = with_features(sso=True, tokens="1000.0", models=["large", "small"])
    outcome = brought(said)
    assert outcome.notes[3:] == [
        "The feature “Models” (models) is new.",
        "The feature “Single sign-on” (sso) is new.",
        "The feature “Tokens” (tokens) is new.",
    ]
    given = {each.feature.code: each.value for each in outcome.version.feature_values.select_related("feature")}
    assert given == {"sso": True, "tokens": 1000, "models": ("small", "large")}
    assert (brought(said).did, brought(said).notes) == (Did.UNCHANGED, [])
    publish(outcome.version)
    other = with_features(tokens="unlimited", seats=3)
    other["features"]["tokens"]["definition"] = {**FEATURES["tokens"], "name": "Large tokens"}
    outcome = brought(other)
    assert outcome.notes == ["The feature “Seats” (seats) is new.", "The feature “Large tokens” (tokens) is changed."]
    assert outcome.changes == [
        "Feature “Seats” is given: 3.",
        "Feature “Large tokens” changes from 1,000 token in each month to unlimited in each month.",
        "Feature “Models” is no longer given (small, large).",
        "Feature “Single sign-on” is no longer given (on).",
    ]
    assert exporting.content(outcome.version).features == {"tokens": "unlimited", "seats": "3"}


def test_what_is_wrong_with_features_is_told_at_its_place() -> None:
    said = with_features(sso="yes", tokens=-1, models=["larg"])
    said["features"]["nothing"] = {"value": True}
    said["features"]["broken"] = {"value": 1, "definition": {"name": "B", "kind": "number", "window": "day"}}
    said["features"]["lost"] = {"value": 1, "definition": {**FEATURES["tokens"], "meter": "token"}}
    assert sorted(refusal(said)) == [
        ("features.broken.definition.window", "window_unused"),
        ("features.lost.definition.meter", "meter_unknown"),
        ("features.models.value", "value_unknown"),
        ("features.nothing", "feature_unknown"),
        ("features.sso.value", "value_invalid"),
        ("features.tokens.value", "value_negative"),
    ]
    said = with_features(tokens=1)
    said["meters"]["tokens"] = {**METERS["tokens"], "unit": ""}
    assert ("features.tokens.definition.meter", "meter_unknown") in refusal(said)
    publish(brought(with_features(tokens="5")).version)
    said = with_features(tokens="5")
    said["features"]["tokens"]["definition"] = {**FEATURES["tokens"], "window": "day"}
    assert refusal(said) == [("features.tokens.definition.window", "feature_frozen_conflict")]


def test_how_usage_is_paid_for_stays_once_published() -> None:
    publish(brought(chatbot()).version)
    assert ("consumption", "consumption_conflict") in refusal(chatbot(consumption="balance", when_empty="block"))


def test_into_a_version_of_an_address() -> None:
    first = publish(brought(chatbot()).version)
    newest, older = clone_version(first), clone_version(first)
    said = with_charge("base", amount="25")
    outcome = brought(said, into=newest)
    assert (outcome.did, outcome.version) == (Did.CHANGED, newest)
    assert exporting.content(older) == exporting.content(first)
    assert brought(chatbot(), into=first).did == Did.UNCHANGED
    assert refusal(said, into=first) == [("version", "version_published_conflict")]


def test_another_kind_of_charge_under_the_same_code_and_another_order() -> None:
    version = brought(chatbot()).version
    change_charge(version.charges.get(code="base"), position=3)
    change_charge(version.charges.get(code="tokens"), position=5)
    assert brought(chatbot()).did == Did.UNCHANGED  # places are told by their order
    said = with_charge("tokens", kind="flat", amount="1", timing="once", position=0)
    for name in ("meter", "rows", "lists"):
        said["charges"]["tokens"].pop(name)
    said["charges"]["last"] = {**said["charges"]["base"], "position": 9}
    brought(said)
    assert list(version.charges.values_list("code", "kind", "position")) == [
        ("tokens", "flat", 0),
        ("last", "flat", 1),
        ("base", "flat", 2),  # it says no place
    ]


def test_a_currency_and_that_of_a_list_change_places() -> None:
    version = brought(chatbot()).version
    said = deepcopy(chatbot(currency="EUR", lists={"USD": {}}))
    for charge in said["charges"].values():
        charge["lists"] = {"USD": charge["lists"].pop("EUR")}
    brought(said)
    assert exporting.content(version) == documents.from_json(said).version
    assert PlanVersion.objects.get().currencies() == ["EUR", "USD"]


def rows_of(number: int, price: str = "0.00001") -> list[dict[str, Any]]:
    return [{"match": {"model": f"model-{each}"}, "unit_price": price} for each in range(number)]


def test_thousands_of_rows_take_as_many_statements_as_a_few_but_for_the_batches() -> None:
    def statements(said: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            brought(said)
        return len(captured)

    few = statements(chatbot(code="few", charges=with_charge("tokens", rows=rows_of(5))["charges"]))
    many = statements(chatbot(code="many", charges=with_charge("tokens", rows=rows_of(5_000))["charges"]))
    # rows are written a thousand at a time, and read by PostgreSQL in one go
    assert many - few <= 4
    few = statements(chatbot(code="few", charges=with_charge("tokens", rows=rows_of(5, "0.1"))["charges"]))
    many = statements(chatbot(code="many", charges=with_charge("tokens", rows=rows_of(5_000, "0.1"))["charges"]))
    assert many == few
    assert Cell.objects.filter(unit_price=D("0.1")).count() == 5_005


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_draft() -> None:
    outcomes: list[Outcome | Exception] = []

    def run(said: dict[str, Any]) -> None:
        try:
            outcomes.append(brought(said))
        except Exception as error:  # noqa: BLE001
            outcomes.append(error)
        finally:
            connections.close_all()

    dearer = with_charge("base", amount="25")
    threads = [Thread(target=run, args=(said,)) for said in (chatbot(), dearer, chatbot(), chatbot(code="other"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(isinstance(outcome, Outcome) for outcome in outcomes), outcomes
    assert sorted(Plan.objects.values_list("code", flat=True)) == ["chatbot", "other"]
    assert PlanVersion.objects.filter(plan__code="chatbot").count() == 1
    assert (Product.objects.count(), Meter.objects.count()) == (1, 1)
    [version] = PlanVersion.objects.filter(plan__code="chatbot")
    assert exporting.content(version) in [documents.from_json(each).version for each in (chatbot(), dearer)]


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_published_meanwhile_is_left() -> None:
    version = brought(chatbot()).version
    published: list[Any] = []

    def run() -> None:
        try:
            published.append(publish(version))
        except Refused as refused:
            published.append(refused)
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    brought(with_charge("base", amount="25"))
    thread.join()
    numbers = dict(PlanVersion.objects.values_list("number", "status"))
    assert numbers in ({1: "published"}, {1: "published", 2: "draft"})
    newest = PlanVersion.objects.order_by("-number").first()
    assert newest is not None
    assert exporting.content(newest).charges["base"].terms["amount"] == 25
