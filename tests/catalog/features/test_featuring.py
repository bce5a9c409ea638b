"""Features are made, changed, given by versions, and frozen: by verbs, and by the database whoever writes."""

from decimal import Decimal
from typing import Any

import pytest

from billing_site.foundation.errors import Refused
from catalog.features.models import Feature, FeatureValue
from catalog.features.values import UNLIMITED
from catalog.models import PlanVersion
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, remove_feature_value, set_feature_value, set_feature_values
from meters.definitions.metering import define_meter
from tests.catalog import making
from tests.violating import violates

pytestmark = pytest.mark.django_db

MODELS = ["small", "large"]


def switch(code: str = "sso") -> Feature:
    return create_feature(code=code, name=code.upper(), kind="switch")


def models(code: str = "models") -> Feature:
    return create_feature(code=code, name="Models", kind="list", allowed=MODELS)


def tokens_limit(**fields: Any) -> Feature:
    given = {"code": "tokens", "name": "Tokens", "meter": making.tokens(), "window": "month", **fields}
    return create_feature(kind="number", **given)


def codes(refused: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(fault.code, fault.field) for fault in refused.value.faults]


def test_a_feature_of_each_kind_is_made() -> None:
    meter = making.tokens()
    made = create_feature(
        code="a", name="A", kind="number", meter=meter, window="day", filters={"model": ["model-a", "model-a", ""]}
    )

    made.refresh_from_db()
    assert (made.meter, made.window, made.filters) == (meter, "day", {"model": ["model-a", ""]})
    assert create_feature(code="seats", name="Seats", kind="number", several="sum").several == "sum"
    assert models().allowed == MODELS
    assert switch().kind == "switch"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": "colour"}, ("kind_unknown", "kind")),
        ({"kind": "list"}, ("allowed_missing", "allowed")),
        ({"kind": "list", "allowed": ["a", "a"]}, ("allowed_repeated", "allowed")),
        ({"kind": "list", "allowed": [" a"]}, ("allowed_unfit", "allowed")),
        ({"kind": "list", "allowed": ["any"]}, ("allowed_unfit", "allowed")),
        ({"kind": "list", "allowed": ["a\0b"]}, ("allowed_unfit", "allowed")),
        ({"kind": "list", "allowed": ["a" * 256]}, ("allowed_too_long", "allowed")),
        ({"kind": "list", "allowed": [str(n) for n in range(1001)]}, ("allowed_too_many", "allowed")),
        ({"kind": "switch", "allowed": ["a"]}, ("allowed_unused", "allowed")),
        ({"kind": "switch", "window": "day"}, ("window_unused", "window")),
        ({"kind": "switch", "several": "sum"}, ("several_unused", "several")),
        ({"kind": "number", "window": "day"}, ("window_unused", "window")),
        ({"kind": "number", "filters": {"model": ["a"]}}, ("filters_unused", "filters")),
        ({"kind": "number", "several": "most"}, ("several_unknown", "several")),
        ({"kind": "number", "code": "No code"}, ("invalid", "code")),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], fault: tuple[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        create_feature(**{"code": "a", "name": "A", **fields})

    assert codes(refused) == [fault]
    assert not Feature.objects.exists()


@pytest.mark.parametrize(
    ("fields", "fault", "says"),
    [
        ({"window": ""}, ("window_missing", "window"), "billing_period, hour, day, week, month"),
        ({"window": "fortnight"}, ("window_unknown", "window"), "“fortnight”"),
        ({"filters": {"modle": ["a"]}}, ("dimension_unknown", "filters"), "did you mean “model”?"),
        ({"filters": {"token_type": ["inptu"]}}, ("label_unknown", "filters"), "it gives input, output"),
    ],
)
def test_what_a_number_counts_is_checked(fields: dict[str, Any], fault: tuple[str, str], says: str) -> None:
    with pytest.raises(Refused) as refused:
        tokens_limit(**fields)

    assert codes(refused) == [fault]
    assert says in str(refused.value)


@pytest.mark.parametrize("aggregation", ["max", "min", "average"])
def test_what_use_does_not_fill_up_cannot_be_counted(aggregation: str) -> None:
    meter = define_meter(
        code="m", name="M", event_type="m", aggregation=aggregation, unit="u", values=[("", "value_of_it")]
    )
    with pytest.raises(Refused, match="use does not fill up"):
        create_feature(code="a", name="A", kind="number", meter=meter, window="day")


def test_pending_dimensions_are_recorded_and_may_be_counted_apart() -> None:
    assert tokens_limit(filters={"region": ["eu"]}).filters == {"region": ["eu"]}


def test_a_version_gives_values_while_it_is_a_draft() -> None:
    version, on, limit, listed = making.draft_with_fee(), switch(), tokens_limit(), models()

    assert set_feature_value(version, on, True).value is True
    assert set_feature_value(version, limit, "1000").value == Decimal(1000)
    assert set_feature_value(version, limit, "unlimited").value is UNLIMITED
    assert set_feature_value(version, listed, ["large"]).value == ("large",)
    assert version.feature_values.count() == 3
    remove_feature_value(version, listed)
    remove_feature_value(version, listed)
    assert version.feature_values.count() == 2

    publishing.publish(version)
    for attempt in (lambda: set_feature_value(version, on, False), lambda: remove_feature_value(version, on)):
        with pytest.raises(Refused, match="published and never changes"):
            attempt()


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written() -> None:
    version, on, listed = making.draft_with_fee(), switch(), models()

    with pytest.raises(Refused) as refused:
        set_feature_values(version, {listed: ["smal"], on: "yes", switch("audit"): True})

    assert sorted(codes(refused)) == [("value_invalid", "sso.value"), ("value_unknown", "models.value")]
    assert not FeatureValue.objects.exists()


def test_publishing_freezes_the_feature_and_its_meter() -> None:
    version, limit, listed = making.draft_with_fee(), tokens_limit(), models()
    set_feature_values(version, {limit: 5, listed: "any"})
    published = publishing.publish(version)

    limit.refresh_from_db()
    assert limit.frozen_at == limit.meter.frozen_at == published.published_at
    for field, value in (("window", "day"), ("code", "other"), ("several", "sum"), ("filters", {"model": ["a"]})):
        with pytest.raises(Refused) as refused:
            publishing.change_feature(limit, **{field: value})
        assert codes(refused) == [("feature_frozen_conflict", field)]
    with pytest.raises(Refused) as refused:
        publishing.change_feature(limit, meter=making.calls())
    assert codes(refused) == [("feature_frozen_conflict", "meter")]
    assert publishing.change_feature(limit, name="All tokens").name == "All tokens"
    assert publishing.change_feature(listed, allowed=[*MODELS, "huge"]).allowed == [*MODELS, "huge"]
    with pytest.raises(Refused) as refused:
        publishing.change_feature(listed, allowed=["huge"])
    assert codes(refused) == [("value_in_use_conflict", "allowed")] * 2
    with pytest.raises(Refused, match="is used by Chatbot v1"):
        publishing.delete_feature(listed)


def test_a_feature_that_nobody_has_changes_freely_but_for_its_kind() -> None:
    listed, limit = models(), tokens_limit()

    assert publishing.change_feature(limit, meter=None, window="").meter is None
    assert publishing.change_feature(listed, allowed=("x",)).allowed == ["x"]
    with pytest.raises(Refused) as refused:
        publishing.change_feature(listed, kind="switch", allowed=[])
    assert ("feature_kind_conflict", "kind") in codes(refused)
    with pytest.raises(TypeError):
        publishing.change_feature(listed, colour="red")
    publishing.delete_feature(limit)
    assert Feature.objects.get() == listed


def test_a_draft_keeps_the_values_that_it_gives_in_the_list() -> None:
    version, listed = making.draft_with_fee(), models()
    set_feature_value(version, listed, ["large"])

    with pytest.raises(Refused) as refused:
        publishing.change_feature(listed, allowed=["small"])
    assert codes(refused) == [("value_in_use_conflict", "allowed")]
    assert publishing.change_feature(listed, allowed=["large"]).allowed == ["large"]


def test_publishing_checks_what_is_given() -> None:
    version, limit, on = making.draft_with_fee(), tokens_limit(filters={"model": ["a"]}), switch()
    set_feature_values(version, {limit: 0, on: True})
    review = publishing.review(version)
    assert (review.faults, review.warnings) == ([], ["Feature “Tokens” is 0: nothing of it is allowed."])

    limit.meter.dimensions.filter(name="model").update(status="retired")
    with pytest.raises(Refused) as refused:
        publishing.publish(version)
    assert codes(refused) == [("dimension_unknown", "features.tokens.filters")]
    assert refused.value.faults[0].message.startswith("Feature “Tokens”: The meter “llm_tokens” has no dimension")


def test_a_clone_gives_the_same_and_the_diff_says_what_became_of_it() -> None:
    version = making.draft_with_fee()
    limit, listed, on, gone = tokens_limit(), models(), switch(), switch("audit")
    set_feature_values(version, {limit: 1000, listed: ["small"], gone: True})
    publishing.publish(version)

    clone = publishing.clone_version(version)
    assert {each.feature.code: each.value for each in clone.feature_values.all()} == {
        "tokens": 1000,
        "models": ("small",),
        "audit": True,
    }
    assert publishing.review(clone).changes == []
    set_feature_values(clone, {limit: "unlimited", listed: ["small", "large"], on: False, gone: None})
    assert publishing.review(clone).changes == [
        "Feature “Models” changes from small to small, large.",
        "Feature “SSO” is given: off.",
        "Feature “Tokens” changes from 1,000 token in each month to unlimited in each month.",
        "Feature “AUDIT” is no longer given (on).",
    ]


# What the database refuses, whoever writes


def published_with(**values: Any) -> PlanVersion:
    version = making.draft_with_fee()
    set_feature_values(version, {Feature.objects.get(code=code): value for code, value in values.items()})
    return publishing.publish(version)


def test_the_database_keeps_what_a_published_version_gives() -> None:
    tokens_limit()
    version = published_with(tokens=5)
    given = FeatureValue.objects.get()
    draft = making.draft_with_fee()

    with violates("plan_version_published"):
        FeatureValue.objects.filter(pk=given.pk).update(number=6)
    with violates("plan_version_published"):
        FeatureValue.objects.filter(pk=given.pk)._raw_delete("default")
    with violates("plan_version_published"):
        FeatureValue.objects.create(version=version, feature=switch(), enabled=True)
    with violates("plan_version_published"):
        FeatureValue.objects.filter(pk=given.pk).update(version=draft)
    for change in ({"window": "day"}, {"code": "x"}, {"filters": {"model": ["b"]}}, {"frozen_at": None}):
        with violates("feature_frozen"):
            Feature.objects.filter(pk=given.feature_id).update(**change)
    with violates("feature_frozen"):
        Feature.objects.filter(pk=given.feature_id)._raw_delete("default")
    Feature.objects.filter(pk=given.feature_id).update(name="Renamed", description="…")


def test_the_database_takes_only_values_of_the_features_kind() -> None:
    draft, on, limit, listed = making.draft_with_fee(), switch(), tokens_limit(), models()
    wrong: list[tuple[Feature, dict[str, Any], str]] = [
        (on, {"number": 5}, "feature_value_fits_kind"),
        (on, {"unlimited": True}, "feature_value_fits_kind"),
        (limit, {"texts": []}, "feature_value_fits_kind"),
        (listed, {"enabled": True}, "feature_value_fits_kind"),
        (listed, {"texts": ["gpt"]}, "feature_value_allowed"),
        (limit, {"number": 5, "unlimited": True}, "featurevalue_is_one_value"),
        (limit, {"number": -1}, "featurevalue_is_one_value"),
    ]
    for feature, columns, constraint in wrong:
        with violates(constraint):
            FeatureValue.objects.create(version=draft, feature=feature, **columns)
    FeatureValue.objects.create(version=draft, feature=listed, texts=["small"])
    with violates("feature_value_once"):
        FeatureValue.objects.create(version=draft, feature=listed, texts=["small"])
    with violates("feature_kind_kept"):
        Feature.objects.filter(pk=listed.pk).update(kind="switch")
    with violates("feature_allowed_in_use"):
        Feature.objects.filter(pk=listed.pk).update(allowed=["large"])


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": "switch", "window": "day"},
        {"kind": "list"},
        {"kind": "number", "window": "day"},
        {"kind": "number", "allowed": ["a"]},
        {"kind": "other"},
    ],
)
def test_the_database_takes_only_fields_of_the_kind(columns: dict[str, Any]) -> None:
    with violates("feature_fields_fit_kind"):
        Feature.objects.create(code="x", name="X", **columns)


@pytest.mark.parametrize("filters", [[], {"model": "a"}, {"model": []}, {"model": [1]}])
def test_the_database_takes_only_filters_of_texts(filters: Any) -> None:
    with violates("feature_filters_are_names_and_texts"):
        Feature.objects.create(code="x", name="X", kind="number", meter=making.tokens(), window="day", filters=filters)
