"""What the database refuses by itself, tried with plain SQL, past every verb."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from billing_site.foundation.errors import Refused
from catalog.models import Charge, PlanVersion
from catalog.versions.publishing import publish, retire
from meters.models import Meter
from tests.catalog import making

pytestmark = pytest.mark.django_db

CELL_COLUMNS = (
    "charge_id, position, match, model, unit_price, free, fixed, free_events, bounds, unit_prices, flat_prices,"
    " packages, flat_at_zero"
)
CELL_VALUES = "'per_unit', 1, 0, 0, 0, '{}', '{}', '{}', '{}', true"
OF_VERSION = "charge_id IN (SELECT id FROM catalog_charge WHERE version_id = %s)"


def sql(statement: str, *values: object) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


@contextmanager
def refused(constraint: str = "plan_version_published") -> Iterator[None]:
    with pytest.raises(IntegrityError) as error:
        yield
    assert isinstance(error.value.__cause__, psycopg.IntegrityError)
    assert error.value.__cause__.diag.constraint_name == constraint


@pytest.fixture
def published() -> PlanVersion:
    return publish(making.chatbot())


@pytest.fixture(params=["published", "retired"])
def fixed(request: pytest.FixtureRequest, published: PlanVersion) -> PlanVersion:
    return published if request.param == "published" else retire(published)


@pytest.mark.parametrize(
    "change",
    [
        "currency = 'EUR'",
        "interval = 'year'",
        "grace = interval '2 hours'",
        "number = 7",
        "published_at = now() + interval '1 day'",
        "status = 'draft', published_at = NULL, retired_at = NULL",
        "created_at = now() + interval '1 day'",
    ],
)
def test_a_fixed_version_cannot_change(fixed: PlanVersion, change: str) -> None:
    with refused():
        sql(f"UPDATE catalog_planversion SET {change} WHERE id = %s", fixed.pk)


def test_a_fixed_version_cannot_be_deleted(fixed: PlanVersion) -> None:
    with refused():
        sql("DELETE FROM catalog_planversion WHERE id = %s", fixed.pk)


def test_a_retired_version_stays_retired(published: PlanVersion) -> None:
    retire(published)
    with refused():
        sql("UPDATE catalog_planversion SET status = 'published', retired_at = NULL WHERE id = %s", published.pk)


def test_retiring_changes_nothing_else(published: PlanVersion) -> None:
    with refused():
        sql(
            "UPDATE catalog_planversion SET status = 'retired', retired_at = now(), currency = 'EUR' WHERE id = %s",
            published.pk,
        )


def test_writing_the_same_again_is_no_change(fixed: PlanVersion) -> None:
    assert sql("UPDATE catalog_planversion SET currency = currency WHERE id = %s", fixed.pk) == 1


def test_a_version_is_not_born_published() -> None:
    plan = making.draft().plan
    with refused():
        sql(
            "INSERT INTO catalog_planversion (plan_id, number, status, currency, interval, grace, published_at)"
            " VALUES (%s, 9, 'published', 'USD', 'month', '0', now())",
            plan.pk,
        )


def test_a_draft_is_not_retired() -> None:
    version = making.draft()
    with refused():
        sql(
            "UPDATE catalog_planversion SET status = 'retired', published_at = now(), retired_at = now() WHERE id = %s",
            version.pk,
        )


@pytest.mark.parametrize(
    "change",
    ["published_at = now()", "retired_at = now()", "status = 'published'", "status = 'live', published_at = now()"],
)
def test_a_status_and_its_instants_fit(change: str) -> None:
    version = making.draft()
    with refused("plan_version_instants_fit_status"):
        sql(f"UPDATE catalog_planversion SET {change} WHERE id = %s", version.pk)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE catalog_charge SET amount = 1 WHERE version_id = %s AND kind = 'flat'",
        "UPDATE catalog_charge SET position = 9 WHERE version_id = %s",
        "DELETE FROM catalog_charge WHERE version_id = %s",
        (
            "INSERT INTO catalog_charge (version_id, position, code, name, product_id, kind, timing, amount, unmatched,"
            " cost_model, cost_token_type, cost_context)"
            " SELECT version_id, 9, 'new', 'New', product_id, 'flat', 'advance', 1, 'hold', '', '', ''"
            " FROM catalog_charge WHERE version_id = %s LIMIT 1"
        ),
        f"UPDATE catalog_cell SET unit_price = 0 WHERE {OF_VERSION}",
        f"DELETE FROM catalog_cell WHERE {OF_VERSION}",
        (
            f"INSERT INTO catalog_cell ({CELL_COLUMNS})"
            f" SELECT id, 9, '{{}}', {CELL_VALUES} FROM catalog_charge WHERE version_id = %s AND code = 'tokens'"
        ),
    ],
)
def test_what_a_fixed_version_charges_cannot_change(fixed: PlanVersion, statement: str) -> None:
    with refused():
        sql(statement, fixed.pk)


def test_a_charge_stays_with_its_version_and_a_row_with_its_charge() -> None:
    version, other = making.chatbot(), making.draft()
    with refused():
        sql("UPDATE catalog_charge SET version_id = %s WHERE version_id = %s", other.pk, version.pk)
    calls, tokens = version.charges.filter(kind="usage")
    with refused():
        sql("UPDATE catalog_cell SET charge_id = %s WHERE charge_id = %s", calls.pk, tokens.pk)


@pytest.mark.parametrize("table", ["catalog_planversion", "catalog_charge", "catalog_cell"])
def test_prices_cannot_be_emptied_away(table: str) -> None:
    with refused():
        sql(f"TRUNCATE {table} CASCADE")


def test_a_draft_is_changed_and_deleted_freely() -> None:
    version = making.chatbot()
    sql("UPDATE catalog_planversion SET currency = 'EUR' WHERE id = %s", version.pk)
    sql("UPDATE catalog_cell SET unit_price = unit_price * 2")
    version.delete()
    assert not Charge.objects.exists()


def test_publishing_by_sql_freezes_the_meters_too() -> None:
    version = making.chatbot()
    making.calls("unused")
    sql("UPDATE catalog_planversion SET status = 'published', published_at = now() WHERE id = %s", version.pk)
    assert set(Meter.objects.exclude(frozen_at=None).values_list("code", flat=True)) == {"api_calls", "llm_tokens"}
    with refused("meter_frozen"):
        sql("UPDATE meters_meter SET event_type = 'other' WHERE code = 'llm_tokens'")
    with refused("meter_frozen"):
        sql("UPDATE meters_dimension SET status = 'retired'")


@pytest.mark.parametrize(
    "match",
    ["[]", '"text"', "null", '{"model": 1}', '{"model": null}', '{"model": ["a"]}', '{"": "a"}', '{"model": "*"}'],
)
def test_a_row_names_dimensions_and_texts_alone(match: str) -> None:
    version = making.chatbot()
    with refused("cell_match_is_names_and_texts"):
        sql(
            f"INSERT INTO catalog_cell ({CELL_COLUMNS}) SELECT id, 9, %s::jsonb, {CELL_VALUES}"
            " FROM catalog_charge WHERE version_id = %s AND code = 'tokens'",
            match,
            version.pk,
        )


def test_two_rows_of_equal_keys_cannot_be_saved() -> None:
    version = making.chatbot()
    with refused("cell_match_once"):
        sql(
            f"INSERT INTO catalog_cell ({CELL_COLUMNS}) SELECT id, 9, %s::jsonb, {CELL_VALUES}"
            " FROM catalog_charge WHERE version_id = %s AND code = 'tokens'",
            '{"token_type": "input", "model": "model-a"}',
            version.pk,
        )


def test_products_plans_and_meters_in_use_cannot_be_deleted(published: PlanVersion) -> None:
    for used in (published.plan, making.product(), Meter.objects.get(code="api_calls")):
        with pytest.raises((ProtectedError, IntegrityError)), transaction.atomic():
            used.delete()


# Two connections


def in_another_connection(statement: str, value: int, begun: Event, go_on: Event) -> None:
    """Run a statement in a transaction that stays open until it is told to go on."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [value])
            begun.set()
            assert go_on.wait(10)
    finally:
        begun.set()
        connection.close()


