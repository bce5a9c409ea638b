"""Features in the hands of operators: made by their kind, given by a draft, and who may not."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.features.values import UNLIMITED
from catalog.models import Feature, FeatureValue, PlanVersion
from catalog.versions.publishing import create_feature, publish, set_feature_values
from tests.catalog import making
from tests.catalog.plans.test_admin import errors, page, signed_in, text

pytestmark = pytest.mark.django_db

VERBS = ("view", "add", "change", "delete")
EVERYTHING = [f"{verb}_{model}" for verb in VERBS for model in ("feature", "featurevalue", "planversion", "charge")]


@pytest.fixture
def alice() -> Client:
    return signed_in(*EVERYTHING, "publish_planversion")


def models() -> Feature:
    return create_feature(code="models", name="Models", kind="list", allowed=["small", "large"])


def given(version: PlanVersion) -> dict[str, Any]:
    return {each.feature.code: each.value for each in version.feature_values.select_related("feature")}


def test_one_of_each_kind_is_made(alice: Client) -> None:
    meter = making.tokens()
    forms = [
        {"kind": "switch", "name": "SSO", "code": "sso"},
        {"kind": "list", "name": "Models", "code": "models", "allowed": "small\r\n\r\n large \r\n"},
        {
            "kind": "number",
            "name": "Tokens",
            "code": "tokens",
            "meter": meter.pk,
            "window": "month",
            "filters": "model: model-a, model-b\r\ntoken_type:input",
            "several": "sum",
        },
        {"kind": "number", "name": "Seats", "code": "seats", "meter": "", "window": "", "several": "highest"},
    ]
    for form in forms:
        assert alice.get(page("feature_add"), {"kind": form["kind"]}).status_code == 200
        answer = alice.post(page("feature_add") + f"?kind={form['kind']}", form)
        assert answer.status_code == 302, errors(answer)

    assert Feature.objects.get(code="models").allowed == ["small", "large"]
    tokens = Feature.objects.get(code="tokens")
    assert (tokens.meter, tokens.window, tokens.several) == (meter, "month", "sum")
    assert tokens.filters == {"model": ["model-a", "model-b"], "token_type": ["input"]}
    shown = text(alice.get(page("feature_changelist")))
    assert "LLM tokens in each month, model: model-a, model-b; token_type: input" in shown
    assert "2 values" in shown


def test_what_is_wrong_is_said_at_its_field(alice: Client) -> None:
    meter = making.tokens()
    number = {"kind": "number", "name": "T", "code": "t", "several": "highest"}
    for form, says in [
        ({"kind": "list", "name": "M", "code": "m", "allowed": ""}, "Name at least one"),
        ({**number, "meter": meter.pk}, "For how long is use of “llm_tokens” added up"),
        ({**number, "meter": meter.pk, "window": "day", "filters": "modle: a"}, "did you mean “model”?"),
        ({**number, "meter": meter.pk, "window": "day", "filters": "model-a"}, "names no values"),
        ({**number, "window": "day"}, "It is a number that counts no meter"),
        ({"kind": "switch", "name": "T", "code": "T T"}, "lower-case letters"),
    ]:
        answer = alice.post(page("feature_add") + f"?kind={form['kind']}", form)
        assert answer.status_code == 200
        assert says in errors(answer)
    assert not Feature.objects.exists()


def test_one_that_somebody_has_may_be_renamed_and_get_longer(alice: Client) -> None:
    listed = models()
    limit = create_feature(
        code="t", name="T", kind="number", meter=making.tokens(), window="day", filters={"model": ["a"]}
    )
    version = making.draft_with_fee()
    set_feature_values(version, {listed: ["small"], limit: 5})
    publish(version)

    address = page("feature_change", limit.pk)
    assert "A published plan version or a customer has it" in text(alice.get(address))
    assert alice.post(address, {"name": "Renamed", "description": "x", "window": "month"}).status_code == 302
    limit.refresh_from_db()
    assert (limit.name, limit.window, limit.filters) == ("Renamed", "day", {"model": ["a"]})
    address = page("feature_change", listed.pk)
    refused = alice.post(address, {"name": "Models", "description": "", "allowed": "large"})
    assert "it has to stay in the list" in errors(refused)
    assert (
        alice.post(address, {"name": "Models", "description": "", "allowed": "small\nlarge\nhuge"}).status_code == 302
    )
    assert Feature.objects.get(pk=listed.pk).allowed == ["small", "large", "huge"]
    assert alice.get(page("feature_delete", listed.pk)).status_code == 403


def test_one_that_nobody_has_is_changed_and_deleted(alice: Client) -> None:
    feature = create_feature(code="seats", name="Seats", kind="number")
    form = {"name": "Users", "code": "users", "description": "", "meter": "", "window": "", "filters": ""}
    assert alice.post(page("feature_change", feature.pk), {**form, "several": "sum"}).status_code == 302
    feature.refresh_from_db()
    assert (feature.name, feature.code, feature.several) == ("Users", "users", "sum")

    alice.post(page("feature_delete", feature.pk), {"post": "yes"})
    assert not Feature.objects.exists()


def test_a_draft_says_in_one_form_what_it_gives(alice: Client) -> None:
    version, listed = making.draft_with_fee(), models()
    on = create_feature(code="sso", name="SSO", kind="switch")
    limit = create_feature(code="t", name="T", kind="number", meter=making.tokens(), window="day")
    address = page("planversion_features", version.pk)
    assert "Change what it gives" in text(alice.get(page("planversion_change", version.pk)))

    form = {"feature-sso": "on", "feature-t": "1000000", "feature-models": ["small", "large"]}
    answer = alice.post(address, form, follow=True)
    assert given(version) == {"sso": True, "t": 1_000_000, "models": ("small", "large")}
    assert "1,000,000 token in each day" in text(answer)
    shown = alice.get(address).context["form"]
    assert [shown[code].value() for code in ("sso", "t", "models")] == ["on", "1000000", ["small", "large"]]

    alice.post(address, {"feature-sso": "off", "feature-t": "Unlimited", "feature-models": ["any", "small"]})
    assert given(version) == {"sso": False, "t": UNLIMITED, "models": UNLIMITED}
    alice.post(address, {"feature-sso": "", "feature-t": ""})
    assert given(version) == {}
    assert [on, limit, listed]


def test_a_value_that_cannot_be_is_said_at_its_field_and_nothing_is_saved(alice: Client) -> None:
    version, _ = making.draft_with_fee(), models()
    create_feature(code="seats", name="Seats", kind="number")
    answer = alice.post(
        page("planversion_features", version.pk), {"feature-seats": "many", "feature-models": ["small"]}
    )

    assert answer.status_code == 200
    assert "“many” is not a number" in text(answer)
    for typed in ("1,5", "1,000,000"):
        answer = alice.post(page("planversion_features", version.pk), {"feature-seats": typed})
        assert f"“{typed}” has a comma: write a point for decimals, and nothing between thousands." in text(answer)
    assert not FeatureValue.objects.exists()


def test_a_published_version_is_only_looked_at(alice: Client) -> None:
    version, listed = making.draft_with_fee(), models()
    set_feature_values(version, {listed: "any"})
    publish(version)

    shown = text(alice.get(page("planversion_change", version.pk)))
    assert "What it gives" in shown
    assert "Change what it gives" not in shown
    answer = alice.post(page("planversion_features", version.pk), {}, follow=True)
    assert "was published: what it gives never changes" in text(answer)
    assert given(version) == {"models": UNLIMITED}


def test_the_page_before_publishing_says_what_changes(alice: Client) -> None:
    version, listed = making.draft_with_fee(), models()
    set_feature_values(version, {listed: []})
    shown = text(alice.get(page("planversion_publish", version.pk)))

    assert "Feature “Models” is an empty list: nothing of it is allowed." in shown


@pytest.mark.parametrize(
    ("permissions", "path", "status"),
    [
        (("view_feature",), "feature_changelist", 200),
        ((), "feature_changelist", 403),
        (("view_feature",), "feature_add", 403),
        (("add_feature",), "feature_add", 200),
        (("change_planversion", "change_featurevalue"), "features", 200),
        (("change_planversion", "view_featurevalue"), "features", 403),
        (("view_planversion", "change_featurevalue"), "features", 403),
    ],
)
def test_who_may_not(permissions: tuple[str, ...], path: str, status: int) -> None:
    version, _ = making.draft_with_fee(), models()
    address = page("planversion_features", version.pk) if path == "features" else page(path)
    client = signed_in(*permissions)

    assert client.get(address).status_code == status
    if status == 403:
        assert client.post(address, {"feature-models": ["any"]}).status_code == 403
        assert not FeatureValue.objects.exists()
    assert Client().get(address).status_code == 302


def test_who_may_only_look_is_offered_nothing() -> None:
    version, listed = making.draft_with_fee(), models()
    viewer = signed_in("view_feature", "view_planversion")

    assert "Change what it gives" not in text(viewer.get(page("planversion_change", version.pk)))
    assert viewer.post(page("feature_change", listed.pk), {"name": "x"}).status_code == 403


def test_pages_cost_the_same_whatever_there_is(alice: Client) -> None:
    version, meter = making.draft_with_fee(), making.tokens()

    def queries() -> list[int]:
        found = []
        for address in (page("feature_changelist"), page("planversion_features", version.pk)):
            alice.get(address)
            with CaptureQueriesContext(connection) as captured:
                alice.get(address)
            found.append(len(captured))
        return found

    def add(number: int) -> None:
        feature = create_feature(code=f"f{number}", name="F", kind="number", meter=meter, window="day")
        set_feature_values(version, {feature: 5})

    add(0)
    few = queries()
    for number in range(1, 20):
        add(number)
    assert queries() == few
