"""The operator's pages of uploads: choose a file, say what its columns mean, check it, load it, see what came of it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from kombu.exceptions import OperationalError as BrokerAway
from unfold.decorators import display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ReadOnlyAdmin
from billing_site.foundation.errors import Refused
from meters import tasks
from meters.files.mapping import Mapping
from meters.files.opening import Unusable
from meters.models import Upload
from meters.uploads import uploading
from meters.uploads.forms import FileForm, MappingForm
from meters.uploads.leases import IN_WORK
from meters.uploads.receiving import check_size, receive
from meters.uploads.reports import report, same_before, summary

# What a browser sends around a file.
FORM_BYTES = 100_000
LABELS = {
    "Received": "info",
    "Checking": "info",
    "Checked": "warning",
    "Loading": "info",
    "Done": "success",
    "Stopped": "warning",
    "Failed": "danger",
}
NOT_LOADED = ("", Upload.Step.CHECK)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    """Whoever may add uploads may do everything with them; old events need `meters.backfill_events` besides."""

    empty_text = "Files of events, CSV, JSON or JSON Lines, are checked and loaded here."
    list_display = ("name", "shown_status", "shown_rows", "bar", "uploaded_by", "created_at")
    list_filter = ("status", "format")
    list_select_related = ("uploaded_by",)
    search_fields = ("name",)
    search_help_text = "Name of the file"
    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ["meters/upload.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("meters.add_upload"))  # type: ignore[union-attr]

    def has_view_permission(self, request: HttpRequest, obj: Upload | None = None) -> bool:
        return self.has_add_permission(request) or bool(super().has_view_permission(request, obj))

    @display(description="Status", ordering="status", label=LABELS)
    def shown_status(self, upload: Upload) -> str:
        return upload.get_status_display()

    @display(description="Rows", ordering="rows")
    def shown_rows(self, upload: Upload) -> str:
        return f"{upload.rows:,}"

    @display(description="Progress")
    def bar(self, upload: Upload) -> SafeString:
        return render_to_string("admin/meters/upload/_bar.html", {"done": upload.next_part, "all": upload.parts})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("add/", view(csrf_exempt(self.add_page)), name="meters_upload_add"),
            path("<int:pk>/progress/", view(self.progress_part), name="meters_upload_progress"),
            path("<int:pk>/rejects-<str:step>.csv", view(self.rejects_file), name="meters_upload_rejects"),
            *super().get_urls(),
        ]

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Too large a file is refused before any of it is read; Django reads it to look for the CSRF token."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        length = request.META.get("CONTENT_LENGTH") or "0"
        try:
            check_size(max(0, int(length[:18]) - FORM_BYTES) if length.isdecimal() else 0)
        except Unusable as refusal:
            form = FileForm()
            form.errors["file"] = form.error_class([refusal.message])
            return self._add_page(request, form, 413)
        answer: HttpResponse = csrf_protect(self._receive)(request)
        return answer

    def _receive(self, request: HttpRequest) -> HttpResponse:
        form = FileForm(request.POST, request.FILES) if request.method == "POST" else FileForm()
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                return _to(receive(file, file.name, file.size, request.user))
            except Refused as refused:
                form.add_error("file", str(refused))
        return self._add_page(request, form, 200)

    def _add_page(self, request: HttpRequest, form: FileForm, status: int) -> HttpResponse:
        context = {**self._context(request, "Upload events"), "form": form, "max_bytes": settings.UPLOAD_MAX_BYTES}
        return TemplateResponse(request, "admin/meters/upload/add.html", context, status=status)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        upload = self._found(request, int(object_id) if object_id.isdecimal() and len(object_id) < 19 else 0)
        form = MappingForm(upload, request.POST if request.POST.get("do") == "check" else None)
        if request.method == "POST" and (done := self._do(request, upload, form)):
            return done
        upload.refresh_from_db()
        return TemplateResponse(request, "admin/meters/upload/page.html", self._page(request, upload, form))

    def _do(self, request: HttpRequest, upload: Upload, form: MappingForm) -> HttpResponse | None:
        """What a button asks for. None: show the page again, with what is wrong in the form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        verb = _verb(request, upload, form)
        if verb is None:
            return None
        try:
            verb()
        except Refused as refused:
            if request.POST.get("do") == "check" and upload.columns:
                form.tell(refused.faults)
                return None
            messages.error(request, str(refused))
        else:
            _ask_a_worker(request, upload.pk)
        gone = not Upload.objects.filter(pk=upload.pk).exists()
        return HttpResponseRedirect(reverse("admin:meters_upload_changelist")) if gone else _to(upload)

    def _page(self, request: HttpRequest, upload: Upload, form: MappingForm) -> dict[str, Any]:
        may, in_work = self.has_add_permission(request), upload.status in IN_WORK.values()
        unloaded = upload.step in NOT_LOADED and not in_work
        return {
            **self._context(request, upload.name),
            **_standing(upload),
            "original": upload,
            "before": same_before(upload),
            "form": form if may and unloaded and upload.columns else None,
            "may": may,
            "may_check": may and unloaded,
            "may_backfill": request.user.has_perm("meters.backfill_events"),  # type: ignore[union-attr]
            "past_days": settings.INGEST_PAST.days,
            "timeless": bool(upload.columns) and "timestamp" not in (upload.mapping or {}).get("columns", {}).values(),
            "steps": [_told(upload, step) for step in Upload.Step if _told_of(upload, step)],
        }

    def progress_part(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bar, asked for by the page every second; when the work is over, the page is asked to load anew."""
        upload = self._found(request, pk)
        response = TemplateResponse(request, "admin/meters/upload/_progress.html", _standing(upload))
        if upload.status not in IN_WORK.values():
            response["HX-Refresh"] = "true"
        return response

    def rejects_file(self, request: HttpRequest, pk: int, step: str) -> StreamingHttpResponse:
        upload = self._found(request, pk)
        name = f"rejects-of-upload-{upload.pk}-{'load' if step == 'load' else 'check'}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(report(upload, step), content_type="text/csv; charset=utf-8", headers=headers)

    def _found(self, request: HttpRequest, pk: int) -> Upload:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Upload.objects.select_related("uploaded_by", "started_by"), pk=pk)

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


def _verb(request: HttpRequest, upload: Upload, form: MappingForm) -> Callable[[], None] | None:
    """The verb that a button names. None: the form of columns does not hold."""
    backfill = request.user.has_perm("meters.backfill_events")  # type: ignore[union-attr]
    verbs: dict[str, Callable[[], None]] = {
        "check": lambda: uploading.check(
            upload.pk, form.mapping() if upload.columns else Mapping(), clock.now(), backfill=backfill
        ),
        "load": lambda: uploading.load(upload.pk, request.user, clock.now(), backfill=backfill),
        "stop": lambda: uploading.stop(upload.pk),
        "go_on": lambda: uploading.go_on(upload.pk),
        "discard": lambda: uploading.discard(upload.pk),
    }
    name = request.POST.get("do", "")
    if name == "check" and upload.columns and not form.is_valid():
        return None
    if name not in verbs:
        raise PermissionDenied
    return verbs[name]


def _ask_a_worker(request: HttpRequest, pk: int) -> None:
    """At once, rather than when beat comes by."""
    if not Upload.objects.filter(pk=pk, status__in=IN_WORK.values()).exists():
        return
    try:
        tasks.work_upload.apply_async((pk,), expires=tasks.HINT_EXPIRES_SECONDS)
    except BrokerAway:
        messages.warning(request, "The queue (Redis) cannot be reached; beat takes up the work when it is back.")


def _standing(upload: Upload) -> dict[str, Any]:
    return {"upload": upload, "in_work": upload.status in IN_WORK.values(), "found": summary(upload, upload.step)}


def _told_of(upload: Upload, step: str) -> bool:
    """Whether there is something to tell of a step: not while its bar is shown."""
    shown = [Upload.Step.CHECK, Upload.Step.LOAD] if upload.step == Upload.Step.LOAD else [upload.step]
    return step in shown and not (step == upload.step and upload.status in IN_WORK.values())


def _told(upload: Upload, step: str) -> dict[str, Any]:
    return {"step": step, "found": summary(upload, step), "over": step != upload.step}


def _to(upload: Upload) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:meters_upload_change", args=[upload.pk]))
