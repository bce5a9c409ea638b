"""The operator's pages: invoices, runs and their chunks, late usage, number series."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as BrokerAway
from unfold.decorators import action, display

from billing_site.foundation.admin_base import BigTableAdmin, ConfigurationAdmin, ReadOnlyAdmin
from billing_site.foundation.money import grouped, show
from customers.accounts.subscription_admin import move
from customers.models import Subscription
from customers.subscriptions.forms import MOVE_DIALOG, MoveForm
from invoicing import chunks, closing, tasks
from invoicing.models import Chunk, Invoice, LateProblem, LateUsage, NumberSeries, Run
from invoicing.sheet import period_text, sheet

STYLES = {"all": ["invoicing/invoice.css"]}
STATUS_LABELS = {"Finalized": "success", "Draft": "info", "Held draft": "warning", "Void": "danger"}


def run_now(request: HttpRequest) -> None:
    """Ask a worker for what beat asks for. Work that waits in the tables is not lost when the queue is away."""
    try:
        tasks.find_due.delay()
    except BrokerAway:
        messages.error(request, "The queue (Redis) cannot be reached; beat takes up the work when it is back.")
    else:
        messages.success(request, "A worker was asked to look for what is due.")


class HeldFilter(admin.SimpleListFilter):
    title = "held"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Held drafts")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        return queryset.exclude(hold_reason="") if self.value() == "yes" else queryset


class MoveInvoiceForm(MoveForm):
    """The same on the page of a draft: its subscription is moved."""

    def subscription(self) -> Subscription | None:
        drafts = Invoice.objects.filter(pk=self.object_id, status=Invoice.Status.DRAFT)
        return Subscription.objects.select_related("version__plan").filter(invoices__in=drafts).first()


@admin.register(Invoice)
class InvoiceAdmin(BigTableAdmin):
    list_display = ["title", "customer", "period", "standing", "amount"]
    list_filter = ["status", "kind", HeldFilter, "currency"]
    search_fields = ["number", "customer__name", "customer__reference"]
    search_help_text = "Number, or the customer's name or reference"
    list_select_related = ["customer"]
    ordering = ["-id"]
    actions = ["retry_held"]
    actions_detail = ["move_to_version"]
    empty_text = "When a period of a subscription is over, its invoice appears here: a draft, then with a number."

    class Media:
        css = STYLES

    @admin.display(description="Number", ordering="number")
    def title(self, invoice: Invoice) -> str:
        return invoice.number or f"Draft {invoice.pk}" if invoice.status != "empty" else f"Empty {invoice.pk}"

    @admin.display(description="Period", ordering="period_end")
    def period(self, invoice: Invoice) -> str:
        return period_text(invoice)

    @admin.display(description="Total", ordering="total")
    def amount(self, invoice: Invoice) -> str:
        return f"{show(invoice.total, invoice.currency)} {invoice.currency}"

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def standing(self, invoice: Invoice) -> str:
        return "Held draft" if invoice.hold_reason else invoice.get_status_display()

    @admin.action(description="Try held drafts again now", permissions=["retry"])
    def retry_held(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        count = closing.retry_held(list(queryset.values_list("pk", flat=True)))
        messages.info(request, f"{count} held drafts will be tried again.")
        run_now(request)

    def has_move_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        if not str(object_id).isdecimal() or not request.user.has_perm("customers.change_subscription"):  # type: ignore[union-attr]
            return False
        return Invoice.objects.filter(pk=str(object_id), status=Invoice.Status.DRAFT).exists()

    @action(
        description="Move to version …", permissions=["move"], dialog={**MOVE_DIALOG, "form_class": MoveInvoiceForm}
    )
    def move_to_version(self, request: HttpRequest, form: MoveInvoiceForm, object_id: str) -> HttpResponse:
        answer = move(request, form, reverse("admin:invoicing_invoice_change", args=[object_id]))
        run_now(request)
        return answer

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("invoicing.change_invoice"))  # type: ignore[union-attr]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rows = Invoice.objects.select_related("customer", "subscription", "version__plan", "chunk")
        invoice = rows.filter(pk=object_id).first() if object_id.isdecimal() else None
        context = {} if invoice is None else {"sheet": sheet(invoice), "late_usage": _late(invoice)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})


def _late(invoice: Invoice) -> list[dict[str, str]]:
    rows = invoice.late_usage.select_related("charge__meter").order_by("charge__position", "id")
    return [
        {
            "charge": row.charge.name,
            "dimensions": dimensions_text(row.dimensions),
            "quantity": quantity_text(row),
        }
        for row in rows
    ]


def dimensions_text(dimensions: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in dimensions.items()) or "–"


def quantity_text(late: LateUsage) -> str:
    sign = "+" if late.quantity > 0 else ""
    unit = late.charge.meter.unit if late.charge.meter else ""
    return f"{sign}{grouped(late.quantity)} {unit}".strip()


@admin.register(LateUsage)
class LateUsageAdmin(BigTableAdmin):
    empty_text = "Usage that comes, or is taken back, after its period was invoiced is listed here with its quantity."
    list_display = ["customer", "invoice_link", "charge", "values", "difference", "noticed_at", "updated_at"]
    search_fields = ["invoice__number", "invoice__customer__name", "invoice__customer__reference"]
    search_help_text = "Invoice number, or the customer's name or reference"
    list_select_related = ["invoice__customer", "charge__meter"]
    list_display_links = None
    ordering = ["-id"]

    @admin.display(description="Customer")
    def customer(self, late: LateUsage) -> str:
        return late.invoice.customer.name

    @admin.display(description="Invoice")
    def invoice_link(self, late: LateUsage) -> SafeString:
        address = reverse("admin:invoicing_invoice_change", args=[late.invoice_id])
        return format_html('<a class="tb-link" href="{}">{}</a>', address, late.invoice)

    @admin.display(description="Dimensions")
    def values(self, late: LateUsage) -> str:
        return dimensions_text(late.dimensions)

    @admin.display(description="Difference", ordering="quantity")
    def difference(self, late: LateUsage) -> str:
        return quantity_text(late)


@admin.register(LateProblem)
class LateProblemAdmin(ReadOnlyAdmin):
    """Changed usage that waits because it cannot be compared with what was invoiced."""

    empty_text = "Usage that changed after its period was invoiced is compared by itself; what fails is listed here."
    list_display = ["customer", "meter", "error", "noticed_at", "retry_at"]
    list_select_related = ["meter"]
    list_display_links = None
    search_fields = ["customer"]
    search_help_text = "The customer's reference"
    show_full_result_count = False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    empty_text = "A run begins by itself as soon as a subscription has a period to invoice."
    list_display = ["__str__", "started_at", "invoices", "progress", "bar", "errors"]
    list_before_template = "admin/invoicing/run/_run_now.html"
    show_full_result_count = False

    class Media:
        css = STYLES

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        done, failed = (Count("chunks", filter=Q(chunks__status=each)) for each in ("done", "failed"))
        rows: QuerySet[Run] = super().get_queryset(request)
        return rows.annotate(all=Count("chunks"), done=done, failed=failed, invoices=Sum("chunks__invoices", default=0))

    @admin.display(description="Invoices")
    def invoices(self, run: Any) -> str:
        return f"{run.invoices:,}"

    @admin.display(description="Chunks done")
    def progress(self, run: Any) -> str:
        return f"{run.done} of {run.all}"

    @admin.display(description="Progress")
    def bar(self, run: Any) -> SafeString:
        return render_to_string("admin/invoicing/run/_bar.html", {"done": run.done, "all": run.all})

    @admin.display(description="Failed")
    def errors(self, run: Any) -> str:
        return f"{run.failed} of {run.all}" if run.failed else "–"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_run": self._may_run(request), "beat_seconds": settings.INVOICE_BEAT_SECONDS}
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_queryset(request).filter(pk=object_id).first() if object_id.isdecimal() else None
        context = {} if run is None else {"run": run, "chunks": run.chunks.order_by("id")}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        now = path("now/", self.admin_site.admin_view(require_POST(self.now_view)), name="invoicing_run_now")
        return [now, *super().get_urls()]

    def now_view(self, request: HttpRequest) -> HttpResponse:
        if not self._may_run(request):
            raise PermissionDenied
        run_now(request)
        return redirect("admin:invoicing_run_changelist")

    def _may_run(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("invoicing.add_run"))  # type: ignore[union-attr]


@admin.register(Chunk)
class ChunkAdmin(ReadOnlyAdmin):
    empty_text = "A run splits its invoices into chunks, which workers take."
    list_display = ["__str__", "run", "step", "status", "invoices", "attempts", "worker", "created_at", "finished_at"]
    list_filter = ["status", "step"]
    list_select_related = ["run"]
    show_full_result_count = False
    actions = ["retry"]

    @admin.action(description="Retry failed chunks now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Chunk]) -> None:
        count = chunks.retry(list(queryset.values_list("pk", flat=True)))
        messages.info(request, f"{count} failed chunks will be tried again.")
        run_now(request)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("invoicing.change_chunk"))  # type: ignore[union-attr]


@admin.register(NumberSeries)
class NumberSeriesAdmin(ConfigurationAdmin):
    list_display = ["code", "prefix", "digits", "next_number"]
    fields = ["code", "prefix", "digits", "next_number"]
    readonly_fields = ["next_number"]

    def get_readonly_fields(self, request: HttpRequest, obj: NumberSeries | None = None) -> list[str]:
        return ["next_number"] if obj is None else ["code", "next_number"]

    def has_delete_permission(self, request: HttpRequest, obj: NumberSeries | None = None) -> bool:
        return False
