"""Secrets never reach the log, whoever writes it."""

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from rest_framework.test import APIClient

from billing_site import logs
from billing_site.foundation.api_keys import create_key

KEY = "tb_abcdefghjkmn_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYm"


@pytest.fixture(params=logs.FORMATS)
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the process writes, in either format."""
    config = logs.logging_config(request.param, "DEBUG")["formatters"]["line"]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logs.RedactingFormatter(processors=config["processors"], foreign_pre_chain=config["foreign_pre_chain"])
    )
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_key_is_cut_to_its_prefix_wherever_it_stands(written: io.StringIO) -> None:
    structlog.get_logger("x").info(
        "called", address=f"/v1/events?key={KEY}", header=f"Bearer {KEY}", nested={"a": [KEY]}
    )
    logging.getLogger("library").warning("refused %s", KEY)
    try:
        raise RuntimeError(f"cannot use {KEY}")
    except RuntimeError:
        logging.getLogger("library").exception("failed")
    text = written.getvalue()
    assert "Zm9v" not in text
    assert text.count("tb_abcdefghjkmn_…") >= 5


def test_secret_names_bearers_and_passwords_in_addresses_are_left_out(written: io.StringIO) -> None:
    structlog.get_logger("x").info(
        "x", authorization="Basic abc123", api_key="abc123", password="abc123", digest="abc123"
    )
    logging.getLogger("y").info("sent Authorization: Bearer abc123, to postgresql://tally:abc123@db/tally")
    text = written.getvalue()
    assert "abc123" not in text
    assert "postgresql://tally:…@db/tally" in text


@pytest.mark.django_db
def test_a_whole_request_with_a_key_leaves_no_trace_of_it(
    written: io.StringIO, client_with: Callable[..., APIClient]
) -> None:
    row, secret = create_key("gateway", ["ingest"])
    client_with(secret).get(f"/v1/customers?after={secret}")
    client_with(secret[:-1] + "x").post("/v1/events", [], format="json")
    text = written.getvalue()
    assert "/v1/customers" in text
    assert row.prefix in text
    assert secret[16:40] not in text
    assert row.digest not in text


def test_a_long_line_is_read_in_linear_time() -> None:
    started = time.perf_counter()
    for letter in ("a", ":", "@", "tb_", "bearer ", "a:", "://"):
        logs.redact(letter * 200_000)
    assert time.perf_counter() - started < 5


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    config: dict[str, Any] = logs.logging_config(logs.JSON, "INFO")["formatters"]["line"]
    formatter = logs.RedactingFormatter(processors=config["processors"], foreign_pre_chain=config["foreign_pre_chain"])
    record = logging.LogRecord("library", logging.INFO, __file__, 1, "said %s", ("ü",), None)
    line = json.loads(formatter.format(record))
    assert (line["event"], line["level"], line["logger"]) == ("said ü", "info", "library")
    assert line["timestamp"].endswith("Z")
