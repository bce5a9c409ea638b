"""Access: API keys, users and groups."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import get_random_string
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from billing_site.foundation import api_keys
from billing_site.foundation.admin_base import ConfigurationAdmin, NamedFieldsAdmin
from billing_site.foundation.key_form import NewKeyForm
from billing_site.foundation.key_status import ACTIVE, EXPIRED, REVOKED, KeyStatusFilter, status
from billing_site.foundation.models import ApiKey, Scope

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(ApiKey)
class ApiKeyAdmin(ConfigurationAdmin):
    """Keys are made and revoked here. Only the name of a key can be changed, and no key can be deleted.

    A key that is in somebody's hands must not silently come to do more, or less, than was agreed: for other scopes or
    another expiry, make a new key and revoke the old one.
    """

    empty_text = "A program that sends events, or reads invoices, signs in with an API key."
    list_display = ("name", "shown_prefix", "shown_scopes", "shown_status", "expires_at", "last_used_at", "created_by")
    list_filter = (KeyStatusFilter,)
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    actions = ("revoke_selected",)
    actions_detail = ("revoke",)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        if obj is None:
            kwargs["form"] = NewKeyForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("name", "scopes", "expires_at")})]
        made = ("shown_prefix", "shown_scopes", "expires_at", "created_at", "created_by")
        return [
            (None, {"fields": ("name", *made)}),
            ("Use", {"fields": ("shown_status", "last_used_at", "revoked_at")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        made = (
            "shown_prefix",
            "shown_scopes",
            "shown_status",
            "created_at",
            "created_by",
            "last_used_at",
            "revoked_at",
        )
        return made if obj is None else (*made, "expires_at")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """No “Revoke” on what has been revoked."""
        if ApiKey.objects.filter(pk=object_id, revoked_at__isnull=False).exists():
            return []
        shown: list[Any] = super().get_actions_detail(request, object_id)
        return shown

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Only “Save”: each key is shown once, on a page of its own."""
        only_save = {"show_save_and_continue": False, "show_save_and_add_another": False}
        added: HttpResponse = super().add_view(request, form_url, {**(extra_context or {}), **only_save})
        return added

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001
        if change:
            super().save_model(request, obj, form, change)
            return
        row, secret = api_keys.create_key(obj.name, obj.scopes, obj.expires_at, created_by=request.user)  # type: ignore[arg-type]
        obj.__dict__.update(row.__dict__)
        request.new_api_key = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key, once: it is in this answer alone, neither in the session nor in a cache."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Copy the new API key now",
            "opts": self.opts,
            "key": obj,
            "secret": request.new_api_key,  # type: ignore[attr-defined]
            "address": request.build_absolute_uri("/v1/"),
            "may_ingest": Scope.INGEST in obj.scopes,
            "reference": f"try-{get_random_string(8)}",  # a new one each time: a repeated reference is dropped
        }
        response = TemplateResponse(request, "admin/foundation/apikey/shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @display(description="Key")
    def shown_prefix(self, key: ApiKey) -> str:
        return f"{api_keys.MARK}_{key.prefix}_…"

    @display(description="Scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="Status", label={ACTIVE: "success", EXPIRED: "warning", REVOKED: "danger"})
    def shown_status(self, key: ApiKey) -> str:
        return status(key)

    @action(description="Revoke the selected keys", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        revoked = sum(api_keys.revoke_key(key) for key in keys)
        messages.success(request, f"{revoked} of {len(keys)} keys revoked; the others had been revoked before.")

    @action(
        description="Revoke",
        permissions=["change"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Revoke this API key?",
            "description": "Requests with it are refused from now on. This cannot be undone; a new key can be made.",
            "form_class": None,
            "form_submit_text": "Revoke",
        },
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        key = get_object_or_404(ApiKey, pk=object_id)
        if api_keys.revoke_key(key):
            messages.success(request, f"“{key.name}” is revoked.")
        else:
            messages.info(request, f"“{key.name}” had been revoked before.")
        return HttpResponse(headers={"HX-Redirect": reverse("admin:foundation_apikey_change", args=[key.pk])})


@admin.register(User)
class UserAdmin(NamedFieldsAdmin, DjangoUserAdmin, ModelAdmin):
    """Django's own, in the look of the other pages."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(NamedFieldsAdmin, DjangoGroupAdmin, ModelAdmin):
    """Django's own, in the look of the other pages."""

    empty_text = "A group holds permissions, and gives them to every user who is in it."
