"""How the admin looks as a whole: title, colours, sidebar and first page, for settings.py."""

from typing import Any

from django.templatetags.static import static

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tallybook",
    "SITE_HEADER": "Tallybook",
    "SITE_SUBHEADER": "Billing back office",
    "SITE_URL": None,
    "SITE_SYMBOL": "table_chart_view",
    "SITE_ICON": lambda request: static("foundation/mark.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("foundation/mark.svg"),
        },
    ],
    "STYLES": [lambda request: static("foundation/admin.css")],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "billing_site.dashboard.context",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "billing_site.sidebar.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#0f3f3c",
            "950": "#042f2e",
        }
    },
}
