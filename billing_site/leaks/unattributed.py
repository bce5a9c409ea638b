"""Usage that belongs to nobody, or of types that no meter reads."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from billing_site.leaks.sections import SHOWN, UNKNOWABLE, Fix, Leak, Section, count, instant
from customers.accounts import unknown as unknown_references
from meters.explorer import unknown as unknown_kinds


def unknown_customers(request: HttpRequest) -> Iterator[Section]:
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
                (row.customer, ", ".join(what.types), what.events_text(), instant(what.last_at)),
                UNKNOWABLE,
                [replace(fix, address=f"{page}?{urlencode({'q': row.customer})}")] if fix else [],
            )
            for row in rows
            for what in [seen[row.customer]]
        ],
        count(unknown_references.unknown_customers()),
        page,
        numbers=("Events",),
    )


def unknown_types(request: HttpRequest) -> Iterator[Section]:
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
                (row.type, f"{what.customers:,}", what.events_text(), instant(what.last_at)),
                UNKNOWABLE,
                [Fix("Make a meter", add and f"{add}?{urlencode({'event_type': row.type})}")],
            )
            for row in rows
            for what in [seen[row.type]]
        ],
        count(unknown_kinds.unknown_types()),
        reverse("admin:meters_unknowntype_changelist"),
        numbers=("Customers", "Events"),
    )
