"""What the OpenAPI document says of the whole: the front matter, for settings.py."""

from typing import Any

DESCRIPTION = """
Send usage events, keep the catalogue, customers and subscriptions, read usage and invoices.

**Keys.** Every request carries an API key: `Authorization: Bearer tb_…`. An operator makes keys in the admin, with the
scopes that each operation names.

**Writes** other than events carry an `Idempotency-Key`, new for every new request. The same key and body give the
stored answer, with `Idempotent-Replayed: true`; another body gives 409. A write that was refused is not stored, so the
same key may be sent again. Events need no key: an event is known by its customer and reference, and counted once
however often it is sent.

**Errors** have one shape, `{"errors": [{"code", "message", "field"}]}`. `code` stays the same from version to version.

**Two writers.** What is read of a plan version carries an `ETag`. Sent back as `If-Match`, a write holds only for what
was read (else 412); without it the last writer wins.

**Parameters** in an address that an operation does not know are refused by name (400, `parameter_unknown`).

**Lists** come a page at a time: pass `next` as `after` until it is null.

**Numbers** that are amounts, prices or quantities are strings of decimals, exact. Times are RFC 3339, in UTC unless
they are the bounds of a window of usage, which carry the offset of the customer's timezone.
"""

SETTINGS: dict[str, Any] = {
    "TITLE": "Tallybook API",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "1",
    "SERVERS": [{"url": "/", "description": "This server"}],
    "TAGS": [
        {"name": "events", "description": "Usage events: what your customers did."},
        {"name": "customers", "description": "Who is billed, and what they used."},
        {"name": "usage", "description": "How much was used, by window of time and dimension."},
        {"name": "meters", "description": "What is counted of events, and by what it is told apart."},
        {"name": "products", "description": "What is sold."},
        {
            "name": "plans",
            "description": "What it costs: plans, their versions and prices, and documents of them.",
        },
        {"name": "coupons", "description": "What customers may have taken off their invoices."},
        {"name": "model-costs", "description": "What the providers of models charge, by model and token type."},
        {"name": "features", "description": "What customers may, and how much of it."},
        {
            "name": "subscriptions",
            "description": "Which customer is on which price list, and since when.",
        },
        {
            "name": "invoices",
            "description": "What is owed, and how each line came about.",
        },
    ],
    "SCHEMA_PATH_PREFIX": "/v1",
    # Several models have a `kind`: each list of choices is named after what it tells apart.
    "ENUM_NAME_OVERRIDES": {
        "ChargeKind": "catalog.models.Charge.Kind",
        "FeatureKind": "catalog.features.models.Feature.Kind",
        "InvoiceKind": "invoicing.models.Invoice.Kind",
        "InvoiceStatus": "invoicing.models.Invoice.Status",
        "VersionStatus": "catalog.models.PlanVersion.Status",
    },
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # The docs page is served whole from here; nothing is fetched from, or told to, another host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "/static/foundation/mark.svg",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "validatorUrl": None,
        "defaultModelsExpandDepth": -1,
    },
}
