"""What an operator gets wrong is said where they got it wrong, and changes nothing."""

import re
from datetime import date
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from billing_site.foundation.models import ApiKey
from catalog.models import Charge, PlanVersion
from catalog.versions.publishing import publish
from customers.models import Customer, Subscription
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.backfills import backfilling
from meters.models import Meter
from tests.browser.visiting import Operator
from tests.catalog import making
from tests.meters.making import event, send

pytestmark = pytest.mark.browser


@pytest.fixture
def draft(operator: Operator) -> PlanVersion:
    """The chatbot's version, not published yet."""
    return making.chatbot()


def test_two_rows_for_the_same_use_are_refused_at_the_second(operator: Operator, draft: PlanVersion) -> None:
    charge = draft.charges.get(code="tokens")
    operator.go(f"/admin/catalog/charge/{charge.pk}/change/?plain=1")
    operator.enter("cells-4-dimension_model", "model-a")
    operator.enter("cells-4-dimension_token_type", "input")
    operator.enter("cells-4-price", "0.5")
    operator.save()

    refused = operator.page.locator("tbody", has=operator.field("cells-4-price"))
    expect(refused).to_contain_text(
        "Rows 1 and 5 are both for model = model-a, token_type = input: remove one of them."
    )
    expect(operator.field("cells-4-price")).to_have_value("0.5")
    assert charge.cells.count() == 4


def test_a_price_that_is_no_number_is_refused_at_its_field(operator: Operator, draft: PlanVersion) -> None:
    charge = draft.charges.get(code="tokens")
    operator.go(f"/admin/catalog/charge/{charge.pk}/change/?plain=1")
    operator.enter("cells-1-price", "0,5 USD")
    operator.save()

    refused = operator.page.locator("td", has=operator.field("cells-1-price"))
    expect(refused).to_contain_text("“0,5 USD” has a comma: write a point for decimals")
    assert charge.cells.get(position=1).unit_price == Decimal("0.00002")


def test_a_label_that_the_meter_does_not_give_is_found_before_publishing(
    operator: Operator, draft: PlanVersion
) -> None:
    meter = Meter.objects.get(code="llm_tokens")
    operator.go(f"/admin/meters/meter/{meter.pk}/change/")
    operator.enter("values-0-label", "inputs")
    operator.save()
    operator.go(f"/admin/catalog/planversion/{draft.pk}/change/")
    operator.press("Publish…")

    operator.sees("It cannot be published yet", "never gives token_type “input”: did you mean “inputs”")
    expect(operator.page.get_by_role("button", name="Publish")).to_have_count(0)
    operator.go(f"/admin/catalog/charge/{draft.charges.get(code='tokens').pk}/change/?plain=1")
    operator.save()
    refused = operator.page.locator("tbody", has=operator.field("cells-0-price"))
    expect(refused).to_contain_text("did you mean “inputs”")
    draft.refresh_from_db()
    assert draft.status == "draft"


def test_a_draft_without_charges_cannot_be_published(operator: Operator, transactional_db: None) -> None:
    version = making.draft()
    operator.go(f"/admin/catalog/planversion/{version.pk}/change/")
    operator.press("Publish…")

    operator.sees("It cannot be published yet", "The version charges nothing: add a charge.")
    expect(operator.page.get_by_role("button", name="Publish")).to_have_count(0)


def test_a_version_in_another_currency_is_refused_at_the_version(operator: Operator, draft: PlanVersion) -> None:
    publish(draft)
    create_customer(reference="lutetia", name="Lutetia SA", currency="EUR")
    operator.open("Subscriptions")
    operator.press("Add subscription")
    operator.fill(customer="Lutetia SA", version="Chatbot v1", starts_on="2024-01-01")
    operator.save()

    expect(operator.page.locator(".field-version")).to_contain_text(
        "Chatbot v1 is priced in USD and the customer “Lutetia SA” pays in EUR"
    )
    expect(operator.field("starts_on")).to_have_value("2024-01-01")
    assert not Subscription.objects.exists()


def test_a_second_subscription_to_the_same_usage_is_refused_at_its_start(
    operator: Operator, draft: PlanVersion
) -> None:
    customer = create_customer(reference="acme", name="Acme Ltd")
    subscribe(customer=customer, version=publish(draft), starts_on=date(2024, 1, 1), reference="first")
    operator.go(f"/admin/customers/subscription/add/?customer={customer.pk}")
    operator.fill(version="Chatbot v1", starts_on="2024-06-01")
    operator.save()

    expect(operator.page.locator(".field-starts_on")).to_contain_text("first")
    assert Subscription.objects.count() == 1


