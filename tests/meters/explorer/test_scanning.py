"""Pages over raw events: exact figures, nothing beyond the range, and an honest word when there is too much."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing_site.foundation.periods import Period
from meters.explorer import outcomes, scanning, unread
from meters.explorer.attribution import attribute, grouped_by
from meters.explorer.scanning import Part, Scanned, TooMuch, scan
from meters.measuring.registry import current
from meters.usage.cardinality import largest
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db

HOUR = Period(NOON, NOON + timedelta(hours=1))


def used(reference: str, team: Any = None, tokens: Any = 100, **changes: Any) -> dict[str, Any]:
    properties = {"model": "model-a", "input_tokens": tokens}
    return event(reference, properties=properties if team is None else {**properties, "team": team}, **changes)


class TestScan:
    def test_only_the_range_is_read_its_end_left_out(self) -> None:
        for number, minutes in enumerate((-1, 0, 59, 60)):
            send(event(f"r{number}", timestamp=(NOON + timedelta(minutes=minutes)).isoformat()))
        assert sorted(each.reference for each in scan(Part(HOUR))) == ["r1", "r2"]

    def test_customers_types_and_status_narrow_it(self) -> None:
        send(event("a"), event("b", customer="b"), event("c", type="x"), event("d", status="failed"))

        def found(**part: Any) -> str:
            status = part.pop("status", None)
            return "".join(sorted(each.reference for each in scan(Part(HOUR, **part), status=status)))

        assert found() == "abcd"
        assert found(customers=("b",)) == "b"
        assert found(types=("x",)) == "c"
        assert found(customers=("acme",), types=("llm.request",)) == "ad"
        assert found(status="failed") == "d"
        assert found(customers=()) == ""

    def test_values_are_exact(self) -> None:
        send(event("a", value="0.123456789012", properties={"n": "7", "deep": {"x": 0.1}}))
        [found] = scan(Part(HOUR))
        assert found.value == Decimal("0.123456789012")
        assert found.properties == {"n": "7", "deep": {"x": Decimal("0.1")}}

    def test_more_than_the_limit_is_said_and_not_cut_off(self) -> None:
        send(*[event(f"r{n}") for n in range(4)], *[event(f"f{n}", status="failed") for n in range(2)])
        assert len(list(scan(Part(HOUR), limit=6))) == 6
        with pytest.raises(TooMuch, match="more than 5 events"):
            list(scan(Part(HOUR), limit=5))
        # Those of the other status before it in time do not use the limit up.
        assert len(list(scan(Part(HOUR), status="failed", limit=2))) == 2

    def test_a_range_that_takes_too_long_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scanning, "SECONDS_AT_MOST", 0.05)
        with pytest.raises(TooMuch, match="could not be looked through"), scanning.in_time():
            connection.cursor().execute("SELECT pg_sleep(5)")
        send(event("a"))
        monkeypatch.setattr(scanning, "SECONDS_AT_MOST", -1)
        monkeypatch.setattr(scanning, "_limit_to", lambda _: None)
        with pytest.raises(TooMuch, match="could not be looked through"):
            list(scan(Part(HOUR)))

    def test_the_limit_of_time_is_gone_afterwards(self) -> None:
        list(scan(Part(HOUR)))
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


class TestAttribution:
    def test_by_a_property_that_is_no_dimension(self) -> None:
        tokens_meter()
        calls_meter()
        send(used("a", "red", 7), used("b", "red", "0.5"), used("c", "blue", 2), used("d", None, 1))
        send(used("e", "red", 99, status="failed"), used("f", ["red"], 3), used("g", True, 4), used("h", 1, 5))
        found = attribute(Part(HOUR), "team")
        calls, tokens = (each.id for each in found.meters)
        assert [each.code for each in found.meters] == ["api_calls", "llm_tokens"]
        assert [(row.value, row.events, row.quantities[tokens]) for row in found.rows] == [
            ("red", 2, Decimal("7.5")),
            (None, 2, Decimal(4)),
            ("1", 1, Decimal(5)),
            ("blue", 1, Decimal(2)),
            ("true", 1, Decimal(4)),
        ]
        assert (found.total.events, found.total.quantities) == (7, {calls: Decimal(7), tokens: Decimal("22.5")})

    def test_equal_values_are_one_and_paths_are_followed(self) -> None:
        calls_meter()
        send(*[event(f"r{n}", properties={"run": {"id": value}}) for n, value in enumerate((1, 1.0, "1", "2"))])
        assert [(row.value, row.events) for row in attribute(Part(HOUR), "run.id").rows] == [("1", 3), ("2", 1)]

    def test_events_of_an_unread_type_are_counted_without_quantity(self) -> None:
        send(used("a", "red", type="unread"))
        found = attribute(Part(HOUR), "team")
        assert ([(row.value, row.events, row.quantities) for row in found.rows], found.meters) == ([("red", 1, {})], [])

    @pytest.mark.parametrize(
        "kind",
        [
            {"aggregation": "latest"},
            {"aggregation": "unique_count"},
            {"aggregation": "weighted_sum", "value_kind": "delta"},
        ],
    )
    def test_what_cannot_be_told_apart_is_left_out_and_named(self, kind: dict[str, str]) -> None:
        tokens_meter(**kind)
        send(event("a"))
        found = attribute(Part(HOUR), "team")
        assert (found.meters, [each.code for each in found.left_out]) == ([], ["llm_tokens"])
        assert found.total.quantities == {}

    @pytest.mark.parametrize(
        ("key", "quantity"), [("sum", "10"), ("max", "6"), ("min", "1"), ("average", "3.333333333333")]
    )
    def test_each_fold_is_right_in_parts_and_in_total(self, key: str, quantity: str) -> None:
        tokens_meter(aggregation=key, label_dimension="", values=[("", "input_tokens")])
        [definition] = current().by_type["llm.request"]
        events = [
            Scanned(n, "acme", f"r{n}", "llm.request", "succeeded", None, NOON, {"input_tokens": tokens, "team": "red"})
            for n, tokens in enumerate((3, 1, 6))
        ]
        found = grouped_by("team", events, {"llm.request": [definition]})
        assert found.rows[0].quantities == found.total.quantities == {definition.id: Decimal(quantity)}

    def test_quantities_are_rounded_as_the_meter_says(self) -> None:
        meter = tokens_meter(rounding=("ceil", -3))
        send(used("a", "red", tokens=1), used("b", "blue", tokens=1))
        found = attribute(Part(HOUR), "team")
        assert [row.quantities for row in (*found.rows, found.total)] == [{meter.pk: 1000}] * 3


class TestOutcomes:
    def test_failed_calls_are_counted_with_what_they_used(self) -> None:
        tokens = tokens_meter()
        send(*[event(f"ok{n}") for n in range(5)], event("f1", status="failed"), event("f2", status="failed"))
        send(event("b", customer="b"), event("x", type="x", status="failed"))
        later = (NOON + timedelta(hours=1)).isoformat()
        send(event("late", status="failed", timestamp=later))
        rows, meters = outcomes.outcomes(Part(HOUR))
        assert [(row.customer, row.type, row.succeeded, row.failed, row.error_rate) for row in rows] == [
            ("acme", "llm.request", 5, 2, Decimal("28.57")),
            ("acme", "x", 0, 1, Decimal("100.00")),
            ("b", "llm.request", 1, 0, Decimal("0.00")),
        ]
        assert [row.failed_quantities for row in rows] == [{tokens.pk: Decimal(220)}, {}, {}]
        assert [each.code for each in meters] == ["llm_tokens"]

    def test_nothing_there_is_nothing_found(self) -> None:
        assert outcomes.outcomes(Part(HOUR)) == ([], [])

    def test_a_customer_and_a_type_narrow_it(self) -> None:
        send(event("a"), event("b", customer="b"), event("c", customer="b", type="x"))
        rows, _ = outcomes.outcomes(Part(HOUR, ("b",), ("x",)))
        assert [(row.customer, row.type) for row in rows] == [("b", "x")]


class TestUnread:
    def test_what_is_missing_or_bad_is_found_with_its_latest_event(self) -> None:
        tokens_meter()
        send(
            event("fine"),
            event("part", properties={"input_tokens": 1}),
            event("none", properties={"model": "m"}),
            event("none2", properties={}, customer="b"),
            event("word", properties={"input_tokens": "many", "output_tokens": 3}),
            event("failed", properties={}, status="failed"),
            event("unread", properties={}, type="x"),
        )
        assert [
            (row.property, row.fault, row.events, sorted(row.customers), row.reference) for row in unread.latest()
        ] == [
            ("input_tokens, output_tokens", "missing", 2, ["acme", "b"], "none2"),
            ("input_tokens", "not a number", 1, ["acme"], "word"),
        ]

    def test_a_meter_that_came_later_names_what_it_cannot_hold(self) -> None:
        send(
            event("a", properties={"input_tokens": "9" * 20}), event("b", properties={"input_tokens": "0." + "1" * 13})
        )
        tokens_meter()
        assert sorted((row.fault, row.reference) for row in unread.latest()) == [
            ("too large", "a"),
            ("too precise", "b"),
        ]

    def test_an_event_that_the_filter_leaves_out_is_no_leak(self) -> None:
        tokens_meter(filters=[("kind", "one_of", ["chat"])])
        send(event("a", properties={"kind": "other"}), event("b", properties={"kind": "chat"}))
        assert [row.reference for row in unread.latest()] == ["b"]

    def test_every_part_of_a_derived_total_is_looked_at(self) -> None:
        send(event("b", properties={"in": "9" * 18, "out": "9" * 18}), event("c", properties={"out": 1}))
        tokens_meter(label_dimension="", values=[("", "in", ["out"])])
        send(event("a", properties={"in": 5, "out": "many"}))
        assert sorted((row.property, row.fault, row.reference) for row in unread.latest()) == [
            ("in, out", "together too large", "b"),
            ("out", "not a number", "a"),
        ]

    def test_a_unique_count_needs_a_single_value(self) -> None:
        values = {
            "object": {"a": 1},
            "list": [1],
            "empty": "",
            "null": None,
            "true": True,
            "zero": 0,
            "long": "x" * 256,
        }
        send(*[event(name, properties={"user": value}) for name, value in values.items()])
        tokens_meter(aggregation="unique_count", label_dimension="", values=[("", "user")])
        assert sorted((row.fault, row.events, row.reference) for row in unread.latest()) == [
            ("empty", 1, "empty"),
            ("missing", 1, "null"),
            ("not a single value", 2, "list"),
            ("too long", 1, "long"),
        ]

    def test_a_count_needs_no_value(self) -> None:
        calls_meter()
        send(event("a", properties={}))
        assert unread.latest() == []


def test_the_largest_meters_come_first(sender: Callable[..., Any]) -> None:
    tokens_meter(label_dimension="", values=[("", "input_tokens")])
    calls_meter()
    send(*[event(f"r{n}", properties={"model": f"m{n}", "input_tokens": 1}) for n in range(3)])
    send(event("b", customer="b"))
    assert [(row.name, row.series, row.customers, row.most_customer, row.most) for row in largest(5)] == [
        ("LLM tokens", 4, 2, "acme", 3),
        ("API calls", 2, 2, "acme", 1),
    ]
    assert len(largest(1)) == 1
