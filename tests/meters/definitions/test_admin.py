"""The operator's pages: a meter is made and changed by form, all or nothing; the rest is read-only."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from meters.backfills import backfilling
from meters.definitions.drafts import DimensionDraft, FilterDraft, ValueDraft
from meters.definitions.metering import draft_of
from meters.measuring import previews
from meters.models import Bucket, Event, Meter, Series, UnknownType, UsageHour
from tests.meters.making import calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db
Rows = list[dict[str, Any]]


def form(
    values: Rows | None = None,
    dimensions: Rows | None = None,
    filters: Rows | None = None,
    bands: Rows | None = None,
    **fields: str,
) -> dict[str, Any]:
    """What a browser sends: the meter's fields and the rows of its parts. A row with an id is there already."""
    sent: dict[str, Any] = {
        "name": "LLM tokens",
        "code": "llm_tokens",
        "description": "",
        "event_type": "llm.request",
        "aggregation": "sum",
        "label_dimension": "",
        "unit": "token",
        "value_kind": "",
        "rounding": "none",
        "rounding_places": "0",
        **fields,
    }
    parts = (("values", values), ("dimensions", dimensions), ("bands", bands), ("filters", filters))
    for prefix, rows in ((prefix, rows or []) for prefix, rows in parts):
        initial = sum("id" in row for row in rows)
        sent |= {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}
        for number, row in enumerate(rows):
            sent |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return sent


def errors(answer: HttpResponse) -> str:
    """All that the page says is wrong."""
    context: Any = answer.context
    formsets = [each.formset for each in context["inline_admin_formsets"]]
    return str([context["adminform"].form.errors, [[each.errors, each.non_form_errors()] for each in formsets]])


ADD = "/admin/meters/meter/add/"


def test_a_meter_is_made(operator: Client) -> None:
    send(event("r1"))
    answer = operator.post(
        ADD,
        form(
            label_dimension="token_type",
            values=[{"label": "input", "property": "input_tokens"}, {"label": "output", "property": "output_tokens"}],
            dimensions=[{"name": "model", "property": "model", "status": "active"}],
            filters=[{"property": "model", "operator": "one_of", "values": "model-a, model-b"}],
        ),
    )
    assert answer.status_code == 302, errors(answer)
    meter = Meter.objects.get()
    backfilling.run(meter)
    draft = draft_of(meter)
    assert draft.values == (ValueDraft("input", "input_tokens"), ValueDraft("output", "output_tokens"))
    assert draft.dimensions == (DimensionDraft("model", "model"),)
    assert draft.filters == (FilterDraft("model", "one_of", ("model-a", "model-b")),)
    assert Bucket.objects.count() == 2


def test_a_meter_of_levels_rounded_up(operator: Client) -> None:
    given = form(aggregation="weighted_sum", value_kind="level", recurring="on", rounding="ceil", rounding_places="2")
    answer = operator.post(ADD, given)
    assert answer.status_code == 302, errors(answer)
    draft = draft_of(Meter.objects.get())
    assert (draft.value_kind, draft.recurring, draft.rounding, draft.rounding_places) == ("level", True, "ceil", 2)


def test_what_is_not_shown_means_nothing(operator: Client) -> None:
    answer = operator.post(ADD, form(aggregation="max", value_kind="level", recurring="on", rounding_places="3"))
    assert answer.status_code == 302, errors(answer)
    draft = draft_of(Meter.objects.get())
    assert (draft.value_kind, draft.recurring, draft.rounding, draft.rounding_places) == ("", False, "none", 0)


def test_a_total_of_labels_is_made(operator: Client) -> None:
    rows = [
        {"label": "input", "property": "input_tokens"},
        {"label": "total", "property": "input_tokens", "plus": "output_tokens, cached_tokens"},
    ]
    answer = operator.post(ADD, form(label_dimension="token_type", values=rows))
    assert answer.status_code == 302, errors(answer)
    values = draft_of(Meter.objects.get()).values
    assert values[1] == ValueDraft("total", "input_tokens", ("output_tokens", "cached_tokens"))


