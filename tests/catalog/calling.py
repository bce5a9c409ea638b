"""Who calls the catalogue's API, and what it is answered."""

from typing import Any

from rest_framework.response import Response

from catalog.documents import plan as documents
from catalog.documents.importing import bring
from catalog.models import PlanVersion
from tests.catalog.plan_documents import chatbot
from tests.customers.conftest import Caller as BaseCaller


class Caller(BaseCaller):
    """With a new Idempotency-Key for each write; `tag`: what the version had to be."""

    def send(self, method: str, path: str, body: Any = None, *, tag: str = "", key: str | None = None) -> Response:
        headers = self._idempotency(key) | ({"If-Match": tag} if tag else {})
        call = getattr(self.client, method)
        return call(path, body, format="json", headers=headers)

    def put(self, path: str, body: Any, **options: Any) -> Response:
        return self.send("put", path, body, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.send("delete", path, **options)


def faults(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def message(answer: Any) -> str:
    [error] = answer.json()["errors"]
    return str(error["message"])


def brought(**changes: Any) -> PlanVersion:
    """The chatbot's draft."""
    return bring(documents.from_json(chatbot(**changes))).version


V1 = "/v1/plans/chatbot/versions/1"
