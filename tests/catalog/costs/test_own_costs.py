"""Own costs and names: what they do, what is refused, and what the database refuses."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from catalog.costs import books as costs
from catalog.costs import names as cost_names
from catalog.costs import own_costs
from catalog.costs.own_costs import Entry
from catalog.models import CostClock, ModelCost, ProviderModel
from catalog.pricing.model_costs import Hours
from tests.catalog.costing import own, price, read, rows, utc

pytestmark = pytest.mark.django_db

MAY = utc(2026, 5, 1)


def faults(**changed: Any) -> list[tuple[str, str]]:
    given = {"provider": "acme", "model": "acme-1", "token_type": "input", "cost": Decimal(1), **changed}
    with pytest.raises(Refused) as refused:
        own_costs.record_cost(Entry(**given), "dana")
    assert rows() == []
    return [(fault.field, fault.code) for fault in refused.value.faults]


def cost_at(instant: Any, name: str = "acme-1", code: str = "input", above: int = 0) -> Any:
    loaded = costs.load([name], costs.Period(instant, instant + timedelta(hours=1)))
    found = loaded[name].cost_at(instant, code, above) if name in loaded else None
    return found and found.amount


def test_an_own_cost_goes_before_the_packages() -> None:
    read(acme_1=price(input_mtok="1"))
    made = own("0.0000005", effective_from=MAY, note="Contract of 2026")
    assert (cost_at(MAY - timedelta(hours=1)), cost_at(MAY)) == (Decimal("0.000001"), Decimal("0.0000005"))
    assert (made.recorded_by, made.note, made.source) == ("dana", "Contract of 2026", "own")
    read("edition 2", acme_1=price(input_mtok="3"))
    assert cost_at(clock.now()) == Decimal("0.0000005")


def test_a_model_that_nobody_knows() -> None:
    assert cost_names.names().resolve("our-llm") is None
    own("0.0000001", name="home/Our-LLM", effective_from=MAY)
    assert (cost_at(MAY, "our-llm"), cost_at(MAY, "home/our-llm")) == (Decimal("0.0000001"),) * 2
    own("0.0000002", name="home/our-llm", effective_from=MAY)
    assert ProviderModel.objects.get().model == "Our-LLM"
    assert cost_at(MAY, "our-llm") == Decimal("0.0000002")


def test_hours_are_rounded_and_the_next_one_is_the_default() -> None:
    made = [own("1", effective_from=MAY + timedelta(minutes=minutes)).effective_from for minutes in (29, 30, 89)]
    assert made == [MAY, MAY + timedelta(hours=1), MAY + timedelta(hours=1)]
    now = clock.now()
    assert now < own("1").effective_from <= now + timedelta(hours=1, seconds=60)


def test_an_own_cost_that_ends() -> None:
    read(acme_1=price(input_mtok="1"))
    own("0.0000005", effective_from=MAY)
    own(None, effective_from=MAY + timedelta(days=1))
    assert cost_at(MAY + timedelta(days=2)) == Decimal("0.000001")


def test_a_wrong_one_is_recorded_again_or_withdrawn() -> None:
    read(acme_1=price(input_mtok="1"))
    own("0.5", effective_from=MAY)
    right = own("0.0000005", effective_from=MAY)
    assert cost_at(MAY) == Decimal("0.0000005")
    gone = own_costs.withdraw_cost(right, "never agreed", "dana")
    assert (gone.action, gone.cost, gone.effective_from, gone.note) == ("withdrawn", None, MAY, "never agreed")
    assert cost_at(MAY) == Decimal("0.000001")
    with pytest.raises(Refused, match="Another row has taken the place of this one since"):
        own_costs.withdraw_cost(right, "", "dana")
    with pytest.raises(Refused, match="withdraws one itself"):
        own_costs.withdraw_cost(gone, "", "dana")
    assert len(rows()) == 4


def test_what_the_package_says_is_not_withdrawn() -> None:
    read(acme_1=price(input_mtok="1"))
    with pytest.raises(Refused, match="record an own cost, which goes before it") as refused:
        own_costs.withdraw_cost(ModelCost.objects.get(), "n" * 501, "dana")
    assert [fault.code for fault in refused.value.faults] == ["cost_not_own", "note_too_long"]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"provider": ""}, ("provider", "provider_invalid")),
        ({"provider": "Acme"}, ("provider", "provider_invalid")),
        ({"provider": "acme/eu"}, ("provider", "provider_invalid")),
        ({"provider": "acme\n"}, ("provider", "provider_invalid")),
        ({"provider": "a" * 61}, ("provider", "provider_invalid")),
        ({"model": " "}, ("model", "model_invalid")),
        ({"model": "a" * 201}, ("model", "model_invalid")),
        ({"model": "a\nb"}, ("model", "model_invalid")),
        ({"model": "a\0b"}, ("model", "model_invalid")),
        ({"token_type": "tokens"}, ("token_type", "token_type_unknown")),
        ({"above": -1}, ("above", "above_invalid")),
        ({"above": 2_000_000_001}, ("above", "above_invalid")),
        ({"hours": Hours(5, 5)}, ("hours", "hours_invalid")),
        ({"hours": Hours(5, 24)}, ("hours", "hours_invalid")),
        ({"cost": Decimal(-1)}, ("cost", "cost_invalid")),
        ({"cost": Decimal("NaN")}, ("cost", "cost_invalid")),
        ({"cost": Decimal(10) ** 15}, ("cost", "cost_invalid")),
        ({"cost": Decimal("0.0000000000000001")}, ("cost", "cost_too_precise")),
        ({"cost": Decimal("123456789012345.1234567890123451")}, ("cost", "cost_too_precise")),
        ({"effective_from": utc(2014, 12, 31)}, ("effective_from", "effective_from_invalid")),
        ({"effective_from": utc(2099, 1, 1)}, ("effective_from", "effective_from_invalid")),
        ({"note": "n" * 501}, ("note", "note_too_long")),
        ({"note": "a\0b"}, ("note", "note_too_long")),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], found: tuple[str, str]) -> None:
    assert faults(**changed) == [found]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    told = faults(provider="", model="", token_type="x", cost=Decimal(-1), above=-1)
    assert [field for field, _ in told] == ["provider", "model", "token_type", "above", "cost"]


def test_the_smallest_and_the_greatest_cost() -> None:
    for cost in ("0", "0.000000000000001", "999999999999999.999999999999999"):
        assert own(cost, effective_from=MAY).cost == Decimal(cost)


def test_a_further_name_of_a_model() -> None:
    read(acme_1=price(input_mtok="1"), acme_2=price(input_mtok="2"))
    first, second = ProviderModel.objects.order_by("name")
    own_costs.name_model(" Our Deployment ", first, "dana")
    assert cost_at(MAY, "our deployment") == Decimal("0.000001")
    own_costs.name_model("our deployment", second, "dana")
    assert cost_at(MAY, "OUR deployment") == Decimal("0.000002")
    own_costs.forget_name("our deployment", "dana")
    assert cost_at(MAY, "our deployment") is None
    with pytest.raises(Refused, match="“our deployment” is no alias"):
        own_costs.forget_name("our deployment", "dana")
    for bad in ("", "a" * 301, "a\tb"):
        with pytest.raises(Refused, match="is no name"):
            own_costs.name_model(bad, first, "dana")


def test_a_name_that_is_undone_is_not_remembered() -> None:
    read(acme_1=price(input_mtok="1"))
    model = ProviderModel.objects.get()
    with transaction.atomic():
        own_costs.name_model("undone", model, "dana")
        assert cost_names.names().resolve("undone") is not None
        transaction.set_rollback(True)
    own_costs.name_model("another", model, "dana")
    assert cost_names.names().resolve("undone") is None
    assert cost_names.names().resolve("another") is not None


# By SQL.


def refused_by_sql(statement: str) -> str:
    with pytest.raises(DatabaseError) as error, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return str(getattr(error.value.__cause__, "diag").constraint_name)  # noqa: B009


@pytest.mark.parametrize("table", ["modelcost", "providermodel", "modelalias", "costreading"])
def test_nothing_is_changed_deleted_or_emptied(table: str) -> None:
    read(acme_1=price(input_mtok="1"))
    own_costs.name_model("a", ProviderModel.objects.get(), "dana")
    connection.check_constraints()  # what is still to be checked would be in the way of TRUNCATE
    for statement in ("UPDATE catalog_{} SET id = id", "DELETE FROM catalog_{}", "TRUNCATE catalog_{} CASCADE"):
        assert refused_by_sql(statement.format(table)) == "model_cost_append_only"


def test_the_clock_only_goes_on() -> None:
    read(acme_1=price(input_mtok="1"))
    for statement in (
        "UPDATE catalog_costclock SET last = last",
        "UPDATE catalog_costclock SET last = last - interval '1 second'",
        "DELETE FROM catalog_costclock",
        "TRUNCATE catalog_costclock",
    ):
        assert refused_by_sql(statement) == "model_cost_append_only"


INSERT = """
    INSERT INTO catalog_modelcost (model_id, token_type, above, hours_start, hours_end, source, action, cost,
        effective_from, recorded_by, note)
    SELECT id, 'input', 0, {hours}, '{source}', '{action}', {cost}, '{at}', 'sql', '' FROM catalog_providermodel
