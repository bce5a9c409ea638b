"""A sender of events, with a key of the scopes that a test asks for, and an operator in the admin."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.response import Response
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key

Sender = Callable[..., Response]


@pytest.fixture
def sender() -> Callable[..., Sender]:
    """`sender("ingest")(events)` posts them, as JSON or as the bytes that they are."""

    def with_scopes(*scopes: str) -> Sender:
        client = APIClient()
        _, secret = create_key("gateway", scopes)

        def post(events: Any, content_type: str = "application/json", **headers: str) -> Response:
            body = events if isinstance(events, bytes) else json.dumps(events).encode()
            return client.generic(
                "POST",
                "/v1/events",
                body,
                content_type=content_type,
                headers={"Authorization": f"Bearer {secret}", **headers},
            )

        return post

    return with_scopes


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@example.com", "a long password"))
    return client
