"""Costs loaded for many names at once, and the thresholds that bands need."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.periods import Period
from catalog.costs import books as costs
from catalog.costs import names as cost_names
from catalog.costs import package_prices
from catalog.costs import reading as cost_reading
from catalog.pricing.model_names import ModelName
from tests.catalog.costing import own, price, read, utc

pytestmark = pytest.mark.django_db

MAY = Period(utc(2026, 5, 1), utc(2026, 6, 1))


def test_many_names_cost_as_many_queries_as_one() -> None:
    cost_reading.read_in(package_prices.bundled())
    names = [f"{each.provider}/{each.model}" for each in (model.name for model in package_prices.bundled().models)]
    costs.load(names[:1], MAY)
    found = []
    for asked in (names[:1], names[:2], names, [*names, "nobody's"]):
        with CaptureQueriesContext(connection) as captured:
            loaded = costs.load(asked, MAY)
        found.append(len(captured))
        assert set(loaded.models) | loaded.unknown == set(asked)
    assert found == [2, 2, 2, 2]
    assert loaded.unknown == {"nobody's"}


def test_names_are_read_again_when_they_change_alone() -> None:
    read(acme_1=price(input_mtok="1"))
    costs.load(["acme-1"], MAY)
    own("1", name="home/our-llm")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert "our-llm" in costs.load(["our-llm"], MAY)
        counts.append(len(captured))
    assert counts == [6, 2]


def test_several_names_of_one_model() -> None:
    read(acme_1=price(input_mtok="1"))
    loaded = costs.load(["acme-1", "acme/acme-1", "ACME-1"], MAY)
    assert len({id(loaded[name]) for name in ("acme-1", "acme/acme-1", "ACME-1")}) == 1


def test_what_begins_after_the_period_is_not_loaded() -> None:
    own("1", effective_from=MAY.end - timedelta(hours=1))
    own("2", effective_from=MAY.end)
    assert len(costs.load(["acme-1"], MAY)["acme-1"].rows) == 1


def test_nothing_asked_is_nothing_found() -> None:
    with CaptureQueriesContext(connection) as captured:
        assert costs.load([], MAY).models == {}
    assert len(captured) <= 5
    assert costs.costs_of([]) == {}


def test_books_of_other_times_are_kept_for_a_while() -> None:
    for number in range(12):
        own("1", name=f"home/llm-{number}")
        assert cost_names.names().resolve(f"llm-{number}") is not None
    assert len(cost_names._books) == cost_names.BOOKS_KEPT


def test_thresholds_that_bands_need() -> None:
    read(
        acme_1=price(input_mtok=["1", (200_000, "2")], output_mtok="4"),
        acme_2=price(input_mtok=["1", (32_000, "2"), (128_000, "3")]),
        acme_3=price(input_mtok="1"),
    )
    own("1", name="home/our-llm", above=200_000, effective_from=utc(2026, 1, 1))
    own("1", name="home/former", above=64_000, effective_from=utc(2020, 1, 1))
    own(None, name="home/former", above=64_000, effective_from=utc(2021, 1, 1))
    every = {32_000: ["acme/acme-2"], 128_000: ["acme/acme-2"], 200_000: ["acme/acme-1", "home/our-llm"]}
    assert costs.thresholds() == every
    assert costs.thresholds(["acme-1", "acme-3", "nobody's"]) == {200_000: ["acme/acme-1"]}
    assert costs.thresholds([]) == {}


def test_the_thresholds_of_the_package() -> None:
    cost_reading.read_in(package_prices.bundled())
    found = costs.thresholds()
    assert list(found) == [32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288]
    assert "google/gemini-2.5-pro" in found[200_000]
    assert list(costs.thresholds(["gemini/gemini-2.5-pro", "gpt-4o"])) == [200_000]


def test_a_book_knows_its_names() -> None:
    read(acme_1=price(input_mtok="1"))
    loaded = costs.load(["acme-1", "x"], MAY)
    assert ("acme-1" in loaded, "x" in loaded) == (True, False)
    assert (loaded["acme-1"].provider, loaded["acme-1"].model) == ModelName("acme", "acme-1")