def band(thresholds: str, **more: Any) -> dict[str, Any]:
    return {"name": "size", "properties": "input_tokens", "thresholds": thresholds, **more}


def test_which_bands_come_of_thresholds_stands_beside_them(operator: Client) -> None:
    assert operator.post(ADD, form(bands=[band("200000, 1000000.5")])).status_code == 302
    address = reverse("admin:meters_meter_change", args=[Meter.objects.get().pk])
    shown = unescape(operator.get(address).content.decode())
    assert "“0-200000”, “200000-1000000.5”, “1000000.5+”" in shown
    assert 'value="200000,1000000.5"' in shown


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ("200000, many", ["Place 2: “many” is no number"]),
        ("few, 200000, many", ["Place 1: “few” is no number", "Place 3: “many” is no number"]),
        ("200000,", ["Place 2: It is empty"]),
        ("300000, 200000", ["300000 and 200000 do not ascend"]),
        ("-5, 0", ["The threshold -5 is no size", "The threshold 0 is no size"]),
    ],
)
def test_each_threshold_that_is_wrong_is_named(operator: Client, thresholds: str, said: list[str]) -> None:
    found = errors(operator.post(ADD, form(bands=[band(thresholds)])))
    assert [each for each in said if each not in found] == []
    assert not Meter.objects.exists()


def test_parts_are_checked_beside_one_that_cannot_be_read(operator: Client) -> None:
    """What all of them lack is not told while one of them may yet be it."""
    bands = [band("2, 1"), band("many", name="other")]
    found = errors(
        operator.post(ADD, form(bands=bands, dimensions=[{"name": "no code", "property": "", "status": "active"}]))
    )
    assert "2 and 1 do not ascend" in found
    assert "“many” is no number" in found
    assert "'property'" in found


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "neither levels nor deltas": ({"aggregation": "weighted_sum"}, "levels or deltas"),
    "too many places": ({"rounding": "ceil", "rounding_places": "13"}, "less than or equal to 12"),
    "rounding to no places": (
        {"rounding": "ceil", "rounding_places": ""},
        "“Decimal places” is empty: write",
    ),
    "a property added twice": ({"values": [{"label": "", "property": "a", "plus": "b,b"}]}, "is given 2 times"),
    "no name": ({"name": ""}, "“Name” is empty: write it."),
    "a code with capitals": ({"code": "LLM"}, "Use lower-case letters"),
    "labels without a dimension": (
        {"values": [{"label": "input", "property": "a"}]},
        "name the dimension that tells them apart",
    ),
    "a label missing": (
        {
            "label_dimension": "t",
            "values": [{"label": "input", "property": "a"}, {"label": "", "property": "b"}],
        },
        "With several values, each needs a label",
    ),
    "count of values": ({"aggregation": "count", "values": [{"label": "", "property": "a"}]}, "reads no property"),
    "a dimension that is the label's": (
        {
            "label_dimension": "t",
            "values": [{"label": "input", "property": "a"}],
            "dimensions": [{"name": "t", "property": "x", "status": "active"}],
        },
        "is the label dimension already",
    ),
    "a dimension twice": (
        {
            "dimensions": [
                {"name": "m", "property": "x", "status": "active"},
                {"name": "m", "property": "y", "status": "active"},
            ]
        },
        "is given 2 times",
    ),
    "a filter without values": (
        {"filters": [{"property": "a", "operator": "one_of", "values": ""}]},
        "need values",
    ),
}


