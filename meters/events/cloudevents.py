"""CloudEvents 1.0 in JSON, one or a batch, as events. Pure.

CloudEvents are told apart by source and id together, our events by customer and reference. So the reference of a
CloudEvent is its source and its id, with a space between them, which a source cannot hold: the same event sent again is
the same reference, and two sources may use one id. A sender that wants to choose gives the extension attribute
`reference`.
"""

import re
from collections.abc import Mapping
from typing import Any

from meters.events.bodies import Malformed
from meters.events.decoding import Form
from meters.events.values import MAX_TEXT, Unfit

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
KEPT_AS = "cloudevent"

# Extension attributes that are fields of an event; data is all properties, whatever its names.
_EXTENSIONS = ("reference", "value", "status", "subscription")
_FIELDS = {"type": "type", "subject": "customer", "time": "timestamp"}
_NOT_KEPT = {"specversion", "datacontenttype", "data", *_FIELDS, *_EXTENSIONS}
_NAME = re.compile(r"[a-z0-9]+")
_JSON_DATA = re.compile(r"[^/;\s]+/([^/;\s]+\+)?json\s*(;.*)?", re.IGNORECASE)


def check_shape(body: bytes, content_type: str) -> None:
    """Raise Malformed when a batch is not an array, or a single event is not an object."""
    start = body.lstrip(b" \t\r\n")[:1]
    if content_type == STRUCTURED and start == b"[":
        raise Malformed(f"The body is an array, and “{STRUCTURED}” is one event: send an array as “{BATCH}”.")
    if content_type == BATCH and start == b"{":
        raise Malformed(f"The body is one event, and “{BATCH}” is an array: send one event as “{STRUCTURED}”.")


def translate(_: int, sent: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event, of the attributes and data of a CloudEvent. Raises Unfit."""
    attributes = {name: value for name, value in sent.items() if value is not None}
    _check_version(attributes)
    _check_attributes(attributes)
    event = {name: attributes[name] for name in _EXTENSIONS if name in attributes}
    event.setdefault("reference", _reference(attributes))
    event.update({field: attributes[name] for name, field in _FIELDS.items() if name in attributes})
    kept = {name: value for name, value in attributes.items() if name not in _NOT_KEPT}
    event["properties"] = {**_data(attributes), KEPT_AS: kept}
    return event


def _check_version(attributes: Mapping[str, Any]) -> None:
    version = attributes.get("specversion")
    if version is None:
        raise Unfit("missing_field", "specversion is missing: every CloudEvent has one, “1.0”.", "specversion")
    if version != "1.0":
        message = f"specversion is “{str(version)[:60]}”: only CloudEvents 1.0 are taken."
        raise Unfit("unsupported_specversion", message, "specversion")


def _check_attributes(attributes: Mapping[str, Any]) -> None:
    if "data_base64" in attributes:
        message = "data_base64 holds bytes, which no meter reads: send a JSON object in data."
        raise Unfit("unsupported_data", message, "data_base64")
    for name, value in attributes.items():
        if _NAME.fullmatch(name) is None:
            message = f"“{name[:60]}” is no name of an attribute, which has small letters and digits: put it into data."
            raise Unfit("unknown_field", message, name)
        if name != "data" and isinstance(value, (dict, list)):
            raise Unfit("wrong_type", f"{name} is an object or a list: put it into data.", name)


def _reference(attributes: Mapping[str, Any]) -> str:
    """Source and id. Both are needed, with or without a reference of their own."""
    source, event_id = (_text(attributes, name) for name in ("source", "id"))
    if any(character.isspace() for character in source):
        raise Unfit("invalid_source", "source holds a space, which no URI does: write it as %20.", "source")
    reference = f"{source} {event_id}"
    if "reference" not in attributes and len(reference) > MAX_TEXT:
        message = (
            f"source and id have {len(source)} and {len(event_id)} characters; at most {MAX_TEXT - 1} are taken of "
            "both together: send a shorter source, or the extension attribute “reference”."
        )
        raise Unfit("too_long", message, "source")
    return reference


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if value is None or value == "":
        raise Unfit("missing_field", f"{name} is missing: every CloudEvent has one.", name)
    if not isinstance(value, str):
        raise Unfit("wrong_type", f"{name} is {str(value)[:60]}: send a text, in quotes.", name)
    return value


def _data(attributes: Mapping[str, Any]) -> dict[str, Any]:
    kind = attributes.get("datacontenttype", "application/json")
    if not isinstance(kind, str) or _JSON_DATA.fullmatch(kind) is None:
        message = f"datacontenttype is “{str(kind)[:60]}”: only JSON is read, send “application/json”."
        raise Unfit("unsupported_data", message, "datacontenttype")
    data = attributes.get("data", {})
    if not isinstance(data, dict):
        raise Unfit("wrong_type", "data is no JSON object: send the properties of the event in one.", "data")
    if KEPT_AS in data:
        message = f"data has a property “{KEPT_AS}”, where source and id are kept: give yours another name."
        raise Unfit("reserved_property", message, f"data.{KEPT_AS}")
    return data


FORM = Form(translate, {"customer": "subject", "timestamp": "time", "properties": "data"}, id="id")
