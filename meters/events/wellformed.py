"""What an event may hold anywhere in it: numbers within bounds, texts that a database can keep, no name twice. Pure."""

import json
from decimal import Decimal
from typing import Any

from meters.events.values import Unfit

MAX_DEPTH = 20
MAX_NAMES = 1_000
MAX_NAME = 200
MAX_DIGITS = 38
_LARGEST = 10**MAX_DIGITS


def check(raw: bytes, decoded: Any) -> None:
    """Raise Unfit when `decoded`, which was read from the JSON text `raw`, holds what cannot be kept.

    A repeated name is dropped silently by JSON readers. It is noticed by counting quotation marks: without a backslash
    a text cannot hold one, so there are two for each name and text that was read, unless one was dropped.
    """
    texts = inspect(decoded, "", 0)
    if b"\\" in raw:
        _check_texts(decoded, "")
        _refuse_repeated_names(raw)
    elif raw.count(b'"') != 2 * texts:
        _refuse_repeated_names(raw)


def inspect(value: Any, path: str, depth: int) -> int:
    """How many texts there are in `value`, names included. Raises Unfit for its numbers and depth, as `check` does."""
    if isinstance(value, dict):
        _check_depth(path, depth)
        texts = len(value)
        for name, item in value.items():
            texts += 1 if type(item) is str else inspect(item, f"{path}.{name}" if path else name, depth + 1)
        return texts
    if isinstance(value, str):
        return 1
    if isinstance(value, int):
        if not -_LARGEST < value < _LARGEST:
            raise _out_of_range(path, "a whole number of more than 38 digits")
    elif isinstance(value, Decimal):
        check_decimal(value, path)
    elif isinstance(value, list):
        _check_depth(path, depth)
        return sum(inspect(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
    return 0


def check_names(properties: dict[str, Any]) -> None:
    """Raise Unfit when there are too many names, or longer ones than a meter can read: an id was taken for a name."""
    if len(properties) > MAX_NAMES:
        raise Unfit(
            "too_many_properties",
            f"properties has {len(properties):,} names; at most {MAX_NAMES:,} are taken: send what varies as a value, "
            "not as a name.",
            "properties",
        )
    for name in properties:
        if len(name) > MAX_NAME:
            raise Unfit(
                "name_too_long",
                f"A name in properties, “{name[:40]}…”, has {len(name):,} characters; at most {MAX_NAME} are taken: "
                "shorten it.",
                "properties",
            )


def _check_depth(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        message = f"{path} is nested more than {MAX_DEPTH} levels deep: send what is billed closer to the top."
        raise Unfit("too_deep", message, path)


def check_decimal(number: Decimal, path: str) -> None:
    """Raise Unfit when it has more digits than are taken, written out."""
    exponent = int(number.as_tuple().exponent)
    digits = number.adjusted() - min(exponent, 0) + 1
    if number.adjusted() >= MAX_DIGITS or exponent < -MAX_DIGITS or digits > MAX_DIGITS:
        raise _out_of_range(path, "a number of more than 38 digits when it is written out")


def _out_of_range(path: str, what: str) -> Unfit:
    return Unfit(
        "number_out_of_range", f"{path} is {what}: send it as text, in quotes, when it is an id; else round it.", path
    )


def _check_texts(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, path)
            _check_texts(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(item, f"{path}[{index}]")


def _check_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise Unfit("nul_character", f"{path or 'A name'} holds \\u0000, which cannot be stored: leave it out.", path)


def _refuse_repeated_names(raw: bytes) -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise Unfit("duplicate_key", f"“{twice}” is given twice in one object: send it once.", twice)
        return seen

    json.loads(raw, object_pairs_hook=once, parse_int=str, parse_float=str)
