"""Usage that has no price, or earns nothing, and invoices that wait."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from billing_site.foundation.money import grouped, show
from billing_site.leaks.sections import SHOWN, UNKNOWABLE, Fix, Leak, Section, count, instant
from catalog.grid.row_forms import field_of
from catalog.models import Charge, PlanVersion
from invoicing import unpriced
from invoicing.models import Invoice
from meters.explorer.scanning import TooMuch


def unpriced_usage(request: HttpRequest) -> Iterator[Section]:
    section = Section(
        "unpriced",
        "Usage that no row prices",
        "In periods that are not closed, and in drafts. Add a row to a draft of the plan, publish it, and put the"
        " subscriptions on it. The worth is taken from the rows that share most values with it.",
        ("Charge", "Values", "Quantity", "Subscriptions", "Held drafts"),
        numbers=("Quantity", "Subscriptions", "Held drafts"),
    )
    try:
        found = unpriced.open_usage()
    except TooMuch as error:
        yield replace(section, failed=str(error))
        return
    fixes = _row_fixes(request, found.gaps)
    rows = [
        Leak(
            (*_named(gap), f"{len(gap.subscriptions):,}", f"{gap.invoices:,}"),
            _worth(gap),
            fixes(gap),
        )
        for gap in found.gaps[:SHOWN]
    ]
    count = f"{len(found.gaps):,}"
    yield replace(section, rows=rows, count=count if found.complete else f"{count} in the first {unpriced.LOOKED_AT:,}")


def priced_at_nothing(request: HttpRequest) -> Iterator[Section]:
    section = Section(
        "at-nothing",
        "Invoiced at nothing",
        "Finalized in the last 35 days with lines that say “not priced”: their charge says to charge nothing for usage"
        " without a row. A row prices what comes from now on.",
        ("Charge", "Values", "Quantity", "Invoices"),
        numbers=("Quantity", "Invoices"),
    )
    try:
        gaps = unpriced.billed_at_nothing(SHOWN + 1)
    except TooMuch as error:
        yield replace(section, failed=str(error))
        return
    fixes = _row_fixes(request, gaps)
    rows = [Leak((*_named(gap), f"{gap.invoices:,}"), _worth(gap), fixes(gap)) for gap in gaps[:SHOWN]]
    yield replace(section, rows=rows, count=f"{len(gaps)}" if len(gaps) <= SHOWN else f"more than {SHOWN}")


def held_invoices(request: HttpRequest) -> Iterator[Section]:
    held = Invoice.objects.filter(status=Invoice.Status.DRAFT).exclude(hold_reason="").select_related("customer")
    page = reverse("admin:invoicing_invoice_changelist")
    yield Section(
        "held",
        "Held invoices",
        "Drafts that cannot be finalized. When the reason is mended they go on by themselves.",
        ("Customer", "Period end", "Reason"),
        [
            Leak(
                (draft.customer.name, instant(draft.period_end), draft.hold_reason),
                f"{show(draft.total, draft.currency)} {draft.currency} and what is not priced",
                [Fix("Open the draft", reverse("admin:invoicing_invoice_change", args=[draft.pk]))],
            )
            for draft in held.order_by("finalize_after", "id")[:SHOWN]
        ],
        count(held),
        f"{page}?held=yes",
    )


def _row_fixes(request: HttpRequest, gaps: Sequence[unpriced.Gap]) -> Callable[[unpriced.Gap], list[Fix]]:
    """The way to a row for each gap: into its plan's newest draft that has the charge, or into a clone. Two queries."""
    versions = {gap.book.version for gap in gaps}
    plans = dict(PlanVersion.objects.filter(pk__in=versions).values_list("pk", "plan_id"))
    drafts = {
        (charge.version.plan_id, charge.code, charge.meter_id): charge
        for charge in Charge.objects.filter(version__plan__in=plans.values(), version__status=PlanVersion.Status.DRAFT)
        .select_related("version__plan")
        .order_by("version__number")
    }
    may_price = request.user.has_perm("catalog.change_charge")
    may_clone = may_price and request.user.has_perm("catalog.add_planversion")

    def fixes(gap: unpriced.Gap) -> list[Fix]:
        row = {field_of(name): value for name, value in gap.dimensions.items()}
        draft = drafts.get((plans[gap.book.version], gap.charge.code, gap.charge.meter))
        if draft is not None:
            address = f"{reverse('admin:catalog_charge_change', args=[draft.pk])}?{urlencode(row)}"
            return [Fix(f"Add the row to {draft.version}", address if may_price else None)]
        clone = reverse("leaks_clone") if may_clone else None
        opened = reverse("admin:catalog_charge_change", args=[gap.charge.id])
        return [
            Fix("Clone the version with this row", clone, {"charge": str(gap.charge.id), **row}),
            Fix("Open the charge", opened if request.user.has_perm("catalog.view_charge") else None),
        ]

    return fixes


def _named(gap: unpriced.Gap) -> tuple[str, str, str]:
    values = ", ".join(f"{name} = {value}" for name, value in gap.dimensions.items()) or "without any value"
    return f"{gap.charge.name} of {gap.book.label}", values, f"{grouped(gap.quantity)} {gap.charge.unit}"


def _worth(gap: unpriced.Gap) -> str:
    worth, currency = gap.estimate, gap.book.currency
    if worth is None:
        return f"{UNKNOWABLE}: the charge has no rows"
    if worth.low == worth.high:
        return f"about {show(worth.low, currency)} {currency}"
    return f"{show(worth.low, currency)} to {show(worth.high, currency)} {currency}"