@pytest.mark.parametrize(("given", "says"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_and_nothing_is_made(operator: Client, given: dict[str, Any], says: str) -> None:
    answer = operator.post(ADD, form(**given))
    assert answer.status_code == 200
    assert says in errors(answer)
    assert says in answer.content.decode()
    assert not Meter.objects.exists()


def test_a_code_that_is_taken(operator: Client) -> None:
    calls_meter(code="llm_tokens")
    answer = operator.post(ADD, form())
    assert "already exists" in errors(answer)


def test_a_meter_is_changed(operator: Client) -> None:
    meter = tokens_meter()
    send(event("r1"))
    first, second = meter.values.order_by("position")
    model = meter.dimensions.get()
    answer = operator.post(
        reverse("admin:meters_meter_change", args=[meter.pk]),
        form(
            name="Tokens",
            label_dimension="direction",
            values=[
                {"id": first.pk, "meter": meter.pk, "label": "in", "property": "input_tokens"},
                {"id": second.pk, "meter": meter.pk, "label": "output", "property": "output_tokens", "DELETE": "on"},
            ],
            dimensions=[{"id": model.pk, "meter": meter.pk, "name": "model", "property": "model", "status": "pending"}],
        ),
    )
    assert answer.status_code == 302, errors(answer)
    backfilling.run(meter)
    draft = draft_of(Meter.objects.get())
    assert (draft.name, draft.values) == ("Tokens", (ValueDraft("in", "input_tokens"),))
    assert draft.dimensions == (DimensionDraft("model", "model", "pending"),)
    assert [row.series.dimensions for row in Bucket.objects.select_related("series")] == [
        {"model": "model-a", "direction": "in"}
    ]
    page = operator.get(reverse("admin:meters_meter_history", args=[meter.pk])).content.decode()
    assert "operator" in page


def test_the_page_shows_what_the_latest_events_give(operator: Client) -> None:
    meter = tokens_meter(filters=[("kind", "absent", [])])
    sent = event("r1", properties={"model": "<b>a", "input_tokens": "1234.5"})
    send(sent, event("r2", status="failed"), event("r3", properties={}), event("r4", properties={"kind": 1}))
    page = operator.get(reverse("admin:meters_meter_change", args=[meter.pk])).content.decode()
    assert "1,234.5 (model = &lt;b&gt;a, token_type = input) token" in page
    assert "The event failed" in page
    assert "There is no number in: input_tokens, output_tokens." in page
    assert "A filter does not hold." in page


def test_a_frozen_meter_says_why_and_changes_its_name_only(operator: Client) -> None:
    meter = tokens_meter()
    Meter.objects.update(frozen_at=timezone.now())
    address = reverse("admin:meters_meter_change", args=[meter.pk])
    page = operator.get(address).content.decode()
    assert "This meter is frozen since" in page
    assert 'name="name"' in page
    for name in ("code", "event_type", "values-0-property", "dimensions-0-name"):
        assert f'name="{name}"' not in page
    before = draft_of(meter)
    answer = operator.post(address, form(name="Renamed", unit="x", values=[{"label": "x", "property": "y"}]))
    assert answer.status_code == 302, errors(answer)
    after = draft_of(Meter.objects.get())
    assert (after.name, after.unit, after.values) == ("Renamed", before.unit, before.values)
    assert operator.post(reverse("admin:meters_meter_delete", args=[meter.pk]), {"post": "yes"}).status_code == 403


def test_frozen_while_somebody_edits(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form was open when a version was published: the verb refuses, and the page says so."""
    from meters.definitions import admin as meter_admin
    from meters.definitions import metering

    meter = calls_meter()
    real = metering.change

    def change(*arguments: Any) -> Meter:
        Meter.objects.update(frozen_at=timezone.now())
        return real(*arguments)

    monkeypatch.setattr(meter_admin.metering, "change", change)
    address = reverse("admin:meters_meter_change", args=[meter.pk])
    answer = operator.post(address, form(code="api_calls", aggregation="count", unit="changed"), follow=True)
    assert "what it counts can no longer be changed" in answer.content.decode()
    assert Meter.objects.get().unit == "call"


def test_deleting_an_unused_meter(operator: Client) -> None:
    meter, used = calls_meter(event_type="other"), tokens_meter()
    send(event("r1"))
    assert operator.post(reverse("admin:meters_meter_delete", args=[meter.pk]), {"post": "yes"}).status_code == 302
    assert operator.post(reverse("admin:meters_meter_delete", args=[used.pk]), {"post": "yes"}).status_code == 403
    assert Meter.objects.get() == used


LISTS = ("usagehour", "series")


@pytest.mark.parametrize("name", LISTS)
def test_lists_cost_the_same_for_many_rows(operator: Client, name: str) -> None:
    meters = [tokens_meter(), calls_meter()]
    address = reverse(f"admin:meters_{name}_changelist")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(address).status_code == 200
        assert not [each["sql"] for each in captured if "COUNT(" in each["sql"] and f"meters_{name}" in each["sql"]]
        return len(captured)

    send(event("r1"))
    assert "?o=" not in operator.get(address).content.decode()
    few = queries()
    send(*(event(f"s{n}", customer=f"c{n}") for n in range(60)))
    assert queries() == few
    assert len(meters) == 2


def test_one_event(operator: Client) -> None:
    tokens_meter()
    calls_meter(code="other_calls", event_type="llm.request", filters=[("kind", "present", [])])
    send(event("r1", value="0.10", properties={"input_tokens": 5, "note": "<script>", "n": 1.50}))
    address = reverse("admin:meters_event_change", args=[Event.objects.get().pk])
    page = operator.get(address).content.decode()
    assert "&lt;script&gt;" in page
    assert '<script>"' not in page
    assert "5 (token_type = input)" in page
    assert "A filter does not hold." in page
    assert operator.post(address, {"reference": "x"}).status_code == 403
    assert operator.get(reverse("admin:meters_event_changelist") + "add/").status_code in (302, 403, 404)


def test_filters_by_meter(operator: Client) -> None:
    tokens, calls = tokens_meter(), calls_meter()
    send(event("r1"))
    for name, model in (("series", Series), ("usagehour", UsageHour)):
        answer = operator.get(reverse(f"admin:meters_{name}_changelist"), {"meter": calls.pk})
        assert [str(each) for each in answer.context["cl"].result_list] == [
            str(each) for each in model.objects.filter(meter=calls)
        ]
        assert answer.context["cl"].result_list.count() == 1
    assert tokens.series.count() == 2


def test_unknown_types(operator: Client) -> None:
    calls_meter()
    send(
        event("r1"),
        event("r2", type="image.request"),
        event("r3", type="image.request", customer="globex"),
        event("r4", type="image.request", customer="globex"),
        event("r5", type="audio"),
    )
    answer = operator.get(reverse("admin:meters_unknowntype_changelist"))
    rows = {row.type: (row.seen.customers, row.seen.events) for row in answer.context["cl"].result_list}
    assert rows == {"image.request": (2, 3), "audio": (1, 1)}
    row = UnknownType.objects.filter(type="audio").get()
    made = operator.get(reverse("admin:meters_unknowntype_make_meter", args=[row.pk]), follow=True)
    assert 'value="audio"' in made.content.decode()


def test_who_may_not(client: Client) -> None:
    meter = calls_meter()
    user = get_user_model().objects.create_user("viewer", password="a long password", is_staff=True)
    client.force_login(user)
    address = reverse("admin:meters_meter_change", args=[meter.pk])
    assert client.get(address).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_meter"))
    assert client.get(address).status_code == 200
    assert client.post(address, form(code="api_calls", aggregation="count", name="Hacked")).status_code == 403
    assert Meter.objects.get().name == "API calls"


def test_how_many_events_are_counted_is_said_before_saving(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    send(event("r1"), event("r2"), event("r3", type="other"))
    page = operator.get(reverse("admin:meters_meter_add"), {"event_type": "llm.request"}).content.decode()
    assert "<strong>2</strong> events of the type “<bdi>llm.request</bdi>” are stored; the first came on" in page
    meter = calls_meter()
    monkeypatch.setattr(previews, "MANY", 2)
    page = operator.get(reverse("admin:meters_meter_change", args=[meter.pk])).content.decode()
    assert "<strong>2 or more</strong> events" in " ".join(page.split())
