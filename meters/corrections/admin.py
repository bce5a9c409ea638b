"""What was corrected, and the actions that void and amend on an event's page."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import BigTableAdmin, ReadOnlyAdmin
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import grouped
from meters.corrections import correcting
from meters.corrections.correcting import By
from meters.corrections.forms import AmendForm, VoidForm, limits_of
from meters.models import Correction, Event

LABELS = {"Voided": "danger", "Amended": "warning"}


class CorrectableAdmin(ReadOnlyAdmin):
    """The page of an event: what became of it, and what may be done about it while it counts."""

    actions_detail: Any = ("amend_event", "void_event")

    def has_correct_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        if not str(object_id).isdecimal() or not request.user.has_perm("meters.correct_event"):  # type: ignore[union-attr]
            return False
        return Event.objects.filter(pk=str(object_id), correction=None).exists()

    @action(
        description="Void …",
        permissions=["correct"],
        dialog={
            "title": "Void this event",
            "description": "It counts no longer, for good. It stays here, and its reference stays known.",
            "form_class": VoidForm,
            "form_submit_text": "Void",
        },
    )
    def void_event(self, request: HttpRequest, form: VoidForm, object_id: str) -> HttpResponse:
        given = (By(user=request.user), clock.now(), limits_of(request))
        return _do(request, object_id, lambda: correcting.void(int(object_id), form.cleaned_data["reason"], *given))

    @action(
        description="Amend …",
        permissions=["correct"],
        dialog={
            "title": "Amend this event",
            "description": "It counts as you change it here. What was sent stays, and is seen beside it.",
            "form_class": AmendForm,
            "form_submit_text": "Amend",
        },
    )
    def amend_event(self, request: HttpRequest, form: AmendForm, object_id: str) -> HttpResponse:
        given = (By(user=request.user), clock.now(), limits_of(request))
        return _do(request, object_id, lambda: correcting.amend(int(object_id), form.amendment, *given))

    @display(description="What became of it")
    def became(self, event: Event) -> SafeString:
        forms = correcting.forms_of(event.pk)
        rows = [
            {
                "form": form,
                "shown": form.pk == event.pk,
                "value": "–" if form.value is None else grouped(form.value),
                "correction": correcting.correction_of(form),
            }
            for form in forms
        ]
        return render_to_string("admin/meters/event/_became.html", {"rows": rows})


def _do(request: HttpRequest, object_id: str, correct: Callable[[], Correction]) -> HttpResponse:
    """Correct, and show the form that counts then; or say why not."""
    shown: Any = object_id
    try:
        done = correct()
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        shown = done.replacement_id or object_id
        messages.success(request, f"{done.get_kind_display()}. Usage and drafts follow.")
    # What htmx, which sent the dialog, follows.
    return HttpResponse(headers={"HX-Redirect": reverse("admin:meters_event_change", args=[shown])})


@admin.register(Correction)
class CorrectionAdmin(BigTableAdmin):
    empty_text = "An event that is voided or amended, by the API or on its page, is listed here with the reason."
    list_display = ("event_link", "customer", "shown_kind", "reason", "by", "created_at")
    list_display_links = None
    list_filter = ("kind",)
    list_select_related = ("event", "api_key", "user")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("event__reference",)
    search_help_text = "The event's or the customer's reference, in full"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(Q(event__reference=term) | Q(event__customer=term)) if term else queryset), False

    @display(description="Event")
    def event_link(self, correction: Correction) -> SafeString:
        address = reverse("admin:meters_event_change", args=[correction.event_id])
        return format_html('<a class="tb-link" href="{}">{}</a>', address, correction.event.reference)

    @display(description="Customer")
    def customer(self, correction: Correction) -> str:
        return correction.event.customer

    @display(description="What", label=LABELS)
    def shown_kind(self, correction: Correction) -> str:
        return correction.get_kind_display()

    @display(description="By")
    def by(self, correction: Correction) -> str:
        return correction.author