def test_what_something_rests_on_is_not_offered_for_deletion(operator: Operator, draft: PlanVersion) -> None:
    customer, idle = (create_customer(reference=name, name=name) for name in ("acme", "idle"))
    subscribe(customer=customer, version=publish(draft), starts_on=date(2024, 1, 1))
    meter = Meter.objects.get(code="llm_tokens")
    places = {
        f"customers/customer/{idle.pk}": 1,
        f"customers/customer/{customer.pk}": 0,
        f"catalog/product/{making.product().pk}": 0,
        f"catalog/plan/{draft.plan_id}": 0,
        f"meters/meter/{meter.pk}": 0,
    }
    for place, offers in places.items():
        operator.go(f"/admin/{place}/change/")
        expect(operator.page.get_by_text(re.compile(r"^\s*Delete \w"))).to_have_count(offers)


def test_a_published_version_offers_nothing_to_change(operator: Operator, draft: PlanVersion) -> None:
    publish(draft)
    places = [
        f"catalog/planversion/{draft.pk}",
        *(f"catalog/charge/{charge.pk}" for charge in Charge.objects.all()),
    ]
    for place in places:
        operator.go(f"/admin/{place}/change/")
        operator.sees("never changes")
        assert operator.page.locator("#content-main :is(input, select, textarea):visible").count() == 0, place
        assert operator.page.get_by_text("Delete").count() == 0, place
    operator.go(f"/admin/meters/meter/{Meter.objects.get(code='llm_tokens').pk}/change/")
    operator.sees("This meter is frozen")
    fields = operator.page.locator("#content-main :is(input, textarea):visible")
    assert fields.count() == 3  # name, description, and how many series


def test_a_key_without_scopes_is_refused_and_a_revoked_one_says_so(operator: Operator, transactional_db: None) -> None:
    operator.open("API keys")
    operator.press("Add API key")
    operator.fill(name="Gateway")
    operator.save()
    expect(operator.page.locator(".field-scopes")).to_contain_text("“Scopes” is empty: tick at least one.")
    assert not ApiKey.objects.exists()

    operator.tick("Read: customers, plans, usage, invoices")
    operator.save()
    operator.press("Done: to the list of keys")
    operator.press("Gateway")
    operator.press("Revoke")
    operator.sees("This cannot be undone")
    operator.page.locator("#modal-content").get_by_role("button", name="Revoke").click()
    operator.sees("“Gateway” is revoked.")
    assert ApiKey.objects.get().revoked_at is not None


@pytest.fixture
def stray_usage(operator: Operator) -> None:
    send(event("r1", customer="nobody-yet", type="image.made"))


def test_an_unknown_customer_becomes_a_customer(operator: Operator, stray_usage: None) -> None:
    operator.open("Unknown customers")
    operator.sees("nobody-yet", "image.made")
    operator.page.get_by_text("more_horiz").first.click()
    operator.press("Create a customer")
    dialog = operator.page.locator("#modal-content")
    dialog.locator("[name=name]").fill("Nobody & Sons")
    dialog.get_by_role("button", name="Create").click()

    operator.sees("“Nobody & Sons” is created.")
    assert Customer.objects.get().reference == "nobody-yet"
    operator.open("Unknown customers")
    operator.sees("No unknown customers yet")


def test_an_unknown_type_becomes_a_meter_that_counts_what_is_there(operator: Operator, stray_usage: None) -> None:
    operator.open("Unknown types")
    operator.sees("image.made")
    operator.page.get_by_text("more_horiz").first.click()
    operator.press("Make a meter of it")
    expect(operator.field("event_type")).to_have_value("image.made")
    operator.fill(name="Images", unit="image")
    operator.save()
    operator.sees("Images", "was added successfully")

    backfilling.run(Meter.objects.get(name="Images"))  # what a worker does
    operator.open("Usage by hour")
    row = operator.page.locator("#result_list tbody tr").first
    expect(row).to_contain_text("nobody-yet")
    expect(row.locator(".field-shown_quantity")).to_have_text("1")
