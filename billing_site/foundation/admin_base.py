"""What every page of the admin has in common."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from billing_site.foundation import changes
from billing_site.foundation.empty_fields import name_fields

HISTORY_PER_PAGE = 50


class NamedFieldsAdmin:
    """Mix into a page whose forms name the field that was left empty, those of its parts too."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        name_fields(form.base_fields)
        return form

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Iterator[Any]:
        for formset, inline in super().get_formsets_with_inlines(request, obj):  # type: ignore[misc]
            name_fields(formset.form.base_fields)
            yield formset, inline


class ConfigurationAdmin(NamedFieldsAdmin, ModelAdmin):
    """A page on which operators change configuration; its history covers the object and its parts."""

    warn_unsaved_form = True
    list_filter_submit = True
    empty_text = ""
    empty_value_display = "–"
    object_history_template = "admin/foundation/object_history.html"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Things are deleted one by one: each may have a reason to stay."""
        actions: dict[str, Any] = super().get_actions(request)
        return {name: each for name, each in actions.items() if name != "delete_selected"}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What something else rests on stays: nobody is offered to delete it."""
        return bool(super().has_delete_permission(request, obj)) and not (obj is not None and _is_needed(obj))

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The kept history, which sees every write, instead of Django's own, which sees only this admin's."""
        found = self.get_object(request, unquote(object_id))
        if found is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        if not self.has_view_or_change_permission(request, found):
            raise PermissionDenied
        pages = Paginator(changes.of_object(found), HISTORY_PER_PAGE)
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {found}",
            "object": found,
            "original": found,
            "opts": self.opts,
            "page": pages.get_page(request.GET.get("p")),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.object_history_template, context)


def _is_needed(row: models.Model) -> bool:
    """Whether the database would refuse to delete it, by a row that points to it."""
    kept = [each for each in row._meta.related_objects if each.on_delete is models.PROTECT and each.related_model]
    return any(each.related_model._default_manager.filter(**{each.field.name: row}).exists() for each in kept)


class ReadOnlyAdmin(ModelAdmin):
    """A page on which operators look at what only the product writes. It has no history: nobody changes it.

    `empty_text`, here and above, says on an empty list what will be in it.
    """

    empty_text = ""
    empty_value_display = "–"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"show_history": False, **(extra_context or {})}
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return answer

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class BigTableAdmin(ReadOnlyAdmin):
    """A read-only page over a table of millions of rows: it never counts them, and pages by “previous” and “next”."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
