"""A request body as the JSON texts of its items. Pure."""

import json
import re

import msgspec

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_AT_BYTE = re.compile(r"(?P<what>.*) \(byte (?P<at>\d+)\)")


class Malformed(Exception):
    """The body as a whole cannot be read as JSON."""


def split(body: bytes) -> list[bytes]:
    """The JSON text of every item of an array, or of the one object. Raises Malformed, which says where."""
    start = body.lstrip(b" \t\r\n")[:1]
    if start not in (b"{", b"["):
        raise Malformed("The body must be a JSON object (one event) or an array of objects.")
    try:
        if start == b"{":
            return [bytes(msgspec.json.decode(body, type=msgspec.Raw)).strip()]
        return [bytes(item) for item in _ITEMS.decode(body)]
    except RecursionError:
        raise Malformed("The body is nested too deeply to be read.") from None
    except msgspec.DecodeError as error:
        if b"\\u" not in body:
            raise Malformed(_explain(body, error)) from None
        return _split_text(body, error)


def _split_text(body: bytes, error: msgspec.DecodeError) -> list[bytes]:
    """Items of a body with half of a surrogate pair in it: that spoils one item only. Anything else is malformed."""
    try:
        text = body.decode()
        items = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed(_explain(body, error)) from None
    if isinstance(items, dict):
        return [text.strip().encode()]
    decoder, at, found = json.JSONDecoder(), text.index("[") + 1, []
    for _ in items:
        while text[at] in " \t\r\n,":
            at += 1
        end = decoder.raw_decode(text, at)[1]
        found.append(text[at:end].encode())
        at = end
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _explain(body: bytes, error: msgspec.DecodeError) -> str:
    match = _AT_BYTE.fullmatch(str(error))
    if match is None:
        return f"The body is not valid JSON: it ends too early, at byte {len(body)}."
    at = int(match["at"])
    what = match["what"].removeprefix("JSON is malformed: ")
    hint = " JSON has no NaN or Infinity: leave the property out." if body[at : at + 1] in (b"N", b"I") else ""
    return f"The body is not valid JSON: {what} at byte {at}.{hint}"
