"""Taking in what the package states: once however often, set-wise, at once with others, and later with other data."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from genai_prices.data import providers

from billing_site.foundation import clock
from catalog.costs import books as costs
from catalog.costs import names as cost_names
from catalog.costs import (
    package_prices,
)
from catalog.costs import reading as cost_reading
from catalog.costs import rows as cost_rows
from catalog.costs.package_prices import Away, Statement
from catalog.models import CostReading, ModelCost, ProviderModel
from catalog.pricing.model_costs import ALWAYS
from catalog.pricing.model_names import Malformed, ModelName
from catalog.tasks import refresh_model_costs
from tests.catalog import costing
from tests.catalog.costing import from_day, price, read, rows, usually, utc

pytestmark = pytest.mark.django_db

ADDRESS = "https://prices.example/data.json"
NOW = utc(2026, 5, 20, 14, 25)
HOUR = utc(2026, 5, 20, 14)


@pytest.fixture
def may_20() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def doctored() -> list[Any]:
    """The package's providers, of which a test may change what it likes."""
    return deepcopy(providers)


def model_of(stated: list[Any], provider: str, model: str) -> Any:
    return next(each for one in stated if one.id == provider for each in one.models if each.id == model)


def test_the_whole_package_in_few_statements_and_once() -> None:
    with CaptureQueriesContext(connection) as captured:
        first = cost_reading.read_in(package_prices.bundled())
    assert len(captured) < 12
    assert (first.outcome, first.models_stated, first.costs_recorded) == ("changed", 2_330, 6_996)
    assert (ProviderModel.objects.count(), ModelCost.objects.count()) == (2_330, 6_996)
    assert set(ModelCost.objects.values_list("source", "recorded_by")) == {("package", "genai-prices 0.2.3")}

    with CaptureQueriesContext(connection) as captured:
        second = cost_reading.read_in(package_prices.bundled())
    assert len(captured) < 10
    assert (second.outcome, second.costs_recorded, second.names) == ("same", 0, None)
    assert (ProviderModel.objects.count(), ModelCost.objects.count()) == (2_330, 6_996)


def test_a_later_edition_records_what_changed_alone(may_20: None) -> None:
    cost_reading.read_in(package_prices.bundled())
    stated = doctored()
    gpt, o3 = model_of(stated, "openai", "gpt-4o"), model_of(stated, "openai", "o3-mini")
    gpt.prices.input_mtok = Decimal("2.4")
    o3.prices = [
        usually(**{key: str(value) for key, value in vars(o3.prices).items()}),
        from_day(date(2026, 5, 11), input_mtok="1"),
    ]
    gone = next(one for one in stated if one.id == "openai")
    gone.models = [each for each in gone.models if each.id != "gpt-4o-mini"]
    made = deepcopy(gpt)
    made.id, made.prices = "gpt-9", price(input_mtok="9")
    gone.models.append(made)

    later = cost_reading.read_in(package_prices.stated("edition 2", stated))
    new = ModelCost.objects.filter(recorded_by="edition 2").select_related("model").order_by("id")
    told = [(each.model.model, each.token_type, each.cost, each.effective_from) for each in new]
    cheaper = sorted((each for each in told if each[0] == "o3-mini" and each[2] is None), key=lambda each: each[1])
    assert told[0] == ("gpt-4o", "input", Decimal("0.0000024"), HOUR)
    assert ("o3-mini", "input", Decimal("0.000001"), utc(2026, 5, 11)) in told
    assert ("gpt-9", "input", Decimal("0.000009"), ALWAYS) in told
    # What the dated price does not name ends with it; what is stated no more at all stays.
    assert {each[3] for each in cheaper} == {utc(2026, 5, 11)}
    assert len(told) == later.costs_recorded == 3 + len(cheaper)
    assert str(cost_names.names().resolve("gpt-4o-mini-2024-07-18")) == "openai/gpt-4o-mini"
    assert cost_reading.read_in(package_prices.stated("edition 2", stated)).outcome == "same"


def test_a_provider_that_is_gone_keeps_its_models() -> None:
    read(acme_1=price(input_mtok="1"))
    other = replace(costing.stated(beta=price(input_mtok="1")), origin="edition 2")
    other.names[0]["id"] = "zeta"
    cost_reading.read_in(Statement("edition 2", other.names, ()))
    assert str(cost_names.names().resolve("acme-1")) == "acme/acme-1"
    assert CostReading.objects.order_by("id").last().outcome == "changed"  # type: ignore[union-attr]


