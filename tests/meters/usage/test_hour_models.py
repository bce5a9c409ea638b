"""Usage by hour: a view that says what buckets come to, and its page."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from meters.definitions.metering import define_meter
from meters.models import Bucket, Series, UsageHour
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db
LIST = reverse("admin:meters_usagehour_changelist")


@pytest.mark.parametrize(
    ("aggregation", "merged"), [("sum", 12), ("max", 7), ("min", 2), ("average", 12), ("latest", None)]
)
def test_slots_are_merged_as_the_meter_aggregates(aggregation: str, merged: int | None) -> None:
    define_meter(
        code="m", name="M", event_type="llm.request", aggregation=aggregation, unit="u", values=[("", "input_tokens")]
    )
    send(event("r1", properties={"input_tokens": 3}))
    kept = None if merged is None else 2
    slots = [(10, kept), (11, None if merged is None else 7), (12, None)]  # the last as a correction holds it
    for slot, quantity in slots:
        Bucket.objects.create(
            series=Series.objects.get(), hour=NOON, slot=slot, quantity=quantity, events=0 if slot == 12 else 1
        )
    hour = UsageHour.objects.get()
    assert (hour.customer, hour.hour, hour.quantity, hour.events) == ("acme", NOON, merged, 3)
    assert hour.id == f"{hour.series_id}-2026031012"


def test_what_comes_to_nothing_or_is_counted_no_more_is_left_out() -> None:
    meter = calls_meter()
    send(event("r1"), event("r2", timestamp=(NOON + timedelta(hours=1)).isoformat()))
    Bucket.objects.filter(hour=NOON).update(quantity=0, events=0)
    assert [each.hour for each in UsageHour.objects.all()] == [NOON + timedelta(hours=1)]
    type(meter).objects.filter(pk=meter.pk).update(generation=2)
    assert not UsageHour.objects.exists()


@pytest.fixture
def much() -> int:
    """100,000 buckets: 250 series of 50 customers, 100 hours, 4 slots. The number of hours in all is 25,000."""
    meters = calls_meter(), tokens_meter()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meters_series (customer, meter_id, subscription, dimensions)"
            " SELECT 'c' || customer, CASE WHEN n < 3 THEN %s ELSE %s END, '', jsonb_build_object('model', n)"
            " FROM generate_series(1, 50) customer, generate_series(1, 5) n",
            [meters[0].pk, meters[1].pk],
        )
        cursor.execute(
            "INSERT INTO meters_bucket (series_id, hour, slot, quantity, events)"
            " SELECT id, %s::timestamptz + n * interval '1 hour', slot, 1, 1"
            " FROM meters_series, generate_series(0, 99) n, generate_series(0, 3) slot",
            [NOON],
        )
        cursor.execute("ANALYZE meters_series, meters_bucket, meters_meter")
    return meters[0].pk


@pytest.mark.parametrize(
    ("asked", "series"), [({}, 2), ({"customer": "c7"}, 5), ({"q": "c7"}, 5), ({"meter": "calls"}, 2)]
)
def test_the_page_reads_the_buckets_of_a_few_series(
    admin_client: Client, much: int, asked: dict[str, str], series: int
) -> None:
    """However many there are: of the newest series, or of those of the customer."""
    query = {name: str(much) if name == "meter" else value for name, value in asked.items()}
    with CaptureQueriesContext(connection) as captured:
        answer = admin_client.get(LIST, query)
    assert len(answer.context["cl"].result_list) == 50
    (sent,) = (each["sql"] for each in captured if 'FROM "meters_usagehour"' in each["sql"])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sent)
        plan = cursor.fetchone()[0][0]["Plan"]
    assert _read(plan, "meters_bucket") <= series * 400
    rows = list(answer.context["cl"].result_list)
    assert [(-each.series_id, -each.hour.timestamp()) for each in rows] == sorted(
        (-each.series_id, -each.hour.timestamp()) for each in rows
    )
    assert {each.quantity for each in rows} == {Decimal(4)}


def _read(plan: dict[str, Any], table: str) -> float:
    mine = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == table else 0
    return mine + sum(_read(each, table) for each in plan.get("Plans", ()))


def test_an_hour_is_found_by_its_series(admin_client: Client, much: int) -> None:
    hour = UsageHour.objects.filter(customer="c7").order_by("series_id", "hour").first()
    assert hour is not None
    address = reverse("admin:meters_usagehour_change", args=[hour.pk])
    with CaptureQueriesContext(connection) as captured:
        page = admin_client.get(address).content.decode()
    assert "c7" in page
    (sent,) = (each["sql"] for each in captured if 'FROM "meters_usagehour"' in each["sql"])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sent)
        assert _read(cursor.fetchone()[0][0]["Plan"], "meters_bucket") <= 400
    assert admin_client.post(address, {"quantity": "9"}).status_code == 403
    for wrong in ("nothing", f"{hour.series_id}-1999010101", "9" * 30 + "-2026031012"):
        assert admin_client.get(reverse("admin:meters_usagehour_change", args=[wrong])).status_code == 302


def test_who_may_not(client: Client) -> None:
    calls_meter()
    send(event("r1", customer="<b>&"))
    user = get_user_model().objects.create_user("viewer", password="a long password", is_staff=True)
    client.force_login(user)
    address = reverse("admin:meters_usagehour_change", args=[UsageHour.objects.get().pk])
    assert [client.get(each).status_code for each in (LIST, address)] == [403, 403]
    assert LIST not in client.get(reverse("admin:index")).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_bucket"))
    assert [client.get(each).status_code for each in (LIST, address)] == [200, 200]
    page = client.get(LIST).content.decode()
    assert "&lt;b&gt;&amp;" in page
    assert f'href="{LIST}"' in page
    assert client.get(f"{LIST}add/").status_code == 403
    assert not Permission.objects.filter(codename__endswith="_usagehour").exists()
