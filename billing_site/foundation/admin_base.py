"""What every page of the admin has in common."""

from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin


class ConfigurationAdmin(ModelAdmin):
    """A page on which operators change configuration; its history says who changed what."""

    warn_unsaved_form = True
    list_filter_submit = True


class ReadOnlyAdmin(ModelAdmin):
    """A page on which operators look at what only the product writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
