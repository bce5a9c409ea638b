"""What each process says of itself, so that the history can tell who changed what."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pghistory
from celery.signals import task_postrun, task_prerun
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from pghistory.middleware import HistoryMiddleware

# `migrate` sends SQL with bare percent signs, which the context would have read as parameters.
SILENT_COMMANDS = frozenset({"migrate", "runserver", "test"})


class AuthorMiddleware(HistoryMiddleware):
    """The user of a request, or (by `ApiKeyAuthentication`) its API key.

    Requests under `HISTORY_SKIPPED_PATHS` write no configuration, and every statement would pay for saying who they
    are.
    """

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        if request.path.startswith(settings.API_PREFIX):  # a key, not a session, says who it is
            return {"url": request.path}
        context: dict[str, Any] = super().get_context(request)
        return context

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(tuple(settings.HISTORY_SKIPPED_PATHS)):
            skipped: HttpResponse = self.get_response(request)
            return skipped
        response: HttpResponse = super().__call__(request)
        return response


@contextlib.contextmanager
def command_context(name: str) -> Iterator[None]:
    """Changes made inside are the management command's."""
    if name in SILENT_COMMANDS:
        yield
    else:
        with pghistory.context(command=name):
            yield


_open: dict[str, pghistory.context] = {}


@task_prerun.connect(weak=False)
def _enter(task_id: str, task: Any, **_: Any) -> None:
    context = pghistory.context(task=task.name)
    context.__enter__()
    _open[task_id] = context


@task_postrun.connect(weak=False)
def _leave(task_id: str, **_: Any) -> None:
    if context := _open.pop(task_id, None):
        context.__exit__(None, None, None)
