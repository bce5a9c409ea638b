"""The catalogue in the hands of operators: from a plan to published prices, what is refused, and who may not."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from html import unescape
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from catalog.admin_pages import with_counts
from catalog.models import Cell, Charge, PlanVersion, Product
from catalog.versions.publishing import change_charge, clone_version, publish, retire
from customers.models import Subscription
from meters.models import Meter, Series
from tests.catalog import making
from tests.catalog.making import in_credits
from tests.invoicing.running import subscribed

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)

ALL = [
    f"{verb}_{model}"
    for verb in ("view", "add", "change", "delete")
    for model in ("product", "plan", "planversion", "charge")
]


def signed_in(*permissions: str) -> Client:
    """A client of a member of staff who has these permissions of the catalogue."""
    user = User.objects.create_user(f"user-{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="catalog", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice() -> Client:
    """Does everything."""
    return signed_in(*ALL, "publish_planversion")


def page(name: str, *args: int) -> str:
    return reverse(f"admin:catalog_{name}", args=args)


def plain(charge: Charge, currency: str = "1") -> str:
    """The page on which rows are plain fields."""
    return f"{page('charge_change', charge.pk)}?plain={currency}"


def text(response: HttpResponse) -> str:
    return unescape(" ".join(response.content.decode().split()))


def stripped(response: HttpResponse) -> str:
    return " ".join(unescape(strip_tags(response.content.decode().replace("<", " <"))).split())


def do(client: Client, verb: str, version: PlanVersion) -> HttpResponse:
    """Look at the page of a button, and push it."""
    where = page(f"planversion_{verb}", version.pk)
    return client.post(where, {"seen": client.get(where).context["seen"]}, follow=True)


def errors(response: Any) -> str:
    """Everything that the forms of a page complain of."""
    forms = [response.context["adminform"].form]
    found = [str(form.errors) for form in forms]
    for inline in response.context["inline_admin_formsets"]:
        found += [str(inline.formset.non_form_errors()), *(str(each) for each in inline.formset.errors)]
    return unescape(" ".join(found))


def rows_form(charge: Charge, rows: Iterable[dict[str, str]], **terms: str) -> dict[str, str]:
    """What the browser sends for a usage charge; a row with `id` is one that is there."""
    rows = list(rows)
    data = {
        "name": charge.name,
        "code": charge.code,
        "product": str(charge.product_id),
        "unmatched": charge.unmatched,
        "position": str(charge.position),
        "cells-TOTAL_FORMS": str(len(rows)),
        "cells-INITIAL_FORMS": str(sum("id" in row for row in rows)),
        **terms,
    }
    for index, row in enumerate(rows):
        data[f"cells-{index}-charge"] = str(charge.pk)
        data |= {f"cells-{index}-{name}": value for name, value in row.items()}
    return data


def row(model: str = "*", label: str = "*", unit_price: str = "1", position: str = "", **more: str) -> dict[str, str]:
    given = {"dimension_model": model, "dimension_token_type": label, "model": "per_unit", "price": unit_price}
    return {**given, "position": position, **more}


def stored(charge: Charge) -> list[tuple[dict[str, str], Decimal]]:
    return [(cell.match, cell.unit_price) for cell in Cell.objects.filter(charge=charge)]


# The whole way


def test_from_a_product_to_published_prices(alice: Client) -> None:
    making.tokens()
    alice.post(page("product_add"), {"name": "Chatbot API", "code": "chatbot-api"})
    form = alice.get(page("plan_add")).context["adminform"].form
    assert [form.fields[name].initial for name in ("currency", "interval", "grace")] == ["USD", "month", HOUR]
    terms = {"currency": "USD", "interval": "month", "grace": "00:00:00"}
    answer = alice.post(
        page("plan_add"), {"name": "Chatbot", "code": "chatbot", "consumption": "metered", **terms}, follow=True
    )
    product, version = Product.objects.get(), PlanVersion.objects.get()
    assert (version.plan.code, version.number, version.interval, version.grace) == ("chatbot", 1, "month", timedelta())
    assert answer.redirect_chain == [(page("planversion_change", version.pk), 302)]
    assert f"?plan={version.plan_id}" in text(alice.get(page("plan_change", version.plan_id)))
    assert "Add a usage charge" in text(answer)

    fee = {"version": version.pk, "kind": "flat", "name": "Base fee", "code": "base", "product": product.pk}
    answer = alice.post(page("charge_add"), {**fee, "amount": "20", "timing": "advance"}, follow=True)
    assert "$20.00 in advance" in text(answer)

    usage = {"version": version.pk, "kind": "usage", "name": "Tokens", "code": "tokens", "product": product.pk}
    usage = {**usage, "meter": Meter.objects.get().pk, "unit_price": "", "unmatched": "hold"}
    answer = alice.post(page("charge_add"), usage, follow=True)
    charge = Charge.objects.get(code="tokens")
    assert answer.redirect_chain == [(page("charge_change", charge.pk), 302)]
    rows = [row("model-a", "input", "0.00001"), row("model-a", "output", "0.00002"), row(unit_price="0.0001")]
    answer = alice.post(plain(charge), rows_form(charge, rows), follow=True)
    assert answer.redirect_chain == [(page("planversion_change", version.pk), 302)]
    assert "3 prices per token" in text(answer)
    assert stored(charge) == [
        ({"model": "model-a", "token_type": "input"}, Decimal("0.00001")),
        ({"model": "model-a", "token_type": "output"}, Decimal("0.00002")),
        ({}, Decimal("0.0001")),
    ]

    confirm = alice.get(page("planversion_publish", version.pk))
    assert "The first version of Chatbot" in stripped(confirm)
    assert "Is this meant?" not in text(confirm)
    for price in ("Base fee", "$20.00 in advance", "model = model-a, token_type = input", "10 USD per 1,000,000 token"):
        assert price in text(confirm)
    version.refresh_from_db()
    assert version.status == "draft"
    answer = do(alice, "publish", version)
    assert "Chatbot v1 is published" in text(answer)
    version.refresh_from_db()
    assert version.status == "published"
    assert Meter.objects.get().frozen_at == version.published_at


def test_one_price_for_every_use_needs_no_rows(alice: Client) -> None:
    version, meter = making.draft(), making.calls()
    usage = {"version": version.pk, "kind": "usage", "name": "Calls", "code": "calls", "product": making.product().pk}
    answer = alice.post(
        page("charge_add"), {**usage, "meter": meter.pk, "unit_price": "0.0100", "unmatched": "hold"}, follow=True
    )
    assert answer.redirect_chain == [(page("planversion_change", version.pk), 302)]
    assert "0.01 USD per call" in text(answer)
    assert stored(Charge.objects.get()) == [({}, Decimal("0.01"))]


# The matrix


@pytest.fixture
def tokens() -> Charge:
    return making.usage(making.draft(), making.tokens())


def test_prices_are_shown_exactly_and_for_many_units(alice: Client, tokens: Charge) -> None:
    tokens.cells.filter(match__model="model-b").delete()
    tokens.cells.filter(match__token_type="output").update(unit_price=Decimal("0.000000000000001"))
    shown = text(alice.get(plain(tokens)))
    assert 'value="0.00001"' in shown
    assert 'value="0.000000000000001"' in shown
    assert "10 USD per 1,000,000 token" in shown
    assert "0.000000001 USD per 1,000,000 token" in shown
    assert "E-" not in shown.partition("cells-group")[2].partition("</fieldset>")[0]


def test_each_dimension_that_can_be_priced_is_a_column(alice: Client, tokens: Charge) -> None:
    Series.objects.create(customer="acme", meter_id=tokens.meter_id, dimensions={"model": "model-c", "region": "eu"})
    response = alice.get(plain(tokens))
    fields = response.context["inline_admin_formsets"][0].formset.empty_form.fields
    assert [name for name in fields if name.startswith("dimension_")] == ["dimension_model", "dimension_token_type"]
    assert [value for value, _ in fields["dimension_token_type"].choices] == ["*", "input", "output"]
    assert '<datalist id="values-model"><option value="*">any</option><option value="model-c">' in text(response)
    assert 'list="values-model"' in text(response)


def test_rows_are_changed_added_removed_and_put_in_order(alice: Client, tokens: Charge) -> None:
    first, second, third, fourth = tokens.cells.all()
    rows = [
        row("model-a", "input", "0.00003", "3", id=str(first.pk)),
        row("model-a", "output", "0.00002", "1", id=str(second.pk)),
        row("model-b", "input", "0.000005", "2", id=str(third.pk), DELETE="on"),
        row("model-z", "output", "0.00001", "2", id=str(fourth.pk)),
        row("  model-new ", "*", "7"),
        row(unit_price=""),  # a blank row of the form
    ]
    alice.post(plain(tokens), rows_form(tokens, rows, name="All tokens"))
    tokens.refresh_from_db()
    assert tokens.name == "All tokens"
    assert stored(tokens) == [
        ({"model": "model-a", "token_type": "output"}, Decimal("0.00002")),
        ({"model": "model-z", "token_type": "output"}, Decimal("0.00001")),
        ({"model": "model-a", "token_type": "input"}, Decimal("0.00003")),
        ({"model": "model-new"}, Decimal(7)),
    ]
    assert list(tokens.cells.values_list("position", flat=True)) == [0, 1, 2, 3]
    assert Cell.objects.get(pk=first.pk).unit_price == Decimal("0.00003")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([row("a", "input"), row("a", "input", "2")], "Rows 1 and 2 are both for model = a, token_type = input"),
        ([row("a", "ouput")], "Select a valid choice"),
        ([row(unit_price="-1")], "The unit price -1 is negative"),
        ([row(unit_price="1e-16")], "has 16 decimals: write at most 15"),
        ([row(unit_price="cheap")], "“cheap” is no price. For example: 0.00001"),
        ([row("a", unit_price="")], "“Price” is empty"),
        ([row(position="0")], "greater than or equal to 1"),
    ],
)
def test_a_bad_row_is_told_in_place_and_nothing_is_saved(
    alice: Client, tokens: Charge, bad: list[dict[str, str]], said: str
) -> None:
    before = stored(tokens)
    response = alice.post(plain(tokens), rows_form(tokens, bad, name="Changed"))
    assert response.status_code == 200
    assert said in errors(response)
    assert stored(tokens) == before
    assert Charge.objects.get().name == "Tokens"


def test_a_label_that_the_meter_lost_is_shown_and_refused(alice: Client, tokens: Charge) -> None:
    cell = tokens.cells.all()[0]
    Cell.objects.filter(pk=cell.pk).update(match={"token_type": "ouput"})
    shown = alice.get(plain(tokens))
    assert "ouput" in text(shown)
    rows = [row("*", "ouput", "1", "1", id=str(cell.pk))]
    response = alice.post(plain(tokens), rows_form(tokens, rows))
    assert "did you mean “output”" in errors(response)


def test_usage_that_nothing_tells_apart_has_room_for_one_price(alice: Client) -> None:
    charge = making.usage(making.draft(), making.calls(), [({}, Decimal("0.01"))])
    response = alice.get(plain(charge))
    formset = response.context["inline_admin_formsets"][0].formset
    assert [form.initial["price"] for form in formset.forms] == ["0.01"]
    rows = [{"id": str(charge.cells.get().pk), "model": "per_unit", "price": "0.02", "position": "1"}]
    alice.post(plain(charge), rows_form(charge, rows))
    assert stored(charge) == [({}, Decimal("0.02"))]


def test_columns_stand_in_the_order_in_which_rows_are_read(alice: Client, tokens: Charge) -> None:
    inline = alice.get(plain(tokens)).context["inline_admin_formsets"][0]
    names = [str(field["name"]) for field in inline.fields()]
    assert names[-6:] == ["dimension_model", "dimension_token_type", "model", "price", "rate", "position"]


# What a charge's own fields refuse


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": "20.001"}, "finer than USD can be paid"),
        ({"amount": ""}, "“Amount” is empty: write a number."),
        ({"amount": "-1"}, "The fee “-1” is not a sum"),
        ({"code": "base"}, "has a charge “base” already"),
        ({"code": "Not A Code"}, "Use lower-case letters"),
        ({"product": ""}, "“Product” is empty: choose one."),
        ({"version": "0"}, "not one of the available choices"),
    ],
)
def test_a_bad_fee_is_told_in_place(alice: Client, changed: dict[str, str], said: str) -> None:
    version = making.draft()
    making.fee(version)
    good = {"version": version.pk, "kind": "flat", "name": "Fee", "code": "fee", "product": making.product().pk}
    response = alice.post(page("charge_add"), {**good, "amount": "20", "timing": "advance", **changed})
    assert said in errors(response)
    assert Charge.objects.count() == 1


def test_a_usage_charge_needs_a_meter_and_a_price_that_fits(alice: Client) -> None:
    usage = {"version": making.draft().pk, "kind": "usage", "name": "Calls", "code": "calls"}
    usage = {**usage, "product": making.product().pk, "unmatched": "hold"}
    response = alice.post(page("charge_add"), {**usage, "meter": "", "unit_price": "1"})
    assert "“Meter” is empty: choose one." in errors(response)
    meter = making.calls().pk
    response = alice.post(page("charge_add"), {**usage, "meter": meter, "unit_price": "-1"})
    assert "The unit price -1 is negative" in errors(response)
    assert not Charge.objects.exists()


def test_a_charge_is_added_to_drafts_only(alice: Client) -> None:
    published = publish(making.chatbot())
    form = alice.get(page("charge_add"), {"version": published.pk, "kind": "flat"})
    assert list(form.context["adminform"].form.fields["version"].queryset) == []
    fee = {"version": published.pk, "kind": "flat", "name": "F", "code": "f", "product": making.product().pk}
    response = alice.post(page("charge_add"), {**fee, "amount": "1", "timing": "advance"})
    assert "not one of the available choices" in errors(response)
    assert published.charges.count() == 3


def test_a_fee_is_changed_and_removed(alice: Client) -> None:
    fee = making.fee(making.draft(currency="JPY"), "2000")
    shown = alice.get(page("charge_change", fee.pk))
    assert 'value="2000"' in text(shown)
    terms = {"name": "Base", "code": "base", "product": str(fee.product_id), "timing": "arrears", "position": "4"}
    response = alice.post(page("charge_change", fee.pk), {**terms, "amount": "20.5"})
    assert "finer than JPY can be paid: write it with no decimals" in errors(response)
    alice.post(page("charge_change", fee.pk), {**terms, "amount": "0"})
    fee.refresh_from_db()
    assert (fee.amount, fee.timing, fee.position) == (0, "arrears", 4)
    alice.post(page("charge_delete", fee.pk), {"post": "yes"})
    assert not Charge.objects.exists()


# Versions


def lists(*rows: dict[str, str], stored: int = 0) -> dict[str, str]:
    """The further currencies of a version, as its page posts them."""
    given = {f"price_lists-{index}-{name}": value for index, row in enumerate(rows) for name, value in row.items()}
    return {"price_lists-TOTAL_FORMS": str(len(rows)), "price_lists-INITIAL_FORMS": str(stored), **given}


def test_a_minimum_a_cap_and_further_currencies_are_written_and_checked(alice: Client) -> None:
    version = making.draft()
    terms = {"currency": "USD", "interval": "month", "grace": "01:00:00", "minimum": "50", "cap": "900.5"}
    terms["commitment_product"] = str(making.product().pk)
    alice.post(page("planversion_change", version.pk), {**terms, **lists({"currency": "EUR", "minimum": "45"})})
    version.refresh_from_db()
    assert (version.minimum, version.cap) == (Decimal(50), Decimal("900.5"))
    euro = version.price_lists.get()
    assert (euro.currency, euro.minimum, euro.cap) == ("EUR", 45, None)

    shown = alice.get(page("planversion_change", version.pk))
    assert 'value="900.5"' in text(shown)
    assert "When the wallet is empty" not in text(shown)
    again = {"id": str(euro.pk), "version": str(version.pk)}
    row = {**again, "currency": "JPY", "minimum": "0.5"}
    response = alice.post(page("planversion_change", version.pk), {**terms, **lists(row, stored=1)})
    assert "finer than JPY can be paid" in errors(response)
    row = {**again, "currency": "USD"}
    response = alice.post(page("planversion_change", version.pk), {**terms, **lists(row, stored=1)})
    assert "priced in USD itself: choose another currency" in errors(response)
    row = {**again, "currency": "JPY", "minimum": "7000"}
    alice.post(page("planversion_change", version.pk), {**terms, **lists(row, stored=1)})
    assert list(version.price_lists.values_list("currency", "minimum")) == [("JPY", 7000)]
    row = {"id": str(version.price_lists.get().pk), "version": str(version.pk), "currency": "JPY", "DELETE": "on"}
    alice.post(page("planversion_change", version.pk), {**terms, **lists(row, stored=1)})
    assert not version.price_lists.exists()


def test_what_a_plan_that_is_paid_for_beforehand_asks_for(alice: Client) -> None:
    plan = {"name": "Credits", "code": "credits", "consumption": "credits", "margin_floor": "15"}
    alice.post(page("plan_add"), {**plan, "currency": "USD", "interval": "month", "grace": "0"})
    version = PlanVersion.objects.get()
    assert (version.plan.consumption, version.plan.margin_floor) == ("credits", 15)
    shown = text(alice.get(page("planversion_change", version.pk)))
    assert "Paid for beforehand, by credits" in shown
    assert "Minimum and cap" not in shown
    terms = {
        "currency": "USD",
        "interval": "month",
        "grace": "0",
        **lists({"currency": "EUR", "credit_price": "0.018"}),
    }
    terms |= {"when_empty": "invoice", "included_credits": "1000", "credit_price": "0.02"}
    alice.post(page("planversion_change", version.pk), terms)
    version.refresh_from_db()
    assert (version.when_empty, version.included_credits, version.credit_price) == ("invoice", 1000, Decimal("0.02"))
    assert version.price_lists.get().credit_price == Decimal("0.018")
    publish(making.usage(version, making.calls(), [({}, Decimal(1))]).version)
    response = alice.post(page("plan_change", version.plan_id), {**plan, "consumption": "metered"}, follow=True)
    assert "make another plan instead" in text(response)


def test_a_plan_is_cloned_under_another_name(alice: Client) -> None:
    version = publish(making.chatbot())
    shown = text(alice.get(page("plan_clone", version.plan_id)))
    assert "Nothing changes for Chatbot" in shown
    taken = {"name": "Chatbot", "code": version.plan.code}
    assert "choose another code" in text(alice.post(page("plan_clone", version.plan_id), taken))
    alice.post(page("plan_clone", version.plan_id), {"name": "Chatbot 2", "code": "chatbot-2"})
    made = PlanVersion.objects.exclude(pk=version.pk).get()
    assert (made.plan.name, made.status, made.charges.count()) == ("Chatbot 2", "draft", 3)


def test_who_may_not_add_plans_clones_none() -> None:
    version = publish(making.chatbot())
    bob = signed_in("view_plan", "add_planversion")
    assert bob.get(page("plan_clone", version.plan_id)).status_code == 403
    assert bob.post(page("plan_clone", version.plan_id), {"name": "X", "code": "x"}).status_code == 403
    assert PlanVersion.objects.count() == 1


def test_a_drafts_terms_are_changed_and_checked(alice: Client) -> None:
    version = making.draft()
    terms = {"currency": "EUR", "interval": "week", "grace": "02:00:00", **lists()}
    alice.post(page("planversion_change", version.pk), terms)
    version.refresh_from_db()
    assert (version.currency, version.interval, version.grace.total_seconds()) == ("EUR", "week", 7200)
    response = alice.post(page("planversion_change", version.pk), {**terms, "currency": "DEM"})
    assert "Select a valid choice" in errors(response)
    response = alice.post(page("planversion_change", version.pk), {**terms, "grace": "-1:00:00"})
    assert "grace cannot be negative" in errors(response)


def test_a_draft_is_deleted_and_a_published_version_is_not(alice: Client) -> None:
    draft = making.chatbot()
    alice.post(page("planversion_delete", draft.pk), {"post": "yes"})
    assert not PlanVersion.objects.exists()
    published = publish(clone_version(making.draft_with_fee()))
    assert alice.post(page("planversion_delete", published.pk), {"post": "yes"}).status_code == 403
    assert alice.post(page("charge_delete", published.charges.get().pk), {"post": "yes"}).status_code == 403
    assert PlanVersion.objects.filter(pk=published.pk).exists()


def test_publishing_is_refused_with_every_fault(alice: Client) -> None:
    version = making.draft()
    making.usage(version, making.tokens(), [])
    Cell.objects.create(charge=version.charges.get(), match={"token_type": "ouput"}, unit_price=1)
    making.usage(version, making.calls(), [], code="calls")
    for response in (
        alice.get(page("planversion_publish", version.pk)),
        do(alice, "publish", version),
    ):
        assert "It cannot be published yet" in text(response)
        assert "did you mean “output”" in text(response)
        assert "Charge “Calls”: it has no price" in text(response)
        assert "Publish <bdi>" not in text(response)
    version.refresh_from_db()
    assert version.status == "draft"


def test_before_publishing_the_changes_and_warnings_are_read(alice: Client) -> None:
    version = clone_version(publish(making.chatbot()))
    Charge.objects.filter(version=version, code="base").update(amount=25)
    shown = stripped(alice.get(page("planversion_publish", version.pk)))
    assert "What changes against Chatbot v1" in shown
    assert "“Base”: the fee changes from $20.00 to $25.00." in shown
    assert "Charge “Tokens” has no row of only *" in shown


def test_what_is_priced_in_credits_is_shown_in_credits(alice: Client) -> None:
    version = in_credits()
    calls = version.charges.get(code="calls")
    shown = stripped(alice.get(page("planversion_publish", version.pk)))
    assert "What it will charge, in USD, every month" in shown
    assert "The same in EUR" in shown
    assert shown.count("everything (*) 7 credits per call") == 2
    assert "A credit beyond those 0.018 EUR" in shown
    for name in (page("planversion_change", version.pk), page("charge_changelist")):
        assert "7 credits per call" in stripped(alice.get(name))
    second = clone_version(publish(version))
    change_charge(second.charges.get(code=calls.code), rows=[({}, Decimal(8))])
    shown = stripped(alice.get(page("planversion_publish", second.pk)))
    assert "“Calls”: everything (*) changes from 7 credits per call to 8 credits per call." in shown


def test_a_published_version_is_looked_at_cloned_and_retired(alice: Client) -> None:
    version = publish(making.chatbot())
    shown = alice.get(page("planversion_change", version.pk))
    assert "was published and never changes" in text(shown)
    assert "Add a usage charge" not in text(shown)
    assert 'name="_save"' not in text(shown)
    assert alice.post(page("planversion_change", version.pk), {"currency": "EUR"}).status_code == 403

    charge = version.charges.get(code="tokens")
    shown = alice.get(plain(charge))
    assert "so this charge never changes" in text(shown)
    assert "5 USD per 1,000,000 token" in text(shown)
    assert 'name="cells-0-price"' not in text(shown)
    assert alice.post(plain(charge), rows_form(charge, [row()])).status_code == 403

    assert alice.get(page("planversion_clone", version.pk)).status_code == 200
    assert PlanVersion.objects.count() == 1
    answer = alice.post(page("planversion_clone", version.pk), follow=True)
    assert "Chatbot v2 is a copy" in text(answer)

    assert "No new subscription" in text(alice.get(page("planversion_retire", version.pk)))
    do(alice, "retire", version)
    version.refresh_from_db()
    assert version.status == "retired"
    assert "only a published version can become retired" in text(do(alice, "retire", version)).lower()
    assert "only a draft can be published" in text(alice.get(page("planversion_publish", version.pk)))


def test_what_changed_since_it_was_looked_at_is_not_published(alice: Client) -> None:
    """A is shown 20.00, B sets 2.00, A pushes the button."""
    version = clone_version(publish(making.chatbot()))
    where = page("planversion_publish", version.pk)
    looked = alice.get(where)
    assert "What changes against Chatbot v1 Nothing: both" in stripped(looked)
    change_charge(version.charges.get(code="base"), amount=Decimal("2.00"))
    refused = alice.post(where, {"seen": looked.context["seen"]})
    version.refresh_from_db()
    assert (refused.status_code, version.status) == (200, "draft")
    assert "somebody has changed Chatbot v2 since you opened this page" in text(refused)
    assert "“Base”: the fee changes from $20.00 to $2.00." in text(refused)
    assert f'name="seen" value="{refused.context["seen"]}"' in text(refused)
    assert alice.post(where).status_code == 200  # without having seen anything
    version.refresh_from_db()
    assert version.status == "draft"
    answer = alice.post(where, {"seen": refused.context["seen"]}, follow=True)
    assert "Chatbot v2 is published" in text(answer)


def test_what_changed_since_it_was_looked_at_is_not_retired(alice: Client) -> None:
    version = making.chatbot()
    where = page("planversion_retire", version.pk)
    looked = alice.get(where)
    publish(version)
    assert "somebody has changed Chatbot v1" in text(alice.post(where, {"seen": looked.context["seen"]}))
    version.refresh_from_db()
    assert version.status == "published"


@pytest.mark.django_db(transaction=True)
def test_who_publishes_waits_for_who_changes(alice: Client) -> None:
    """What another is about to save is looked at after it is saved, not before."""
    version = making.chatbot()
    where, base = page("planversion_publish", version.pk), version.charges.get(code="base")
    seen, answers = alice.get(where).context["seen"], list[Any]()

    def push() -> None:
        answers.append(alice.post(where, {"seen": seen}))
        connection.close()

    pushing = Thread(target=push)
    with transaction.atomic():
        change_charge(base, amount=Decimal("2.00"))
        pushing.start()
        pushing.join(0.5)
        assert pushing.is_alive()
    pushing.join()
    version.refresh_from_db()
    assert version.status == "draft"
    assert "somebody has changed Chatbot v1" in text(answers[0])


@pytest.mark.parametrize(
    ("status", "buttons"),
    [("draft", ["Publish…", "Clone…"]), ("published", ["Clone…", "Retire…"]), ("retired", ["Clone…"])],
)
def test_a_version_has_the_buttons_of_its_status(alice: Client, status: str, buttons: list[str]) -> None:
    version = making.chatbot()
    if status != "draft":
        publish(version)
    if status == "retired":
        retire(version)
    shown = alice.get(page("planversion_change", version.pk))
    assert [each["title"] for each in shown.context["actions_detail"]] == buttons


# Lists


@pytest.mark.parametrize("model", ["product", "plan", "planversion", "charge"])
def test_lists_show_and_find_and_tell_what_is_missing(alice: Client, model: str) -> None:
    assert "No " in text(alice.get(page(f"{model}_changelist")))
    publish(making.chatbot())
    shown = text(alice.get(page(f"{model}_changelist"), {"q": "chatbot"}))
    assert "Chatbot" in shown
    assert "delete_selected" not in shown
    assert "Nothing matches" in text(alice.get(page(f"{model}_changelist"), {"q": "xyz"}))


def test_who_left_is_not_on_a_version_any_more(alice: Client) -> None:
    """Two are billed by it, three were to their end; its three charges multiply neither."""
    version, other = publish(making.chatbot()), publish(making.draft_with_fee())
    for number in range(5):
        subscribed(version, f"customer-{number}")
    left = Subscription.objects.filter(customer__reference__in=["customer-0", "customer-1", "customer-2"])
    left.update(due_at=None, due_from=None)
    counted = {each.pk: each for each in with_counts(PlanVersion.objects.all())}
    found = counted[version.pk]
    assert (found.charge_count, found.running_count, found.ended_count) == (3, 2, 3)
    assert (counted[other.pk].charge_count, counted[other.pk].running_count, counted[other.pk].ended_count) == (1, 0, 0)
    assert "2, 3 ended" in stripped(alice.get(page("planversion_changelist")))
    assert "2 and 3 ended" in stripped(alice.get(page("plan_change", version.plan_id)))
    shown = stripped(alice.get(page("planversion_change", version.pk)))
    assert "2 subscriptions are on it. 3 more have ended and were billed by it to the end." in shown
    Subscription.objects.update(due_at=None, due_from=None)
    shown = stripped(alice.get(page("planversion_change", version.pk)))
    assert "No running subscription is on it. 5 have ended and were billed by it to the end." in shown
    assert "have ended" not in stripped(alice.get(page("planversion_change", other.pk)))
    with CaptureQueriesContext(connection) as captured:
        list(with_counts(PlanVersion.objects.all()))
    [sql] = [each["sql"] for each in captured]
    assert "DISTINCT" not in sql


@pytest.mark.parametrize("model", ["plan", "planversion", "charge"])
def test_lists_take_a_constant_number_of_queries(alice: Client, model: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            alice.get(page(f"{model}_changelist"))
        return len(captured)

    making.chatbot()
    queries()  # what is asked for once in the life of a process
    few = queries()
    for _ in range(4):
        clone_version(PlanVersion.objects.all()[0])
        making.draft_with_fee()
    assert queries() == few


@pytest.mark.parametrize("name", ["charge_changelist", "planversion_change"])
def test_no_rows_are_read_to_say_how_many_there_are(alice: Client, name: str) -> None:
    """Two queries about rows, whatever there is; one that is alone is read for its price."""
    version = making.chatbot()
    where = page(name, *([version.pk] if name == "planversion_change" else []))

    def about_rows() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            shown = text(alice.get(where))
        for price in ("0.01 USD per call", "prices per token", "$20.00 in advance"):
            assert price in shown
        return [each["sql"] for each in captured if "catalog_cell" in each["sql"]]

    counting, reading = about_rows()
    assert "COUNT" in counting
    alone = Cell.objects.get(charge__code="calls")
    assert f'WHERE "catalog_cell"."id" IN ({alone.pk}) ORDER' in reading
    making.usage(version, making.tokens("more"), code="more")
    making.usage(version, making.calls("none"), [], code="none")
    assert len(about_rows()) == 2
    assert "no price yet" in text(alice.get(where))


# Who may not


PAGES = ["product_changelist", "plan_changelist", "planversion_changelist", "charge_changelist", "charge_add"]


@pytest.mark.parametrize("name", PAGES)
def test_nobody_comes_in_without_signing_in(client: Client, name: str) -> None:
    assert client.get(page(name)).status_code == 302
    assert signed_in().get(page(name)).status_code == 403


def test_publishing_and_retiring_need_a_permission_of_their_own() -> None:
    version = making.chatbot()
    bob = signed_in(*ALL)
    shown = bob.get(page("planversion_change", version.pk))
    assert [each["title"] for each in shown.context["actions_detail"]] == ["Clone…"]
    for name in ("planversion_publish", "planversion_retire"):
        assert bob.get(page(name, version.pk)).status_code == 403
        assert bob.post(page(name, version.pk)).status_code == 403
    version.refresh_from_db()
    assert version.status == "draft"


def test_cloning_needs_the_permission_to_add() -> None:
    version = making.chatbot()
    carol = signed_in("view_planversion", "publish_planversion")
    assert carol.post(page("planversion_clone", version.pk)).status_code == 403
    assert PlanVersion.objects.count() == 1


def test_who_may_only_look_changes_nothing() -> None:
    charge = making.usage(making.draft(), making.tokens())
    dave = signed_in("view_plan", "view_planversion", "view_charge", "view_product")
    shown = dave.get(plain(charge))
    assert "10 USD per 1,000,000 token" in text(shown)
    assert "Add a usage charge" not in text(dave.get(page("planversion_change", charge.version_id)))
    assert "New version" not in text(dave.get(page("plan_change", charge.version.plan_id)))
    assert dave.post(page("charge_change", charge.pk), rows_form(charge, [])).status_code == 403
    assert dave.get(page("planversion_publish", charge.version_id)).status_code == 403
    assert charge.cells.count() == 4


def test_publishing_needs_the_right_to_look() -> None:
    version = making.chatbot()
    assert signed_in("publish_planversion").post(page("planversion_publish", version.pk)).status_code == 403
    version.refresh_from_db()
    assert version.status == "draft"


@pytest.mark.parametrize("name", ["planversion_publish", "planversion_clone", "planversion_retire"])
def test_what_is_not_there_is_not_found(alice: Client, name: str) -> None:
    assert alice.get(page(name, 987654)).status_code == 404


def test_buttons_work_only_with_their_token() -> None:
    version = making.chatbot()
    user = User.objects.create_superuser("root", password="x")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(page("planversion_publish", version.pk)).status_code == 403
    version.refresh_from_db()
    assert version.status == "draft"


def test_a_row_that_cannot_be_read_hides_nothing_of_the_others(alice: Client) -> None:
    """But which rows are the same is told by their numbers, once all can be read."""
    charge = making.usage(making.draft(), making.tokens())
    before = stored(charge)
    rows = [row("model-a", "nonsense"), row("model-b", unit_price="dear"), row("model-c", unit_price="-1")]
    answer = alice.post(plain(charge), rows_form(charge, [*rows, row("model-d"), row("model-d")], name=""))
    told = str([form.errors for form in answer.context["inline_admin_formsets"][0].formset.forms])
    assert "nonsense is not one of" in told
    assert "“dear”" in told
    assert "is negative" in told
    assert "are both for" not in told
    assert "name" in answer.context["adminform"].form.errors
    assert stored(charge) == before
