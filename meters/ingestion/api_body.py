"""The body of a request with events: which kinds are read, how much of it, and out of which wrapping."""

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpRequest

from billing_site.foundation.errors import Fault
from meters.events import cloudevents
from meters.events.compression import NotGzip, TooLarge, inflate
from meters.events.decoding import PLAIN, Form

JSON = "application/json"
FORMS: dict[str, Form] = {JSON: PLAIN, cloudevents.STRUCTURED: cloudevents.FORM, cloudevents.BATCH: cloudevents.FORM}
_KINDS = ", ".join(f"“{kind}”" for kind in FORMS)


class Unreadable(Exception):
    """A body that is not read at all."""

    def __init__(self, status_code: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.fault = status_code, Fault(code, message)


def read(request: HttpRequest) -> tuple[bytes, Form]:
    """The body, inflated, and how its items are events.

    Raises Unreadable when it is of another kind or too long, and then has not read it; Malformed when the kind says
    one event and there are several, or the other way round.
    """
    kind = request.content_type or ""
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    _check_kind(kind, request.content_params or {}, encoding, request.META)
    _check_length(request.META)
    body = request.read()  # never more than Content-Length says
    if encoding == "gzip":
        body = _inflated(body)
    cloudevents.check_shape(body, kind)
    return body, FORMS[kind]


def _check_kind(kind: str, parameters: Mapping[str, str], encoding: str, headers: Mapping[str, str]) -> None:
    if kind not in FORMS:
        message = f"The body is said to be “{kind}”: send JSON, with a Content-Type of {_KINDS}."
        raise Unreadable(415, "unsupported_media_type", message)
    if kind == JSON and "HTTP_CE_SPECVERSION" in headers:
        message = (
            f"This is a CloudEvent in binary mode, its attributes in headers: send it as “{cloudevents.STRUCTURED}”."
        )
        raise Unreadable(415, "unsupported_media_type", message)
    charset = parameters.get("charset", "utf-8")
    if charset.strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Unreadable(415, "unsupported_charset", f"The body is said to be in {charset}: send UTF-8.")
    if encoding not in ("", "identity", "gzip"):
        message = f"The body is encoded as “{encoding}”: send it as it is, or with “Content-Encoding: gzip”."
        raise Unreadable(415, "unsupported_content_encoding", message)


def _check_length(headers: Mapping[str, str]) -> None:
    if "HTTP_TRANSFER_ENCODING" in headers:
        raise Unreadable(411, "length_required", "The request has no Content-Length: send the body in one piece.")
    length = headers.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Unreadable(400, "invalid_content_length", f"Content-Length is “{length}”: send a number of bytes.")
    announced = int(length[:18])  # of however many digits: 18 are too large already
    if announced > settings.INGEST_MAX_BYTES:
        size = f"The body has {announced:,} bytes; at most {settings.INGEST_MAX_BYTES:,} are taken at once"
        raise Unreadable(413, "body_too_large", f"{size}: send the events in parts.")


def _inflated(body: bytes) -> bytes:
    try:
        return inflate(body, settings.INGEST_MAX_BYTES)
    except NotGzip as error:
        message = (
            f"The body is said to be gzip and cannot be inflated ({error}): compress it again, and send all of it."
        )
        raise Unreadable(400, "malformed_gzip", message) from None
    except TooLarge:
        size = f"The body inflates to more than {settings.INGEST_MAX_BYTES:,} bytes, the most that is taken at once"
        raise Unreadable(413, "body_too_large", f"{size}: send the events in parts.") from None
