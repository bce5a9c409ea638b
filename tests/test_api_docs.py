"""The OpenAPI document is complete, and its page needs no other host."""

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver, resolve
from rest_framework.views import APIView

from billing_site.error_pages import UnknownApiAddress
from billing_site.foundation.authentication import HasScope, required_scope
from billing_site.foundation.idempotency import WRITES, IdempotentWrites
from billing_site.foundation.parameters import KnownParameters

METHODS = ("get", "post", "put", "patch", "delete")
# Told by reference, so a repeat changes nothing: see docs/rules.md.
WITHOUT_KEY = {("/v1/events", "post")}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document, as it validates without a warning."""
    file = tmp_path_factory.mktemp("api") / "schema.json"
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", "--file", str(file))
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def api_views(patterns: Any = None) -> list[type[APIView]]:
    found: list[type[APIView]] = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if hasattr(pattern, "url_patterns"):
            found += api_views(pattern.url_patterns)
        elif (view := getattr(pattern.callback, "cls", None)) and not view.__module__.startswith("drf_spectacular"):
            found.append(view)
    return [view for view in found if view is not UnknownApiAddress]


def test_the_rooms_are_all_there(document: dict[str, Any]) -> None:
    assert {
        "/v1/events",
        "/v1/customers",
        "/v1/customers/{reference}",
        "/v1/customers/{reference}/usage",
        "/v1/plans",
        "/v1/subscriptions",
        "/v1/invoices",
    } <= set(document["paths"])


def test_every_operation_says_what_it_needs(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["security"] == [{"ApiKey": []}], where
        assert re.search(r"Scope: `(correct|ingest|publish|read|write)`\.", operation["description"]), where
        assert operation.get("summary"), where
        assert set(operation["tags"]) <= tags, where
        for status in ("401", "403", "503"):
            assert status in operation["responses"], where


def test_every_write_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        headers = [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]
        expected = method != "get" and (path, method) not in WITHOUT_KEY
        assert ("Idempotency-Key" in headers) == expected, f"{method} {path}"


def test_every_parameter_is_told_and_no_other_is_taken(document: dict[str, Any]) -> None:
    """What a view takes is what the document says of it, so that a parameter is never ignored."""
    documented = {
        (path, method): {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        for path, method, operation in operations(document)
    }
    for (path, method), names in documented.items():
        view = resolve(re.sub(r"{(\w+)}", "1", path)).func.cls
        known = getattr(view, "query_parameters", ()) if method == "get" else ()
        assert {name.replace("[…]", "") for name in known} == names, f"{method} {path}"


def test_errors_have_the_one_shape(document: dict[str, Any]) -> None:
    errors = document["components"]["schemas"]["Errors"]
    assert errors["properties"]["errors"]["items"]["required"] == ["code", "message", "field"]
    for path, method, operation in operations(document):
        for status in ("401", "403", "404", "409", "503"):
            if status in operation["responses"] and (path, method) not in WITHOUT_KEY:
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Errors"}, f"{method} {path} {status}"


def test_every_view_is_closed_to_who_has_no_scope() -> None:
    views = api_views()
    assert len(views) >= 8
    for view in views:
        assert view.permission_classes == [HasScope, KnownParameters], view
        instance = view()
        for method in instance.allowed_methods:
            if method != "OPTIONS":
                assert required_scope(instance, method) in ("correct", "ingest", "publish", "read", "write"), (
                    view,
                    method,
                )
            if method in WRITES and view.__module__ != "meters.api":
                assert issubclass(view, IdempotentWrites), (view, method)


def test_how_a_caller_says_who_it_is(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["servers"] == [{"url": "/", "description": "This server"}]


def test_the_document_is_served_to_everybody(client: Client, document: dict[str, Any]) -> None:
    served = client.get("/v1/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json")
    assert served.status_code == 200
    assert set(served.json()["paths"]) == set(document["paths"])


def test_the_page_needs_no_other_host(client: Client) -> None:
    page = client.get("/v1/docs").content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith("/static/"), address
        assert finders.find(address.removeprefix("/static/")), address
    assert "https://" not in page
    assert '"validatorUrl": null' in page


@pytest.mark.parametrize(
    "path", ["/v1/customers", "/v1/subscriptions", "/v1/plans", "/v1/products", "/v1/meters", "/v1/invoices"]
)
def test_lists_tell_how_to_read_on(document: dict[str, Any], path: str) -> None:
    operation = document["paths"][path]["get"]

    assert {"after", "limit"} <= {parameter["name"] for parameter in operation["parameters"]}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    page = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert sorted(page["properties"]) == ["data", "next"]
