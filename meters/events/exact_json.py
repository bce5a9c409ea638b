"""JSON whose numbers stay exact, for what is stored as it was sent. Pure."""

import json
from decimal import Decimal
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class ExactDecoder(json.JSONDecoder):
    """For `models.JSONField(decoder=…)`: decimals instead of floats."""

    def __init__(self) -> None:
        super().__init__(parse_float=Decimal)


def to_json(value: Any) -> bytes:
    """Properties, or anything with them, as JSON in UTF-8; decimals are written as numbers, digit by digit."""
    return _encoder.encode(value)


def to_text(properties: dict[str, Any]) -> str:
    """The same as text."""
    return to_json(properties).decode()


def from_text(text: str) -> dict[str, Any]:
    """A JSON object, its numbers int or Decimal."""
    properties: dict[str, Any] = _decoder.decode(text)
    return properties