def test_nothing_stated_takes_nothing_away() -> None:
    read(acme_1=price(input_mtok="1"))
    cost_reading.read_in(Statement("edition 2", (), ()))
    assert rows() == [("input", 0, "", Decimal("0.000001"), ALWAYS)]
    assert cost_names.names().resolve("acme-1") is not None


def test_prices_that_end(may_20: None) -> None:
    read(acme_1=price(input_mtok="1", cache_read_mtok="0.1"))
    read("edition 2", acme_1=price(input_mtok="1"))
    assert rows()[2:] == [("cache_read", 0, "", None, HOUR)]
    (model,) = costs.costs_of([ModelName("acme", "acme-1")]).values()
    before, after = model.cost_at(HOUR - timedelta(hours=1), "cache_read"), model.cost_at(HOUR, "cache_read")
    assert before is not None
    assert after is not None
    assert (before.amount, after.amount) == (Decimal("0.0000001"), Decimal("0.000001"))


def test_a_model_that_was_own_first_gets_the_packages_prices_from_the_beginning() -> None:
    costing.own("0.5")
    read(acme_1=price(input_mtok="1"))
    assert rows("package") == [("input", 0, "", Decimal("0.000001"), ALWAYS)]
    assert ProviderModel.objects.count() == 1


def test_an_own_spelling_in_other_case_is_the_same_model() -> None:
    costing.own("0.5", name="acme/ACME-1", effective_from=utc(2026, 5, 1))
    read(acme_1=price(input_mtok="1"))
    assert [str(each) for each in ProviderModel.objects.all()] == ["acme/ACME-1"]
    loaded = costs.load(["acme-1"], costs.Period(utc(2026, 5, 1), utc(2026, 6, 1)))
    assert len(loaded["acme-1"].rows) == 2


def test_kinds_of_price_that_are_not_known_are_told() -> None:
    assert read(acme_1=price(input_mtok="1", dreams_kcount="1")).problem == "Not known here: dreams_kcount"


