"""Writes that hold only for what their writer has seen: `ETag` in an answer, `If-Match` in a request.

Without an `If-Match` the last writer wins; every change stands in the history.
"""

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

HEADER = "If-Match"
ASKED = [
    OpenApiParameter(
        HEADER,
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` that was answered for the version: refused (412) when it has changed since.",
    )
]
ANSWERED = [
    OpenApiParameter(
        "ETag", str, OpenApiParameter.HEADER, response=[200], description="For `If-Match`, to write what was read here."
    )
]
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


class ChangedMeanwhile(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed_meanwhile"
    default_detail = (
        "It is not what your If-Match names: somebody has changed it since. Read it again, and send your change with"
        " the ETag that you are answered."
    )


def is_asked(request: Request) -> bool:
    """Whether a tag is worth working out."""
    return request.headers.get(HEADER, "*").strip() != "*"


def check(request: Request, tag: str) -> None:
    """Raise ChangedMeanwhile unless the request names this tag."""
    if tag not in _TAG.findall(request.headers[HEADER]):
        raise ChangedMeanwhile


def header(tag: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"'}
