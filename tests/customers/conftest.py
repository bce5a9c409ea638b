"""Callers of the API with each scope, and an operator in the admin."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.response import Response
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key

_keys = count(1)


class Caller:
    """Calls the API with a key of the given scopes and, for writes, a new Idempotency-Key each time."""

    def __init__(self, *scopes: str) -> None:
        self.client = APIClient()
        if scopes:
            _, secret = create_key(f"key {'-'.join(scopes)}", scopes)
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    def get(self, path: str, **query: str) -> Response:
        return self.client.get(path, query)

    def post(self, path: str, body: Any, key: str | None = None) -> Response:
        return self.client.post(path, body, format="json", headers=self._idempotency(key))

    def patch(self, path: str, body: Any, key: str | None = None) -> Response:
        return self.client.patch(path, body, format="json", headers=self._idempotency(key))

    def _idempotency(self, key: str | None) -> dict[str, str]:
        return {"Idempotency-Key": key or f"test-{next(_keys)}"}


@pytest.fixture
def caller(db: None) -> Callable[..., Caller]:
    return Caller


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write")


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@example.com", "a long password"))
    return client
