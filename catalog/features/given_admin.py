"""What a draft version gives of features, on its page: read beside its charges, written in one form."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from billing_site.foundation.errors import Refused
from catalog.admin_pages import is_draft
from catalog.features import featuring
from catalog.features.differences import value_words
from catalog.features.forms import shown, value_field
from catalog.features.models import Feature
from catalog.models import PlanVersion


class GivenForm(forms.Form):
    """A field for every feature."""

    def __init__(self, version: PlanVersion, data: Any = None) -> None:
        super().__init__(data, prefix="feature")  # a code may be any word
        given = {each.feature_id: each for each in version.feature_values.all()}
        self.features = {each.code: each for each in Feature.objects.order_by("name", "code").select_related("meter")}
        for code, feature in self.features.items():
            value = given.get(feature.pk)
            initial = None if value is None else shown(feature, value.value)
            self.fields[code] = value_field(feature, initial=initial)

    def rows(self) -> list[tuple[Feature, forms.BoundField]]:
        return [(feature, self[code]) for code, feature in self.features.items()]

    def values(self) -> dict[Feature, object]:
        """Of every feature, as the verb takes it; None: not given."""
        return {feature: self.cleaned_data[code] for code, feature in self.features.items()}

    def refuse(self, refused: Refused) -> None:
        for fault in refused.faults:
            field = fault.field.removesuffix(".value")
            named = f"Feature “{self.features[field].name}”: " if field in self.features else ""
            self.add_error(field if named else None, fault.message.removeprefix(named))


class GivesFeatures:
    """Mix into the page of versions."""

    def given_context(self, request: HttpRequest, version: PlanVersion | None) -> dict[str, Any]:
        if version is None:
            return {}
        rows = version.feature_values.select_related("feature__meter").order_by("feature__name")
        return {
            "given": [(each.feature, value_words(each)) for each in rows],
            "may_give": is_draft(version) and _may_give(request),
            "any_feature": Feature.objects.exists(),
        }

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(self.features)  # type: ignore[attr-defined]
        own = path("<path:object_id>/features/", view, name="catalog_planversion_features")
        return [own, *super().get_urls()]  # type: ignore[misc]

    def features(self, request: HttpRequest, object_id: str) -> HttpResponse:
        number = int(object_id) if object_id.isdecimal() else 0
        version = get_object_or_404(PlanVersion.objects.select_related("plan"), pk=number)
        if not _may_give(request):
            raise PermissionDenied
        back = reverse("admin:catalog_planversion_change", args=[version.pk])
        if not is_draft(version):
            messages.error(request, f"{version} was published: what it gives never changes. Clone it.")
            return HttpResponseRedirect(back)
        form = GivenForm(version, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                featuring.set_feature_values(version, form.values())
            except Refused as refused:
                form.refuse(refused)
            else:
                self.log_change(request, version, "Changed what it gives of features.")  # type: ignore[attr-defined]
                messages.success(request, f"What {version} gives is saved.")
                return HttpResponseRedirect(f"{back}#features")
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"What {version} gives",
            "opts": self.opts,  # type: ignore[attr-defined]
            "original": version,
            "version": version,
            "form": form,
        }
        return TemplateResponse(request, "admin/catalog/planversion/features.html", context)


def _may_give(request: HttpRequest) -> bool:
    """Who may change a version and the values that versions give."""
    return request.user.has_perms(("catalog.change_planversion", "catalog.change_featurevalue"))
