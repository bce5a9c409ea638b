"""What the package states, as values: figures by hand for models that people know, and data that is no data."""

import re
from dataclasses import replace
from datetime import time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from genai_prices import UpdatePrices
from genai_prices.data_units import unit_data
from genai_prices.types import ClauseRegex, ModelInfo, ModelPrice, Provider

from catalog.costs import package_prices
from catalog.costs.package_prices import Away, code_of
from catalog.pricing.cost_changes import timelines
from catalog.pricing.model_costs import Hours
from catalog.pricing.model_names import Malformed
from catalog.pricing.token_types import TOKEN_TYPES
from tests.catalog import costing
from tests.catalog.costing import price

BUNDLED = {each.name: each for each in package_prices.bundled().models}


def costs_of(provider: str, model: str) -> dict[Any, Any]:
    """What a model costs at first, by type, threshold and hours."""
    told = timelines(BUNDLED[provider, model].conditions)
    return {
        series: [(start and f"{start:%Y-%m-%d}", cost and f"{cost.normalize():f}") for start, cost in line]
        for series, line in told.items()
    }


def test_gpt_4o() -> None:
    """2.50, 1.25 and 10 USD per million tokens; 10 and 2.50 USD per thousand searches."""
    assert costs_of("openai", "gpt-4o") == {
        ("input", 0, None): [(None, "0.0000025")],
        ("cache_read", 0, None): [(None, "0.00000125")],
        ("output", 0, None): [(None, "0.00001")],
        ("web_searches", 0, None): [(None, "0.01")],
        ("storage_searches", 0, None): [(None, "0.0025")],
    }


def test_claude() -> None:
    """3 and 15 USD per million, writes to the cache at 1.25 and 2 times the input, reads at a tenth."""
    assert costs_of("anthropic", "claude-3-5-sonnet") == {
        ("input", 0, None): [(None, "0.000003")],
        ("output", 0, None): [(None, "0.000015")],
        ("cache_write", 0, None): [(None, "0.00000375")],
        ("cache_write_1h", 0, None): [(None, "0.000006")],
        ("cache_read", 0, None): [(None, "0.0000003")],
        ("web_searches", 0, None): [(None, "0.01")],
    }


def test_gemini_steps_at_200_000_tokens() -> None:
    told = costs_of("google", "gemini-2.5-pro")
    assert told["input", 0, None] == [(None, "0.00000125")]
    assert told["input", 200_000, None] == [(None, "0.0000025")]
    assert told["output", 0, None] == [(None, "0.00001")]
    assert told["output", 200_000, None] == [(None, "0.000015")]


def test_deepseek_has_hours() -> None:
    """Half price between 16:30 and 00:30 UTC: the half hours are rounded up, to 17 and 1 o'clock."""
    told = costs_of("deepseek", "deepseek-chat")
    peak = Hours(1, 17)
    assert told["input", 0, None] == [(None, "0.000000135")]
    assert told["input", 0, peak] == [(None, "0.00000027")]
    assert told["output", 0, peak] == [(None, "0.0000011")]
    # Two ranges of hours over prices that change by date.
    told = costs_of("deepseek", "deepseek-v4-flash")
    assert told["output", 0, None] == [(None, "0.00000028"), ("2026-08-17", "0.00000066"), ("2026-09-10", "0.0000006")]
    assert {series[2] for series in told if series[2]} == {Hours(1, 4), Hours(6, 10)}


def test_the_whole_of_the_package_is_read() -> None:
    statement = package_prices.bundled()
    assert (len(statement.models), len(statement.names), statement.unread) == (2_330, 47, ())
    assert statement.origin == package_prices.edition() == "genai-prices 0.2.3"


def test_every_unit_of_the_package_is_in_the_vocabulary_once() -> None:
    codes = [code_of(key, unit["dimensions"]) for key, unit in unit_data.items()]
    assert len(set(codes)) == len(codes)
    assert set(codes) <= set(TOKEN_TYPES)


