"""API keys of three scopes, and a client that carries one."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import ApiKey

SAMPLE_API = pytest.mark.urls("tests.foundation.sample_api")


@pytest.fixture
def key_and_secret(db: None) -> tuple[ApiKey, str]:
    return create_key("gateway", ["read", "write"])


@pytest.fixture
def key(key_and_secret: tuple[ApiKey, str]) -> ApiKey:
    return key_and_secret[0]


@pytest.fixture
def client_with(db: None) -> Callable[..., APIClient]:
    """A client that sends a key, by default without raising what a view did not handle: as a caller sees it."""

    def make(secret: str, **options: Any) -> APIClient:
        client = APIClient(raise_request_exception=False, **options)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make


@pytest.fixture
def caller(key_and_secret: tuple[ApiKey, str], client_with: Callable[..., APIClient]) -> APIClient:
    return client_with(key_and_secret[1])
