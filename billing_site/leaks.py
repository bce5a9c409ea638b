"""Usage that earns nothing, on one page: how much there is of each kind, what it may be worth, and how to mend it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import grouped, show
from catalog.grid.row_forms import field_of
from catalog.models import Charge, PlanVersion
from catalog.versions import publishing
from customers.accounts import unknown as unknown_references
from invoicing import folded, unpriced
from invoicing.models import Invoice
from meters.backfills.admin import ask_a_worker
from meters.definitions import metering
from meters.explorer import unknown as unknown_kinds
from meters.explorer import unread
from meters.explorer.scanning import TooMuch
from meters.ingestion import refusals
from meters.measuring.folding import OTHER, Step
from meters.models import Meter, OverLimit
from meters.uploads import reports as upload_reports
from meters.usage import cardinality

SHOWN = 20
COUNTED_UP_TO = 1_000
REFUSED_FOR = timedelta(days=7)
UPLOADED_FOR = timedelta(days=35)
UNKNOWABLE = "cannot be known"
INSTANTS = ("Last event", "Last", "Begun", "Since", "Period end")


@dataclass(frozen=True)
class Fix:
    """What mends a leak: a link, or with `fields` a button that posts them. `address` None: the user may not."""

    text: str
    address: str | None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Leak:
    """A row: a text for each column of its section, what it may be worth, and its fixes."""

    cells: Sequence[str]
    worth: str
    fixes: Sequence[Fix] = ()


@dataclass(frozen=True)
class Section:
    """One kind of leak. `count`: how many there are, as text. `failed`: why it could not be looked for."""

    key: str
    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Leak] = ()
    count: str = "0"
    more: str | None = None
    failed: str = ""
    numbers: Sequence[str] = ()

    @property
    def shown(self) -> list[tuple[list[tuple[str, str]], Leak]]:
        """Each row with its cells by the names of their columns, which a phone shows beside them."""
        return [(list(zip(self.columns, row.cells, strict=True)), row) for row in self.rows]


def page(request: HttpRequest) -> HttpResponse:
    """Every kind that this user may look at."""
    makers = [make for permission, make in SECTIONS if request.user.has_perm(permission)]
    if not makers:
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Leaks",
        "instants": INSTANTS,
        "sections": [section for make in makers for section in make(request)],
    }
    return TemplateResponse(request, "admin/leaks.html", context)


def may_see(request: HttpRequest) -> bool:
    """Whether there is anything on the page for this user."""
    return any(request.user.has_perm(permission) for permission, _ in SECTIONS)


@require_POST
def clone_for_row(request: HttpRequest) -> HttpResponse:
    """Clone the version of a charge, and go on to the charge of the clone with the wanted row filled in."""
    if not (request.user.has_perm("catalog.add_planversion") and request.user.has_perm("catalog.change_charge")):
        raise PermissionDenied
    key = request.POST.get("charge", "")
    charge = get_object_or_404(Charge.objects.select_related("version"), pk=int(key) if key.isdecimal() else 0)
    try:
        draft = publishing.clone_version(charge.version)
    except Refused as refused:
        messages.error(request, str(refused))
        return HttpResponseRedirect(reverse("leaks"))
    messages.success(
        request, f"{draft} is a copy of {charge.version}. Give the new row a price, save, then publish it."
    )
    copy = Charge.objects.get(version=draft, code=charge.code)
    wanted = {name: value for name, value in request.POST.items() if name.startswith(field_of(""))}
    return HttpResponseRedirect(f"{reverse('admin:catalog_charge_change', args=[copy.pk])}?{urlencode(wanted)}")


@require_POST
def count_anew(request: HttpRequest) -> HttpResponse:
    """Have a meter counted anew by the limit of series that it has now."""
    if not request.user.has_perm("meters.change_meter"):
        raise PermissionDenied
    key = request.POST.get("meter", "")
    meter = get_object_or_404(Meter, pk=int(key) if key.isdecimal() else 0)
    metering.recount(meter, request.user)
    ask_a_worker(request, meter)
    messages.success(
        request,
        f"{meter} is counted anew, which its page shows. Customers that are beyond its limit then as well are listed "
        "here again.",
    )
    return HttpResponseRedirect(reverse("leaks"))


def _unknown_customers(request: HttpRequest) -> Iterator[Section]:
    rows = list(unknown_references.unknown_customers()[:SHOWN])
    seen = unknown_references.seen([row.customer for row in rows])
    page = reverse("admin:customers_unknowncustomer_changelist")
    fix = Fix("Create or attach", page) if request.user.has_perm("customers.view_unknowncustomer") else None
    yield Section(
        "unknown-customers",
        "Usage of unknown customers",
        "No customer has these references. Create the customer, or attach the reference to one that is there; what has"
        " come already is its usage then.",
        ("Reference", "Event types", "Events", "Last event"),
        [
            Leak(
                (row.customer, ", ".join(what.types), what.events_text(), _instant(what.last_at)),
                UNKNOWABLE,
                [replace(fix, address=f"{page}?{urlencode({'q': row.customer})}")] if fix else [],
            )
            for row in rows
            for what in [seen[row.customer]]
        ],
        _count(unknown_references.unknown_customers()),
        page,
        numbers=("Events",),
    )


def _unknown_types(request: HttpRequest) -> Iterator[Section]:
    rows = list(unknown_kinds.unknown_types()[:SHOWN])
    seen = unknown_kinds.seen([row.type for row in rows])
    add = reverse("admin:meters_meter_add") if request.user.has_perm("meters.add_meter") else None
    yield Section(
        "unknown-types",
        "Usage of unknown types",
        "No meter reads events of these types. A meter counts what has come already, too.",
        ("Type", "Customers", "Events", "Last event"),
        [
            Leak(
                (row.type, f"{what.customers:,}", what.events_text(), _instant(what.last_at)),
                UNKNOWABLE,
                [Fix("Make a meter", add and f"{add}?{urlencode({'event_type': row.type})}")],
            )
            for row in rows
            for what in [seen[row.type]]
        ],
        _count(unknown_kinds.unknown_types()),
        reverse("admin:meters_unknowntype_changelist"),
        numbers=("Customers", "Events"),
    )


def _unpriced(request: HttpRequest) -> Iterator[Section]:
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


def _at_nothing(request: HttpRequest) -> Iterator[Section]:
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


def _held(request: HttpRequest) -> Iterator[Section]:
    held = Invoice.objects.filter(status=Invoice.Status.DRAFT).exclude(hold_reason="").select_related("customer")
    page = reverse("admin:invoicing_invoice_changelist")
    yield Section(
        "held",
        "Held invoices",
        "Drafts that cannot be finalized. When the reason is mended they go on by themselves.",
        ("Customer", "Period end", "Reason"),
        [
            Leak(
                (draft.customer.name, _instant(draft.period_end), draft.hold_reason),
                f"{show(draft.total, draft.currency)} {draft.currency} and what is not priced",
                [Fix("Open the draft", reverse("admin:invoicing_invoice_change", args=[draft.pk]))],
            )
            for draft in held.order_by("finalize_after", "id")[:SHOWN]
        ],
        _count(held),
        f"{page}?held=yes",
    )


def _unread(request: HttpRequest) -> Iterator[Section]:
    rows = unread.latest()
    may_meter = request.user.has_perm("meters.view_meter")
    yield Section(
        "unread",
        "Missing and bad values",
        f"Among the latest {unread.LATEST:,} events: a meter takes them by its filter and finds no value. They are kept"
        " and not counted. Mend the sender, and send them anew under another reference.",
        ("Meter", "Property", "What is wrong", "Events", "Customers", "Latest"),
        [
            Leak(
                (row.meter.code, row.property, row.fault, f"{row.events:,}", f"{len(row.customers):,}", row.reference),
                UNKNOWABLE,
                [
                    Fix("Open the latest", reverse("admin:meters_event_change", args=[row.event])),
                    Fix(
                        "Open the meter",
                        reverse("admin:meters_meter_change", args=[row.meter.id]) if may_meter else None,
                    ),
                ],
            )
            for row in rows[:SHOWN]
        ],
        f"{len(rows):,}",
        numbers=("Events", "Customers"),
    )


def _refused(request: HttpRequest) -> Iterator[Section]:
    rows, count = refusals.since((clock.now() - REFUSED_FOR).date(), SHOWN)
    may_key = request.user.has_perm("foundation.view_apikey")
    yield Section(
        "refused",
        "Events refused in the last 7 days",
        "The caller was told and the events are not kept: they have to be sent anew, mended.",
        ("Code", "Type", "API key", "Events", "Last", "Reference", "Message"),
        [
            Leak(
                (
                    row.code,
                    row.type or "–",
                    row.key_name,
                    f"{row.events:,}",
                    _instant(row.last_at),
                    row.reference or "–",
                    row.message,
                ),
                UNKNOWABLE,
                [
                    Fix(
                        "Open the key",
                        reverse("admin:foundation_apikey_change", args=[row.api_key]) if may_key else None,
                    )
                ],
            )
            for row in rows
        ],
        f"{count:,}",
        numbers=("Events",),
    )


def _uploads(request: HttpRequest) -> Iterator[Section]:
    found = upload_reports.incomplete(clock.now() - UPLOADED_FOR)
    rows = [(row, getattr(row, "rejected", 0)) for row in found.select_related("started_by")[:SHOWN]]
    yield Section(
        "uploads",
        "Uploads that failed or left rows out",
        "Begun in the last 35 days. The report names each row that was not taken, and why: mend those rows, and upload"
        " them again. What was taken is not counted twice.",
        ("File", "State", "Rows", "Rejected", "Begun", "By", "What went wrong"),
        [
            Leak(
                (
                    row.name,
                    row.get_status_display(),
                    f"{row.rows:,}",
                    f"{rejected:,}",
                    _instant(row.step_at),
                    str(row.started_by or "–"),
                    row.error or "–",
                ),
                UNKNOWABLE,
                [Fix("Open the report", reverse("admin:meters_upload_change", args=[row.pk]))],
            )
            for row, rejected in rows
        ],
        _count(found),
        reverse("admin:meters_upload_changelist"),
        numbers=("Rows", "Rejected"),
    )


def _over_limit(request: HttpRequest) -> Iterator[Section]:
    may_meter, may_count = (request.user.has_perm(f"meters.{verb}_meter") for verb in ("view", "change"))
    rows = cardinality.over_limit(SHOWN)
    amounts = folded.charged({(row.meter, row.customer) for row in rows})
    yield Section(
        "over-limit",
        "Meters beyond their limit of series",
        f"A customer has more combinations of dimension values than the meter allows. Further ones are counted as"
        f" “{OTHER}”: all of it, and priced by the rows that take any value; the worth is what they come to in the open"
        " period. Retire the dimension that has too many values, or raise the meter's limit; both count the meter anew."
        " After raising the limit of the site, count it anew here. That is done in the background; until it is done the"
        " meter's usage is unfinished and its invoices wait.",
        ("Meter", "Customer", "Allowed", "Counted together", "Quantities", "Since", "Example"),
        [
            Leak(
                (
                    row.name,
                    row.customer,
                    f"{row.allowed:,}",
                    _together(row),
                    f"{row.events:,}" if row.all else f"at least {row.events:,}",
                    _instant(row.since),
                    ", ".join(f"{name} = {value}" for name, value in sorted(row.example.items())),
                ),
                _charged(amounts.get((row.meter, row.customer)), row.step),
                [
                    Fix(
                        "Open the meter", reverse("admin:meters_meter_change", args=[row.meter]) if may_meter else None
                    ),
                    Fix("Count anew", reverse("leaks_recount") if may_count else None, {"meter": str(row.meter)}),
                ],
            )
            for row in rows
        ],
        _count(OverLimit.objects.all()),
        numbers=("Allowed", "Quantities"),
    )


def _charged(amounts: Mapping[str, Decimal] | None, step: Step) -> str:
    """What is charged for what is counted together, in periods that are open."""
    if step == Step.NOTHING:
        return "counted apart, and slow"
    if amounts is None:
        return "counted; no plan charges it now"
    return "about " + ", ".join(f"{show(amount, currency)} {currency}" for currency, amount in sorted(amounts.items()))


def _together(row: cardinality.Over) -> str:
    if row.step == Step.NOTHING:
        return "nothing: levels must be kept apart"
    return ", ".join(row.names) if row.step == Step.NAMES else "all dimensions, and the subscriptions that are named"


def _series(request: HttpRequest) -> Iterator[Section]:
    rows = cardinality.largest(SHOWN)
    may_meter = request.user.has_perm("meters.view_meter")
    yield Section(
        "series",
        "Meters with most series",
        "A series is one customer's combination of dimension values. A request id declared as a dimension makes one for"
        " every request, which slows everything down. Retire such a dimension.",
        ("Meter", "Series", "Customers", "Most at", "Series there"),
        [
            Leak(
                (row.name, f"{row.series:,}", f"{row.customers:,}", row.most_customer, f"{row.most:,}"),
                "–",
                [Fix("Open the meter", reverse("admin:meters_meter_change", args=[row.meter]) if may_meter else None)],
            )
            for row in rows
        ],
        f"{len(rows):,}",
        numbers=("Series", "Customers", "Series there"),
    )


# Who may look at a kind, and how it is looked for.
SECTIONS: Sequence[tuple[str, Callable[[HttpRequest], Iterator[Section]]]] = (
    ("customers.view_unknowncustomer", _unknown_customers),
    ("meters.view_unknowntype", _unknown_types),
    ("catalog.view_charge", _unpriced),
    ("invoicing.view_invoice", _held),
    ("invoicing.view_invoice", _at_nothing),
    ("meters.view_event", _unread),
    ("meters.view_refusal", _refused),
    ("meters.view_upload", _uploads),
    ("meters.view_overlimit", _over_limit),
    ("meters.view_series", _series),
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


def _count(rows: QuerySet[Any]) -> str:
    count = rows.order_by()[: COUNTED_UP_TO + 1].count()
    return f"{count:,}" if count <= COUNTED_UP_TO else f"more than {COUNTED_UP_TO:,}"


def _instant(instant: Any) -> str:
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"