def waits(future: Future[object]) -> bool:
    """Whether the other side stands still for the lock. It asks the database, not the clock."""
    for _ in range(200):
        if future.done():
            return False
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_sleep(0.02), count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            row = cursor.fetchone()
        if row and row[1]:
            return True
    raise AssertionError("It neither ended nor waited.")


@pytest.mark.django_db(transaction=True)
def test_publishing_waits_for_an_edit_and_then_sees_it() -> None:
    version = making.chatbot()
    begun, go_on = Event(), Event()
    add_bad_row = (
        f"INSERT INTO catalog_cell ({CELL_COLUMNS})"
        f""" SELECT id, 9, '{{"token_type": "ouput"}}', {CELL_VALUES} FROM catalog_charge"""
        " WHERE version_id = %s AND code = 'tokens'"
    )

    def publish_elsewhere() -> PlanVersion:
        try:
            return publish(version)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        edit = pool.submit(in_another_connection, add_bad_row, version.pk, begun, go_on)
        assert begun.wait(10)
        publishing = pool.submit(publish_elsewhere)
        assert waits(publishing)  # type: ignore[arg-type]
        go_on.set()
        edit.result(10)
        with pytest.raises(Refused, match="did you mean “output”"):
            publishing.result(10)
    version.refresh_from_db()
    assert version.status == "draft"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "edit",
    [
        f"UPDATE catalog_cell SET unit_price = 0 WHERE {OF_VERSION}",
        "DELETE FROM catalog_charge WHERE version_id = %s AND kind = 'flat'",
        "UPDATE catalog_planversion SET currency = 'EUR' WHERE id = %s",
        "DELETE FROM catalog_planversion WHERE id = %s",
    ],
)
def test_an_edit_waits_for_a_publication_and_is_then_refused(edit: str) -> None:
    version = making.chatbot()
    begun, go_on = Event(), Event()
    publish_by_sql = "UPDATE catalog_planversion SET status = 'published', published_at = now() WHERE id = %s"

    def edit_elsewhere() -> int:
        try:
            return sql(edit, version.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        publishing = pool.submit(in_another_connection, publish_by_sql, version.pk, begun, go_on)
        assert begun.wait(10)
        editing = pool.submit(edit_elsewhere)
        assert waits(editing)  # type: ignore[arg-type]
        go_on.set()
        publishing.result(10)
        with refused():
            editing.result(10)
    version.refresh_from_db()
    assert (version.status, version.currency, version.charges.count()) == ("published", "USD", 3)
    assert Charge.objects.get(version=version, code="tokens").cells.filter(unit_price=0).count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_publications_at_once_one_is_refused() -> None:
    version = making.chatbot()

    def publish_elsewhere(_: int) -> str:
        try:
            return publish(version).status
        except Refused as refusal:
            return refusal.faults[0].code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(publish_elsewhere, range(4)))
    assert outcomes == ["published", *["version_status_conflict"] * 3]
