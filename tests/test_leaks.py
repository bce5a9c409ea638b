"""The page of leaks: what each kind shows, how it is mended, and who may look at what."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from billing_site.leaks import sections as leaks
from billing_site.leaks import unbilled
from catalog.models import Charge, PlanVersion
from catalog.versions import publishing
from customers.subscriptions import subscribing
from invoicing import folded
from meters.backfills import backfilling
from meters.explorer.scanning import TooMuch
from meters.files import parts
from meters.models import Bucket, Event, Meter, OverLimit, Refusal, Stream, Upload, UploadResult
from meters.usage import cardinality
from tests.customers import making
from tests.meters.making import NOON, event, tokens_meter
from tests.meters.making import send as accept_events

pytestmark = pytest.mark.django_db

PAGE = "/admin/leaks/"
HOSTILE = "<script>alert(1)</script>&\"'"


def login(*permissions: str) -> Client:
    return login_as("vera", *permissions)


def login_as(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def sections(client: Client) -> dict[str, leaks.Section]:
    return {section.key: section for section in client.get(PAGE).context["sections"]}


def unpriced_usage(model: str = "c") -> Charge:
    """A published plan with a row for model a, and 1,000 units of another model used this month."""
    tokens = making.meter("tokens", ("model",), unit="token")
    version = making.version(name="Chat")
    charge = making.usage_charge(version, tokens, [({"model": "a"}, "0.01")])
    making.publish(version)
    customer = subscribing.create_customer(reference="acme", name="Acme")
    today = clock.now().date()
    subscribing.subscribe(customer=customer, version=version, starts_on=date(today.year, today.month, 1))
    making.use("acme", tokens, clock.now(), 1000, {"model": model})
    return charge


def send(reference: str = "r", **changes: Any) -> Event:
    given = {"customer": "ghost", "type": "llm", "status": "succeeded", "properties": {}, "timestamp": clock.now()}
    Stream.objects.get_or_create(customer=changes.get("customer", "ghost"), type=changes.get("type", "llm"))
    return Event.objects.create(reference=reference, **{**given, **changes})


def test_an_empty_site_has_none(admin_client: Client) -> None:
    page = admin_client.get(PAGE)
    assert [section.count for section in page.context["sections"]] == ["0"] * 10
    assert page.content.decode().count("<p>None.</p>") == 10
    assert "tb-alarm" not in page.content.decode()


def test_unknown_customers_and_types_lead_to_what_mends_them(admin_client: Client) -> None:
    send("a", customer="g&h", type="x?y")
    found = sections(admin_client)
    [customer], [kind] = found["unknown-customers"].rows, found["unknown-types"].rows
    assert (customer.cells[:3], customer.worth) == (("g&h", "x?y", "1"), "cannot be known")
    assert kind.cells[:3] == ("x?y", "1", "1")
    for fix, text in ((customer.fixes[0], "g&amp;h"), (kind.fixes[0], "x?y")):
        assert text in admin_client.get(fix.address).content.decode()
    assert found["unknown-customers"].count == found["unknown-types"].count == "1"


def test_unpriced_usage_shows_its_worth_and_clones_the_version_with_the_row(admin_client: Client) -> None:
    charge = unpriced_usage()
    section = sections(admin_client)["unpriced"]
    [leak] = section.rows
    assert (section.count, leak.cells) == ("1", ("Usage of Chat v1", "model = c", "1,000 token", "1", "0"))
    assert leak.worth == "about $10.00 USD"
    clone, opened = leak.fixes
    assert admin_client.get(opened.address).status_code == 200
    answer = admin_client.post(clone.address, clone.fields)
    copy = Charge.objects.get(version__number=2)
    assert answer["Location"] == f"/admin/catalog/charge/{copy.pk}/change/?dimension_model=c"
    formset = admin_client.get(f"{answer['Location']}&plain=1").context["inline_admin_formsets"][0].formset
    assert [form["dimension_model"].value() for form in formset] == ["a", "c", "*"]
    assert charge.cells.count() == copy.cells.count() == 1


def test_a_draft_that_is_there_is_used_instead_of_another_clone(admin_client: Client) -> None:
    charge = unpriced_usage(HOSTILE)
    draft = publishing.clone_version(charge.version)
    [leak] = sections(admin_client)["unpriced"].rows
    [fix] = leak.fixes
    assert (fix.text, fix.fields) == ("Add the row to Chat v2", {})
    formset = admin_client.get(f"{fix.address}&plain=1").context["inline_admin_formsets"][0].formset
    assert formset.forms[1]["dimension_model"].value() == HOSTILE
    assert draft.charges.get().cells.count() == 1


def test_a_row_that_was_filled_in_by_a_link_is_saved(admin_client: Client) -> None:
    draft = publishing.clone_version(unpriced_usage().version)
    charge = draft.charges.get()
    page = f"/admin/catalog/charge/{charge.pk}/change/?dimension_model=c&plain=1"
    form = admin_client.get(page).context["adminform"].form
    formset = admin_client.get(page).context["inline_admin_formsets"][0].formset
    fields = {name: form[name].value() for name in form.fields}
    fields |= {f"cells-{name}_FORMS": str(n) for name, n in (("TOTAL", 3), ("INITIAL", 1))}
    for row in formset.forms:
        fields |= {row.add_prefix(name): row[name].value() for name in row.fields}
    fields |= {"cells-1-price": "0.5"}
    answer = admin_client.post(page, {name: value for name, value in fields.items() if value is not None})
    assert answer.status_code == 302, answer.context["errors"]
    assert [(cell.match, str(cell.unit_price.normalize())) for cell in charge.cells.all()] == [
        ({"model": "a"}, "0.01"),
        ({"model": "c"}, "0.5"),
    ]


def test_bad_values_and_refusals_lead_to_event_meter_and_key(admin_client: Client) -> None:
    Meter.objects.create(code="tokens", name="Tokens", event_type="llm", aggregation="sum", unit="token")
    send("r")
    key, _ = create_key("gateway", ["ingest"])
    Refusal.objects.create(day=clock.now().date(), api_key=key, code="too_old", type="llm", events=7, message="m")
    found = sections(admin_client)
    [bad], [refused] = found["unread"].rows, found["refused"].rows
    assert bad.cells == ("tokens", "value", "missing", "1", "1", "r")
    assert refused.cells[:4] == ("too_old", "llm", "gateway", "7")
    for fix in (*bad.fixes, *refused.fixes):
        assert admin_client.get(fix.address).status_code == 200


def test_the_largest_meters_are_shown(admin_client: Client) -> None:
    unpriced_usage()
    [row] = sections(admin_client)["series"].rows
    assert row.cells == ("Tokens", "1", "1", "acme", "1")


def test_what_cannot_be_looked_through_in_time_says_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: Any) -> None:
        raise TooMuch("Choose less.")

    monkeypatch.setattr(unbilled.unpriced, "open_usage", too_much)
    monkeypatch.setattr(unbilled.unpriced, "billed_at_nothing", too_much)
    page = admin_client.get(PAGE)
    assert page.content.decode().count("Choose less.") == 2


def test_each_kind_is_for_those_who_may_see_it() -> None:
    unpriced_usage()
    send("a")
    client = login("view_unknowntype")
    assert [section.key for section in client.get(PAGE).context["sections"]] == ["unknown-types"]
    assert sections(client)["unknown-types"].rows[0].fixes[0].address is None
    titles = [item["title"] for group in client.get(PAGE).context["sidebar_navigation"] for item in group["items"]]
    assert "Leaks" in titles


def test_nobody_else_may_see_any(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    other = login("view_apikey")
    assert other.get(PAGE).status_code == 403
    page = other.get("/admin/")
    assert "Leaks" not in [item["title"] for group in page.context["sidebar_navigation"] for item in group["items"]]


def test_cloning_needs_its_permissions_and_a_post() -> None:
    charge = unpriced_usage()
    client = login("view_charge", "view_planversion", "add_planversion")
    [leak] = sections(client)["unpriced"].rows
    assert leak.fixes[0].address is None
    assert client.post(f"{PAGE}clone/", {"charge": str(charge.pk)}).status_code == 403
    assert PlanVersion.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x", "0", "9" * 30])
def test_a_charge_that_is_not_there_is_not_found(admin_client: Client, key: str) -> None:
    assert admin_client.post(f"{PAGE}clone/", {"charge": key}).status_code == 404
    assert admin_client.get(f"{PAGE}clone/").status_code == 405


def test_names_from_outside_are_only_text(admin_client: Client) -> None:
    send(HOSTILE, customer=HOSTILE, type=HOSTILE)
    key, _ = create_key(HOSTILE, ["ingest"])
    Refusal.objects.create(day=clock.now().date(), api_key=key, code="c", type=HOSTILE, events=1, message=HOSTILE)
    unpriced_usage(HOSTILE)
    text = admin_client.get(PAGE).content.decode()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 5


def test_the_number_of_queries_is_fixed_and_so_is_the_number_of_rows(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(PAGE)
        return len(captured)

    charge = unpriced_usage()
    send("first")
    queries()  # the meters are read once
    few = queries()
    for number in range(leaks.SHOWN + 5):
        send(f"r{number}", customer=f"c{number}", type=f"t{number}")
        making.use("acme", charge.meter, clock.now() - timedelta(seconds=1), 1, {"model": f"m{number}"})
    assert queries() == few
    found = sections(admin_client)
    assert {len(found[key].rows) for key in ("unknown-customers", "unknown-types", "unpriced")} == {leaks.SHOWN}
    assert (found["unknown-customers"].count, found["unpriced"].count) == ("26", "26")


@pytest.mark.django_db(transaction=True)
def test_a_meter_beyond_its_limit_is_said_and_counted_anew(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = tokens_meter(series_limit=2)
    accept_events(*(event(f"r{n}", properties={"model": f"{HOSTILE}{n}", "input_tokens": 5}) for n in range(5)))
    section = sections(admin_client)["over-limit"]
    [row] = section.rows
    assert section.count == "1"
    assert row.cells[:5] == ("LLM tokens", "acme", "2", "model", "3")
    assert row.cells[6] == f"model = {HOSTILE}2, token_type = input"
    assert row.worth == "counted; no plan charges it now"
    monkeypatch.setattr(cardinality, "BUCKETS_AT_MOST", 1)
    assert sections(admin_client)["over-limit"].rows[0].cells[4] == "at least 3"
    page = admin_client.get(PAGE).content.decode()
    assert HOSTILE not in page
    assert "tb-alarm" in page
    opened, counted = row.fixes
    assert admin_client.get(opened.address).status_code == 200

    Meter.objects.filter(pk=meter.pk).update(series_limit=10)
    assert counted.fields == {"meter": str(meter.pk)}
    assert counted.address
    answer = admin_client.post(counted.address, counted.fields, follow=True)
    assert "is counted anew, which its page shows" in answer.content.decode()
    backfilling.run(meter)
    assert sections(admin_client)["over-limit"].count == "0"
    quantities = Bucket.objects.filter(series__meter=meter).values_list("quantity", flat=True)
    assert sorted(quantities) == [5, 5, 5, 5, 5]


@pytest.mark.django_db(transaction=True)
def test_what_is_counted_together_is_told_in_money(
    admin_client: Client, time_machine: time_machine.TimeMachineFixture
) -> None:
    time_machine.move_to(NOON + timedelta(hours=1), tick=False)
    meter = tokens_meter(series_limit=2)
    version = making.version(name="Chat")
    making.usage_charge(version, meter, [({}, "0.0125"), ({"model": "m0"}, "7")])
    making.publish(version)
    customer = subscribing.create_customer(reference="acme", name="Acme")
    subscribing.add_alias(customer, "acme-eu")
    today = clock.now().date()
    subscribing.subscribe(customer=customer, version=version, starts_on=date(today.year, today.month, 1))
    sent = [
        event(
            f"{customer}-{n}",
            customer=customer,
            properties={"model": f"m{n}", "input_tokens": 5},
        )
        for customer in ("acme-eu", "stray")
        for n in range(5)
    ]
    accept_events(*sent)

    worth = {row.cells[1]: row.worth for row in sections(admin_client)["over-limit"].rows}
    # three models beyond the limit of two: 3 × 5 × 0.0125 = 0.1875
    assert worth == {"acme-eu": "about $0.19 USD", "stray": "counted; no plan charges it now"}
    with CaptureQueriesContext(connection) as few:
        folded.charged({(meter.pk, "acme-eu")})
    for number in range(5):
        other = subscribing.create_customer(reference=f"c{number}", name="Other")
        subscribing.subscribe(customer=other, version=version, starts_on=date(today.year, today.month, 1))
    with CaptureQueriesContext(connection) as many:
        found = folded.charged({(meter.pk, name) for name in ("acme-eu", "c0", "c1", "c2", "c3", "c4")})
    assert found == {(meter.pk, "acme-eu"): {"USD": Decimal("0.19")}}
    assert len(many) == len(few)


@pytest.mark.django_db(transaction=True)
def test_who_may_count_anew() -> None:
    meter = tokens_meter(series_limit=1)
    accept_events(*(event(f"r{n}", properties={"model": f"m{n}", "input_tokens": 5}) for n in range(3)))
    client = login("view_overlimit", "view_meter")
    [row] = sections(client)["over-limit"].rows
    assert [fix.address is None for fix in row.fixes] == [False, True]
    assert client.post(f"{PAGE}recount/", {"meter": meter.pk}).status_code == 403
    assert OverLimit.objects.count() == 1
    assert Client().post(f"{PAGE}recount/", {"meter": meter.pk}).status_code == 302
    assert "over-limit" not in sections(login_as("other", "view_upload"))


@pytest.mark.parametrize(
    ("step", "together"),
    [
        (OverLimit.Step.NOTHING, "nothing: levels must be kept apart"),
        (OverLimit.Step.NAMES, "model, region"),
        (OverLimit.Step.ALL, "all dimensions, and the subscriptions that are named"),
    ],
)
def test_what_is_counted_together_is_said(admin_client: Client, step: OverLimit.Step, together: str) -> None:
    names, example = ["model", "region"], {"model": "m"}
    OverLimit.objects.create(
        customer="acme", meter=tokens_meter(), step=step, names=names, kept=[], allowed=2, example=example
    )
    assert sections(admin_client)["over-limit"].rows[0].cells[3] == together


def test_counting_nothing_anew(admin_client: Client) -> None:
    for key in ("0", "x", ""):
        assert admin_client.post(f"{PAGE}recount/", {"meter": key}).status_code == 404
    assert admin_client.get(f"{PAGE}recount/").status_code == 405


def test_uploads_that_failed_or_left_rows_out(admin_client: Client) -> None:
    by, now = User.objects.create_user("uma"), clock.now()
    given = {"size": 1, "format": "csv", "rows": 9, "parts": 1, "mapping": {}, "uploaded_by": by, "started_by": by}
    begun = {"step": "load", "step_at": now}
    Upload.objects.create(name="right.csv", status="done", next_part=1, **given, **begun)
    bad = Upload.objects.create(name="bad.csv", status="done", next_part=1, **given, **begun)
    Upload.objects.create(name=f"{HOSTILE}.csv", status="failed", error="The file is gone.", **given, **begun)
    Upload.objects.create(name="old.csv", status="failed", **given, step="load", step_at=now - timedelta(days=36))
    checked = Upload.objects.create(
        name="checked.csv", status="checked", next_part=1, **given, step="check", step_at=now
    )
    for upload, step in ((bad, "load"), (checked, "check")):
        UploadResult.objects.create(
            upload=upload,
            step=step,
            part=0,
            accepted=5,
            duplicates=0,
            repeated=0,
            rejected=4,
            reasons={"too_old": 4},
            rejects=parts.pack([]),
        )

    section = sections(admin_client)["uploads"]
    assert section.count == "2"
    assert [row.cells[:4] + row.cells[5:] for row in section.rows] == [
        (f"{HOSTILE}.csv", "Failed", "9", "0", "uma", "The file is gone."),
        ("bad.csv", "Done", "9", "4", "uma", "–"),
    ]
    assert all(admin_client.get(fix.address).status_code == 200 for row in section.rows for fix in row.fixes)
    assert HOSTILE not in admin_client.get(PAGE).content.decode()
