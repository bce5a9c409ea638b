"""Plan documents: what is exported is imported as the same, and nothing is read as something else."""

import json
from copy import deepcopy
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings

from billing_site.foundation.periods import Interval
from billing_site.foundation.shapes import REQUIRED, Unreadable
from catalog.documents import exporting, shapes
from catalog.documents import plan as documents
from catalog.documents import text as document_text
from catalog.documents.importing import Did, bring
from catalog.models import Charge, Feature, Plan, PlanVersion, PriceList, Product
from catalog.pricing import documents as prices
from catalog.versions.publishing import delete_feature, delete_plan, publish
from meters.definitions import metering
from meters.models import Meter
from tests.catalog.plan_documents import chatbot, plans

pytestmark = pytest.mark.django_db


def read(said: dict[str, Any]) -> documents.PlanDocument:
    return documents.from_json(said)


def charged(version: documents.VersionDocument) -> tuple[Any, ...]:
    """All but the values of features, which are known by their kinds alone."""
    return version.terms, version.lists, version.charges


def changed(place: str, value: Any) -> dict[str, Any]:
    """The chatbot, with something else at one place; a field that is `...` is taken away."""
    said = deepcopy(chatbot())
    *parents, last = place.split("/")
    inner: Any = said
    for each in parents:
        inner = inner[int(each) if isinstance(inner, list) else each]
    inner[int(last) if isinstance(inner, list) else last] = value
    if value is ...:
        del inner[last]
    return said


def test_it_says_what_it_was_made_of() -> None:
    version = bring(read(chatbot())).version
    assert (
        document_text.write(exporting.export(version))
        == """{
  "format": 1,
  "code": "chatbot",
  "name": "Chatbot",
  "consumption": "metered",
  "products": {
    "api": {
      "name": "Chatbot API"
    }
  },
  "currency": "USD",
  "interval": "month",
  "grace_seconds": 3600,
  "lists": {
    "EUR": {}
  },
  "charges": {
    "base": {
      "name": "Base",
      "kind": "flat",
      "product": "api",
      "position": 0,
      "timing": "advance",
      "amount": "20",
      "lists": {
        "EUR": {
          "amount": "18.5"
        }
      }
    },
    "tokens": {
      "name": "Tokens",
      "kind": "usage",
      "product": "api",
      "position": 1,
      "meter": "tokens",
      "unmatched": "hold",
      "rows": [
        {"match": {"model": "large"}, "model": "per_unit", "unit_price": "0.00003"},
        {"model": "per_unit", "unit_price": "0.00001"}
      ],
      "lists": {
        "EUR": {
          "rows": [
            {"model": "per_unit", "unit_price": "0.000009"}
          ]
        }
      }
    }
  }
}
"""
    )


