"""The admin page that shows the history of the whole configuration."""

from datetime import datetime

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime

from billing_site.foundation import changes

PER_PAGE = 50


def history_page(request: HttpRequest) -> HttpResponse:
    """Entries about the models that this user may look at, newest first; `?before=` an instant reads on."""
    visible = _visible(request)
    if not visible:
        raise PermissionDenied
    before = _instant(request.GET.get("before", ""))
    entries = changes.latest(visible, PER_PAGE + 1, before)
    context = {
        **admin.site.each_context(request),
        "title": "History",
        "entries": entries[:PER_PAGE],
        "before": before,
        "older": entries[PER_PAGE - 1].at.isoformat() if len(entries) > PER_PAGE else None,
    }
    return TemplateResponse(request, "admin/foundation/history.html", context)


def _visible(request: HttpRequest) -> list[type[models.Model]]:
    """The tracked models with a page that this user may see, or that are part of one."""
    seen = {model for model, page in admin.site._registry.items() if page.has_view_permission(request)}
    for model in list(seen):
        seen.update(_all_parts(model))
    return [model for model in changes.tracked_models() if model in seen]


def _all_parts(model: type[models.Model]) -> set[type[models.Model]]:
    found: set[type[models.Model]] = set()
    for part, _ in changes.parts(model):
        found |= {part, *_all_parts(part)}
    return found


def _instant(text: str) -> datetime | None:
    try:
        instant = parse_datetime(text)
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo is not None else None
