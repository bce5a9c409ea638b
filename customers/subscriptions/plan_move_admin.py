"""The operator's page of moves: from which version to which, when, how far it has come, and who could not go."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import display

from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.errors import Refused
from catalog.models import PlanVersion
from customers.models import PlanMove, PlanMoveItem
from customers.subscriptions import plan_moves

Item = PlanMoveItem.Status
STATUS_LABELS = {"Moving": "warning", "Done": "success", "Stopped": "info"}
PER_PAGE = 100


class PlanMoveForm(forms.ModelForm):
    """What is refused is said at its field, before anything is planned."""

    class Meta:
        model = PlanMove
        fields = ("source", "target", "timing", "on", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = PlanVersion.objects.select_related("plan")
        if "source" in self.fields:
            self.fields["source"].queryset = versions.exclude(status="draft")  # type: ignore[attr-defined]
            self.fields["target"].queryset = versions.filter(status="published")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                plan_moves.check(**{name: cleaned.get(name) for name in self.Meta.fields})  # type: ignore[arg-type]
            except Refused as refused:
                for fault in refused.faults:
                    self.add_error(fault.field or None, ValidationError(fault.message, code=fault.code))
        return cleaned


@admin.register(PlanMove)
class PlanMoveAdmin(ConfigurationAdmin):
    """A move is planned and stopped here; nothing else of it changes."""

    form = PlanMoveForm
    empty_text = "A move takes all subscriptions of a version to a later one, now or as their periods end."
    list_display = ("__str__", "timing", "shown_status", "progress", "created_by", "created_at")
    list_filter = ("status", "source__plan")
    list_select_related = ("source__plan", "target__plan")
    search_fields = ("source__plan__name", "source__plan__code", "reason")
    search_help_text = "Plan or reason"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanMove]:
        rows: QuerySet[PlanMove] = super().get_queryset(request)
        return rows.annotate(all=Count("items"), waiting=Count("items", filter=Q(items__status=Item.WAITING)))

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, move: PlanMove) -> str:
        return move.get_status_display()

    @display(description="Done")
    def progress(self, move: Any) -> str:
        return f"{move.all - move.waiting:,} of {move.all:,}"

    def get_urls(self) -> list[Any]:
        mine = [path("<int:move>/progress/", self.admin_site.admin_view(self.progress_view), name="planmove_progress")]
        return [*mine, *super().get_urls()]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"timing": PlanMove.Timing.PERIOD_END, **super().get_changeform_initial_data(request)}

    def has_change_permission(self, request: HttpRequest, obj: PlanMove | None = None) -> bool:
        return obj is None and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: PlanMove | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: PlanMove, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        planned = plan_moves.plan(**form.cleaned_data, by=request.user.get_username())
        obj.__dict__.update(planned.__dict__)

    def response_add(self, request: HttpRequest, obj: PlanMove, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, f"{obj} is planned. It goes on by itself; look here how far it has come.")
        return HttpResponseRedirect(reverse("admin:customers_planmove_change", args=[obj.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The move as it stands, and the button that stops it."""
        move = self._found(request, int(object_id) if object_id.isdecimal() else 0)
        if request.method == "POST":
            return self._stop(request, move)
        items = move.items.select_related("subscription__customer").exclude(status=Item.MOVED)
        context = {
            **self.admin_site.each_context(request),
            **_standing(move),
            "title": str(move),
            "opts": self.opts,
            "original": move,
            "page": Paginator(items.order_by("-status", "id"), PER_PAGE).get_page(request.GET.get("p")),
            "may_stop": move.status == PlanMove.Status.MOVING and self._may_stop(request),
        }
        return TemplateResponse(request, "admin/customers/planmove/page.html", context)

    def progress_view(self, request: HttpRequest, move: int) -> HttpResponse:
        """How far it has come, asked for again and again by its page."""
        context = _standing(self._found(request, move))
        return TemplateResponse(request, "admin/customers/planmove/_progress.html", context)

    def _found(self, request: HttpRequest, key: int) -> PlanMove:
        move = get_object_or_404(PlanMove.objects.select_related("source__plan", "target__plan"), pk=key)
        if not self.has_view_permission(request, move):
            raise PermissionDenied
        return move

    def _may_stop(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.change_planmove")

    def _stop(self, request: HttpRequest, move: PlanMove) -> HttpResponse:
        if not self._may_stop(request):
            raise PermissionDenied
        try:
            plan_moves.stop(move)
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            self.log_change(request, move, "Stopped.")
            messages.success(request, f"{move} is stopped. Who was moved stays where they are.")
        return HttpResponseRedirect(reverse("admin:customers_planmove_change", args=[move.pk]))


def _standing(move: PlanMove) -> dict[str, Any]:
    counts = dict.fromkeys(Item.values, 0)
    counts |= dict(move.items.order_by().values_list("status").annotate(count=Count("id")))
    total = sum(counts.values())
    return {
        "move": move,
        "counts": counts,
        "total": total,
        "done": total - counts[Item.WAITING],
        "moving": move.status == PlanMove.Status.MOVING,
    }