def test_costs_are_exact_but_for_the_noise_of_floats() -> None:
    statement = costing.stated(a=price(input_mtok="0.18000000000000002", audio_hours="0.04", requests_kcount="5"))
    assert dict(statement.models[0].conditions[0].prices) == {
        ("input", 0): Decimal("0.00000018"),
        ("audio_hours", 0): Decimal("0.04"),
        ("requests", 0): Decimal("0.005"),
    }


def test_a_kind_of_price_that_is_not_known_is_told() -> None:
    statement = costing.stated(a=price(input_mtok="1", dreams_kcount="5"))
    assert statement.unread == ("dreams_kcount",)
    assert list(statement.models[0].conditions[0].prices) == [("input", 0)]


def provider(**model: Any) -> Provider:
    info = ModelInfo(**{"id": "a", "match": ClauseRegex(regex="a"), "prices": ModelPrice(), **model})
    return Provider(id="acme", name="Acme", api_pattern="", models=[info])


@pytest.mark.parametrize(
    "bad",
    [
        provider(match=ClauseRegex(regex="(")),
        provider(prices=ModelPrice(input_mtok=Decimal(-1))),
        provider(prices=ModelPrice(input_mtok=Decimal("NaN"))),
        provider(prices=ModelPrice(input_mtok=Decimal("1e30"))),
        provider(prices=price(input_mtok=["1", (-5, "2")])),
        provider(prices=[SimpleNamespace(prices=price(input_mtok="1"), constraint="on mondays")]),
        provider(prices=[costing.daily(time(1, tzinfo=timezone(timedelta(hours=2))), time(4), input_mtok="1")]),
    ],
)
def test_data_that_is_none_is_refused(bad: Provider) -> None:
    with pytest.raises(Malformed):
        package_prices.stated("x", [bad])


def snapshot(*providers: Provider) -> Any:
    return SimpleNamespace(providers=list(providers))


def test_newer_data_from_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(UpdatePrices, "fetch", lambda self: asked.append(self.url) or snapshot(provider()))
    statement = package_prices.fetched("https://prices.example/data.json")
    assert asked == [statement.origin] == ["https://prices.example/data.json"]
    assert [str(model.name) for model in statement.models] == ["acme/a"]


@pytest.mark.parametrize("error", [httpx2.ConnectError("no route"), httpx2.ReadTimeout("slow"), OSError("cable")])
def test_a_network_that_is_away(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(UpdatePrices, "fetch", _raising(error))
    with pytest.raises(Away, match=str(error)):
        package_prices.fetched("https://prices.example")


@pytest.mark.parametrize("error", [ValueError("no JSON"), TypeError("x"), KeyError("id"), AttributeError("y")])
def test_an_answer_that_is_no_data(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(UpdatePrices, "fetch", _raising(error))
    with pytest.raises(Malformed):
        package_prices.fetched("https://prices.example")
    monkeypatch.setattr(UpdatePrices, "fetch", lambda self: snapshot())
    with pytest.raises(Malformed):
        package_prices.fetched("https://prices.example")


def test_an_address_of_nobody_is_away() -> None:
    with pytest.raises(Away):
        package_prices.fetched("http://127.0.0.1:9/data.json")


def test_the_publishers_address() -> None:
    assert package_prices.default_address().startswith("https://")


def _raising(error: Exception) -> Any:
    def fetch(_: Any) -> None:
        raise error

    return fetch


def test_a_statement_is_a_value() -> None:
    statement = costing.stated(a=price(input_mtok="1"))
    assert replace(statement, origin="other").models == statement.models


def test_the_words_of_the_vocabulary_are_explained() -> None:
    text = (Path(__file__).parents[3] / "docs/model-costs.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    modalities = re.findall(r"`_(\w+)`", text)
    assert told | {f"{kind}_{each}" for kind in told for each in modalities if kind in BARE_KINDS} == set(TOKEN_TYPES)


BARE_KINDS = {code for code in TOKEN_TYPES if f"{code}_text" in TOKEN_TYPES}