"""
FIT = {"hours": "NULL, NULL", "source": "own", "action": "costs", "cost": "1", "at": "2026-05-01 10:00Z"}


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"cost": "-1"}, "model_cost_fits_action"),
        ({"cost": "NULL"}, "model_cost_fits_action"),
        ({"action": "ends"}, "model_cost_fits_action"),
        ({"action": "withdrawn", "cost": "NULL", "source": "package"}, "model_cost_fits_action"),
        ({"source": "theirs"}, "model_cost_source_is_known"),
        ({"at": "2026-05-01 10:30Z"}, "model_cost_from_a_full_hour"),
        ({"at": "2026-05-01 10:00:00.000001Z"}, "model_cost_from_a_full_hour"),
        ({"hours": "5, NULL"}, "model_cost_hours_of_a_day"),
        ({"hours": "NULL, 5"}, "model_cost_hours_of_a_day"),
        ({"hours": "5, 5"}, "model_cost_hours_of_a_day"),
        ({"hours": "5, 24"}, "model_cost_hours_of_a_day"),
    ],
)
def test_rows_that_cannot_be(changed: dict[str, str], constraint: str) -> None:
    read(acme_1=price())
    with connection.cursor() as cursor:
        cursor.execute(INSERT.format(**FIT))
    assert refused_by_sql(INSERT.format(**{**FIT, **changed})) == constraint


def test_one_model_has_one_row_whatever_its_case() -> None:
    read(acme_1=price())
    twin = "INSERT INTO catalog_providermodel (provider, model) VALUES ('acme', 'ACME-1')"
    assert refused_by_sql(twin) == "provider_model_once"


@pytest.mark.django_db(transaction=True)
def test_when_it_was_recorded_is_nobodys_to_say() -> None:
    read(acme_1=price())
    before = costs.cut_off()
    with connection.cursor() as cursor:
        past = (
            INSERT.format(**FIT)
            .replace("recorded_by,", "recorded_at, recorded_by,")
            .replace("'sql'", "'2020-01-01', 'sql'")
        )
        cursor.execute(past)
    assert ModelCost.objects.get().recorded_at == costs.cut_off() > before
    # A clock that was set back does not turn the order around.
    CostClock.objects.update(last=clock.now() + timedelta(days=1))
    later = own("1", effective_from=MAY)
    assert later.recorded_at == costs.cut_off() > clock.now() + timedelta(hours=23)


@pytest.mark.django_db(transaction=True)
def test_the_cut_off_waits_for_nobody_and_misses_nothing() -> None:
    """A transaction that has recorded and not committed is after every cut-off that others see meanwhile."""
    read(acme_1=price())
    other = connection.copy()
    with transaction.atomic():
        made = own("1", effective_from=MAY)
        with other.cursor() as cursor:
            cursor.execute("SELECT last FROM catalog_costclock")
            seen = cursor.fetchone()[0]
    other.close()
    assert seen < made.recorded_at == costs.cut_off()
