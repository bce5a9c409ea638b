"""What never became usage: values that cannot be read, refused events, failed uploads."""

from collections.abc import Iterator
from datetime import timedelta

from django.http import HttpRequest
from django.urls import reverse

from billing_site.foundation import clock
from billing_site.leaks.sections import SHOWN, UNKNOWABLE, Fix, Leak, Section, count, instant
from meters.explorer import unread
from meters.ingestion import refusals
from meters.uploads import reports as upload_reports

REFUSED_FOR = timedelta(days=7)
UPLOADED_FOR = timedelta(days=35)


def unread_values(request: HttpRequest) -> Iterator[Section]:
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


def refused_events(request: HttpRequest) -> Iterator[Section]:
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
                    instant(row.last_at),
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


def failed_uploads(request: HttpRequest) -> Iterator[Section]:
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
                    instant(row.step_at),
                    str(row.started_by or "–"),
                    row.error or "–",
                ),
                UNKNOWABLE,
                [Fix("Open the report", reverse("admin:meters_upload_change", args=[row.pk]))],
            )
            for row, rejected in rows
        ],
        count(found),
        reverse("admin:meters_upload_changelist"),
        numbers=("Rows", "Rejected"),
    )
