"""Pages of a list."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.foundation.sample_api")]


@pytest.fixture
def seven(key: ApiKey) -> list[int]:
    return [key.pk, *(create_key(f"key {n}", ["read"])[0].pk for n in range(6))]


def walk(caller: APIClient, address: str, limit: int) -> list[list[int]]:
    pages, after = [], None
    while True:
        answer = caller.get(address, {"limit": limit, **({"after": after} if after else {})}).json()
        pages.append([row["id"] for row in answer["data"]])
        after = answer["next"]
        if after is None:
            return pages


def test_pages_follow_each_other_to_the_end(caller: APIClient, seven: list[int]) -> None:
    assert walk(caller, "/v1/keys", 3) == [seven[:3], seven[3:6], seven[6:]]
    assert walk(caller, "/v1/keys", 7) == [seven]


def test_another_unique_column_backwards(caller: APIClient, seven: list[int]) -> None:
    expected = list(ApiKey.objects.order_by("-prefix").values_list("pk", flat=True))
    pages = walk(caller, "/v1/keys-by-name", 2)
    assert [pk for page in pages for pk in page] == expected
    assert [len(page) for page in pages] == [2, 2, 2, 1]


def test_rows_that_come_between_pages_hide_nothing(caller: APIClient, seven: list[int]) -> None:
    first = caller.get("/v1/keys", {"limit": 3}).json()
    create_key("later", ["read"])
    ApiKey.objects.filter(pk=seven[1]).delete()
    rest = caller.get("/v1/keys", {"after": first["next"]}).json()
    assert [row["id"] for row in rest["data"]][:4] == seven[3:]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "1.5", "", "9" * 40, "²"])
def test_a_bad_limit_is_refused(caller: APIClient, limit: str) -> None:
    answer = caller.get("/v1/keys", {"limit": limit})
    assert answer.status_code == 400
    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == [("limit_invalid", "limit")]


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "?",
        "a",
        "é",
        encoded(7),
        encoded(["-id", "7"]),
        encoded(["id", "seven"]),
        encoded(["id", 7]),
        encoded(["id"]),
        encoded(["id", "1\0"]),
        encoded({"id": "7"}),
        "[" * 5000,
        urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_bad_cursor_is_refused(caller: APIClient, cursor: str) -> None:
    answer = caller.get("/v1/keys", {"after": cursor})
    assert answer.status_code == 400
    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == [("cursor_invalid", "after")]


def test_a_huge_cursor_is_only_beyond_the_end(caller: APIClient, seven: list[int]) -> None:
    answer = caller.get("/v1/keys", {"after": encoded(["id", "9" * 30])})
    assert answer.json() == {"data": [], "next": None}


def test_the_cursor_of_one_list_does_not_open_another(caller: APIClient, seven: list[int]) -> None:
    cursor = caller.get("/v1/keys", {"limit": 1}).json()["next"]
    assert json.loads(urlsafe_b64decode(cursor + "==")) == ["id", str(seven[0])]
    assert caller.get("/v1/keys-by-name", {"after": cursor}).status_code == 400
