"""Which key may do what: one key of each scope against every operation of the API."""

import re
from itertools import count
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import Scope
from tests.test_api_docs import document, operations

__all__ = ["document"]

pytestmark = pytest.mark.django_db

VERSION, SUBSCRIPTION, EVENT = "/v1/plans/{}/versions/{}", "/v1/subscriptions/{}", "/v1/customers/{}/events/{}"
# Everything else that writes needs `write`, and all that reads `read`.
FURTHER = {
    "post /v1/events": "ingest",
    f"post {EVENT}/void": "correct",
    f"post {EVENT}/amend": "correct",
    # What sets prices.
    f"post {VERSION}/publish": "publish",
    f"post {VERSION}/retire": "publish",
    f"post {SUBSCRIPTION}/overrides": "publish",
    f"post {SUBSCRIPTION}/overrides/{{}}/end": "publish",
    "post /v1/model-costs": "publish",
    "post /v1/coupons": "publish",
    "patch /v1/coupons/{}": "publish",
    "delete /v1/coupons/{}": "publish",
}
_keys = count(1)


def named(method: str, path: str) -> str:
    return f"{method} {re.sub(r'{[^}]+}', '{}', path)}"


def called(client: APIClient, method: str, path: str) -> Any:
    headers = {} if method == "get" else {"Idempotency-Key": f"scope-{next(_keys)}"}
    return getattr(client, method)(re.sub(r"{\w+}", "1", path), {}, format="json", headers=headers)


@pytest.mark.parametrize("scope", Scope.values)
def test_a_key_of_one_scope_does_what_needs_it_and_nothing_else(document: dict[str, Any], scope: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_key('one scope', [scope])[1]}")
    there = {named(method, path) for path, method, _ in operations(document)}
    assert there >= FURTHER.keys()
    may = set()
    for path, method, _ in operations(document):
        answer = called(client, method, path)
        if answer.status_code != 403:
            may.add(named(method, path))
        else:
            assert [each["code"] for each in answer.json()["errors"]] == ["scope_missing"]
    usual = {each for each in there - FURTHER.keys() if each.startswith("get ") == (scope == "read")}
    expected = {each for each, needed in FURTHER.items() if needed == scope}
    assert may == expected | (usual if scope in ("read", "write") else set())