def test_a_tier_is_a_line() -> None:
    tiers = [{"up_to": "1000", "unit_price": "0.02"}, {"unit_price": "0.01", "flat_price": "5"}]
    said = changed("charges/tokens/rows", [{"model": "graduated", "tiers": tiers}])
    assert document_text.write(read(said)).partition('"rows": [\n')[2].partition("],\n")[0] == (
        "        {\n"
        '          "model": "graduated",\n'
        '          "tiers": [\n'
        '            {"up_to": "1000", "unit_price": "0.02", "flat_price": "0"},\n'
        '            {"unit_price": "0.01", "flat_price": "5"}\n'
        "          ]\n"
        "        }\n"
        "      "
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(plans())
def test_what_is_exported_is_imported_elsewhere_as_the_same(said: dict[str, Any]) -> None:
    document = read(said)
    first = bring(document)
    exported = exporting.export(first.version, definitions=True)
    assert charged(exported.version) == charged(document.version)
    written = document_text.write(exported)
    assert bring(read(json.loads(written))).did == Did.UNCHANGED

    delete_plan(Plan.objects.get(code="any.plan"))
    Product.objects.all().delete()
    for feature in Feature.objects.all():
        delete_feature(feature)
    for meter in Meter.objects.all():
        metering.delete(meter)
    again = bring(read(json.loads(written)))

    assert document_text.write(exporting.export(again.version, definitions=True)) == written
    delete_plan(Plan.objects.get(code="any.plan"))


@settings(
    max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(plans(), plans())
def test_a_draft_becomes_any_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    bring(read(one))
    outcome = bring(read(other))
    assert charged(exporting.content(outcome.version)) == charged(read(other).version)
    assert exporting.content(outcome.version).features.keys() == other["features"].keys()
    assert bring(read(other)).did == Did.UNCHANGED
    assert PlanVersion.objects.filter(plan__code="any.plan").count() == 1
    delete_plan(Plan.objects.get(code="any.plan"))


@pytest.mark.parametrize(
    ("place", "value", "field", "code"),
    [
        ("format", 2, "format", "number_invalid"),
        ("format", ..., "format", "required"),
        ("code", ..., "code", "required"),
        ("name", 7, "name", "text_invalid"),
        ("name", "a\0b", "name", "text_invalid"),
        ("name", "\ud800", "name", "text_invalid"),
        ("description", None, "description", "null"),
        ("colour", "red", "colour", "field_unknown"),
        ("consumption", "credit", "consumption", "choice_unknown"),
        ("margin_floor", "x", "margin_floor", "number_invalid"),
        ("minimum", "1e999999", "minimum", "number_invalid"),
        ("minimum", "NaN", "minimum", "number_invalid"),
        ("minimum", 1.5, "minimum", "number_invalid"),
        ("grace_seconds", -1, "grace_seconds", "number_invalid"),
        ("grace_seconds", True, "grace_seconds", "number_invalid"),
        ("products", [], "products", "object_invalid"),
        ("products/api", "x", "products.api", "object_invalid"),
        ("products/api/code", "x", "products.api.code", "field_read_only"),
        ("meters/tokens/dimensions/0/name", 1, "meters.tokens.dimensions.0.name", "text_invalid"),
        ("meters/tokens/bands/0/thresholds/1", "x", "meters.tokens.bands.0.thresholds.1", "number_invalid"),
        ("lists/EUR/amount", "1", "lists.EUR.amount", "field_unknown"),
        ("charges", None, "charges", "null"),
        ("charges/base/kind", ..., "charges.base.kind", "required"),
        ("charges/base/amount", ..., "charges.base.amount", "required"),
        ("charges/tokens/meter", ..., "charges.tokens.meter", "required"),
        ("charges/base/rows", [{"unit_price": "1"}], "charges.base.rows", "field_of_other_kind"),
        ("charges/base/unmatched", "zero", "charges.base.unmatched", "field_of_other_kind"),
        ("charges/base/lists/EUR/cap", "1", "charges.base.lists.EUR.cap", "field_of_other_kind"),
        ("charges/tokens/amount", "1", "charges.tokens.amount", "field_of_other_kind"),
        ("charges/tokens/timing", "advance", "charges.tokens.timing", "field_of_other_kind"),
        ("charges/tokens/rows", {}, "charges.tokens.rows", "list_invalid"),
        ("charges/tokens/rows/0", 1, "charges.tokens.rows.0", "object_invalid"),
        ("charges/tokens/rows/0/id", 1, "charges.tokens.rows.0.id", "field_read_only"),
        ("charges/tokens/rows/0/match", [], "charges.tokens.rows.0.match", "match_invalid"),
        ("charges/tokens/rows/0/match/model", 1.5, "charges.tokens.rows.0.match", "match_invalid"),
        ("charges/tokens/rows/0/match/model", None, "charges.tokens.rows.0.match", "match_invalid"),
        ("charges/tokens/rows/0/match/model", "\0", "charges.tokens.rows.0.match", "match_invalid"),
        ("charges/tokens/rows/1/unit_price", "1,5", "charges.tokens.rows.1.unit_price", "number_invalid"),
        ("charges/tokens/rows/1/price", "1", "charges.tokens.rows.1.price", "field_unknown"),
        ("charges/tokens/lists/EUR/rows/0/model", "x", "charges.tokens.lists.EUR.rows.0.model", "model_unknown"),
        ("charges/tokens/lists/E\0", {}, "charges.tokens.lists.E\0", "text_invalid"),
        ("features", {"a": {}}, "features.a.value", "required"),
        ("features", {"a": {"value": 1.5}}, "features.a.value", "value_invalid"),
        ("features", {"a": {"value": None}}, "features.a.value", "null"),
        ("features", {"a": {"value": ["x", 1]}}, "features.a.value.1", "text_invalid"),
        ("features", {"a": {"value": "\0"}}, "features.a.value", "text_invalid"),
        (
            "features",
            {"a": {"value": 1, "definition": {"name": "A", "kind": "numbr"}}},
            "features.a.definition.kind",
            "choice_unknown",
        ),
    ],
)
def test_what_cannot_be_read_is_named(place: str, value: Any, field: str, code: str) -> None:
    with pytest.raises(Unreadable) as error:
        read(changed(place, value))
    assert [(fault.field, fault.code) for fault in error.value.faults] == [(field, code)]


def test_everything_is_told_at_once_with_what_may_have_been_meant() -> None:
    said = chatbot(nmae="x", consumption="creditz")
    said["charges"]["base"]["ammount"] = "1"
    with pytest.raises(Unreadable) as error:
        read(said)
    assert [fault.message for fault in error.value.faults] == [
        "A plan document has no “nmae”: did you mean “name”?",
        "“creditz” is not possible here: did you mean “credits”?",
        "A charge has no “ammount”: did you mean “amount”?",
    ]
    with pytest.raises(Unreadable, match="A plan document is a JSON object"):
        documents.from_json([])


def test_defaults_and_choices_are_those_of_the_tables() -> None:
    for shape, model in ((shapes.PLAN, Plan), (shapes.PRODUCT, Product), (shapes.TERMS, PlanVersion)):
        for name, each in shape.fields.items():
            if name in ("grace_seconds", "commitment_product") or each.default is REQUIRED:
                continue
            assert each.default == model._meta.get_field(name).get_default(), name
            if "enum" in each.kind.schema():
                known = [value for value, _ in model._meta.get_field(name).flatchoices]
                assert [value for value in each.kind.schema()["enum"] if value] == known, name
    assert shapes.TERMS.fields["grace_seconds"].default == PlanVersion._meta.get_field("grace").default.total_seconds()
    for name in ("kind", "timing", "unmatched"):
        known = [value for value, _ in Charge._meta.get_field(name).flatchoices]
        assert shapes.CHARGE.fields[name].kind.schema()["enum"] == known
    for name in ("kind", "window", "several"):
        known = [value for value, _ in Feature._meta.get_field(name).flatchoices]
        assert [value for value in shapes.FEATURE.fields[name].kind.schema()["enum"] if value] == known
    assert shapes.TERMS.fields["interval"].kind.schema()["enum"] == list(Interval)
    assert set(shapes.PRICE_LIST.fields) <= {field.name for field in PriceList._meta.fields}
    assert tuple(prices.PROPERTIES) == prices.FIELDS


def test_places_are_counted_from_0_and_those_without_come_last() -> None:
    said = chatbot()
    base, tokens = said["charges"]["base"], said["charges"]["tokens"]
    said["charges"] = {"d": base, "c": {**base, "position": 7}, "b": tokens, "a": {**base, "position": 3}}
    charges = read(said).version.charges
    assert {code: charge.terms["position"] for code, charge in charges.items()} == {"a": 0, "c": 1, "d": 2, "b": 3}


def test_equal_is_what_says_the_same() -> None:
    rows = [
        {"match": {"model": "large", "token_type": "*"}, "model": "per_unit", "unit_price": "0.000030", "size": None},
        {"match": {}, "unit_price": "1e-5"},
    ]
    same = changed("charges/tokens/rows", rows)
    same |= {"currency": "USD", "minimum": None, "description": ""}
    assert read(same) == read(chatbot())
    assert read(changed("charges/tokens/rows", rows[::-1])) != read(chatbot())


def test_the_number_of_queries_does_not_grow() -> None:
    def queries(versions: list[PlanVersion]) -> int:
        with CaptureQueriesContext(connection) as captured:
            exporting.exported(versions, definitions=True)
        return len(captured)

    one = publish(bring(read(chatbot())).version)
    few = queries([one])
    many = [bring(read(chatbot(code=f"c{number}", name="C"))).version for number in range(4)]
    assert queries([one, *many]) == few == 13