@pytest.mark.django_db(transaction=True)
def test_two_at_once_record_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits before it writes for the other to have read: only one at a time may come that far."""
    read(acme_1=price(input_mtok="1"), acme_2=price(input_mtok="2"))
    later = costing.stated("edition 2", acme_1=price(input_mtok="3"), acme_2=price(input_mtok="4"))
    both_have_read, write = Barrier(2), cost_rows.write

    def slow(*given: Any) -> None:
        with suppress(BrokenBarrierError):
            both_have_read.wait(1)
        write(*given)

    def take_in(_: int) -> int:
        try:
            return cost_reading.read_in(later).costs_recorded
        finally:
            connection.close()

    monkeypatch.setattr(cost_rows, "write", slow)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take_in, range(2))) == [0, 2]
    assert len(rows()) == 4


@pytest.mark.django_db(transaction=True)
def test_what_was_known_when() -> None:
    empty = costs.cut_off()
    read(acme_1=price(input_mtok="1"))
    first = costs.cut_off()
    read(
        "edition 2",
        acme_1=[usually(input_mtok="1"), from_day(date(2026, 5, 1), input_mtok="2")],
        acme_2=price(input_mtok="3"),
    )
    second = costs.cut_off()
    assert empty < first < second
    may = costs.Period(utc(2026, 5, 1), utc(2026, 6, 1))

    def known(name: str, at: Any) -> Any:
        found = costs.load([name], may, at)
        cost = found[name].cost_at(may.start, "input") if name in found else None
        return cost and cost.amount

    assert [known("acme-1", at) for at in (empty, first, second, None)] == [
        None,
        Decimal("0.000001"),
        Decimal("0.000002"),
        Decimal("0.000002"),
    ]
    assert [known("acme-2", at) for at in (empty, first, second)] == [None, None, Decimal("0.000003")]


# The daily refresh.


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[str]:
    """What the address was asked for; it answers with acme-1 at 1 USD, or raises what is put into `answers`."""
    settings.MODEL_COSTS_URL = ADDRESS
    found: list[str] = []

    def fetched(url: str) -> Statement:
        found.append(url)
        return costing.stated(url, acme_1=price(input_mtok="1"))

    monkeypatch.setattr(package_prices, "fetched", fetched)
    return found


def unreachable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fetched(_: str) -> Statement:
        raise error

    monkeypatch.setattr(package_prices, "fetched", fetched)


def readings() -> list[tuple[str, str]]:
    return list(CostReading.objects.order_by("id").values_list("origin", "outcome"))


def test_once_a_day(asked: list[str]) -> None:
    refresh_model_costs()
    refresh_model_costs()
    assert (asked, readings()) == ([ADDRESS], [(ADDRESS, "changed")])
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        refresh_model_costs()
    assert readings() == [(ADDRESS, "changed"), (ADDRESS, "same")]


def test_without_a_network_the_packages_own_data_is_read_once(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable(monkeypatch, Away("ConnectError: no route"))
    refresh_model_costs()
    assert readings() == [(ADDRESS, "away"), ("genai-prices 0.2.3", "changed")]
    assert [record.levelname for record in caplog.records if "not_refreshed" in str(record.msg)] == ["INFO"]
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        refresh_model_costs()
    assert readings()[2:] == [(ADDRESS, "away")]
    assert ModelCost.objects.count() == 6_996


def test_what_the_network_gave_is_not_put_back_by_the_package(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_model_costs()
    unreachable(monkeypatch, Away("ConnectError: no route"))
    assert cost_reading.refresh() is None
    assert readings() == [(ADDRESS, "changed"), (ADDRESS, "away")]
    assert len(rows()) == 1


def test_data_that_is_none_changes_nothing(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    refresh_model_costs()
    unreachable(monkeypatch, Malformed("no prices"))
    assert cost_reading.refresh() is None
    last = CostReading.objects.order_by("id").last()
    assert last is not None
    assert (last.outcome, last.problem, len(rows())) == ("refused", "no prices", 1)


def test_an_empty_address_asks_nobody(asked: list[str], settings: Any) -> None:
    settings.MODEL_COSTS_URL = ""
    refresh_model_costs()
    refresh_model_costs()
    assert (asked, readings()) == ([], [("genai-prices 0.2.3", "changed")])


def test_no_address_is_the_publishers(asked: list[str], settings: Any) -> None:
    settings.MODEL_COSTS_URL = None
    refresh_model_costs()
    assert asked == [package_prices.default_address()]


def test_an_empty_catalogue_is_filled_and_a_full_one_left_alone() -> None:
    assert cost_reading.fill_if_empty() is not None
    assert cost_reading.fill_if_empty() is None


# The command.


def test_the_command_shows_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    read(acme_1=price(input_mtok=["1.25", (200_000, "2.5")], requests_kcount="5"))
    costing.own("0.0000004", "output", hours=costing.own_costs.Hours(0, 23), effective_from=utc(2026, 1, 1))
    call_command("model_costs", "show", "acme-1")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("acme/acme-1 · ")
    shown = [line.strip() for line in lines[1:] if "Output" not in line]
    assert shown == [
        "Input: 1.25 per 1,000,000 tokens · package",
        "Input: 2.5 per 1,000,000 tokens · above 200,000 input tokens · package",
        "Requests: 5 per 1,000 requests · package",
    ]
    with time_machine.travel(utc(2026, 5, 20, 9)):
        call_command("model_costs", "show", "acme/acme-1")
    own = "Output: 0.4 per 1,000,000 tokens · 00:00–23:00 UTC · since 2026-01-01 00:00 UTC · own"
    assert own in capsys.readouterr().out


def test_the_command_says_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    read(acme_1=ModelPriceless)
    with pytest.raises(CommandError, match=r"“acme-2” means no model of the catalogue\. Like it: acme/acme-1\."):
        call_command("model_costs", "show", "acme-2")
    call_command("model_costs", "show", "acme-1")
    assert "no cost is known" in capsys.readouterr().out


def test_the_command_reads(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("model_costs", "import")
    assert f"{ADDRESS}: 1 model, 1 cost recorded" in capsys.readouterr().out
    unreachable(monkeypatch, Away("ConnectError: no route"))
    call_command("model_costs", "import")
    assert "Nothing was read. ConnectError: no route" in capsys.readouterr().out
    call_command("model_costs", "import", "--offline")
    assert "genai-prices 0.2.3: 2,330 models, 6,996 costs recorded" in capsys.readouterr().out


ModelPriceless = price()
