"""Every address of the site, but for /healthz and /readyz, which `health` answers before anything else."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from billing_site import attribution, calls, error_pages, usage_chart
from billing_site.foundation.history_page import history_page
from billing_site.leaks import pages as leaks

api: list[URLPattern | URLResolver] = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("meters.api")),
    path("", include("catalog.api")),
    path("", include("customers.api")),
    path("", include("invoicing.api")),
    re_path("", error_pages.UnknownApiAddress.as_view()),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/history/", admin.site.admin_view(history_page), name="history"),
    path("admin/leaks/", admin.site.admin_view(leaks.page), name="leaks"),
    path("admin/leaks/clone/", admin.site.admin_view(leaks.clone_for_row), name="leaks_clone"),
    path("admin/usage/", admin.site.admin_view(usage_chart.page), name="usage_chart"),
    path("admin/usage/customers/", admin.site.admin_view(usage_chart.customers), name="usage_customers"),
    path("admin/leaks/recount/", admin.site.admin_view(leaks.count_anew), name="leaks_recount"),
    path("admin/attribution/", admin.site.admin_view(attribution.page), name="attribution"),
    path("admin/calls/", admin.site.admin_view(calls.page), name="calls"),
    path("admin/", admin.site.urls),
    path("v1/", include(api)),
]

handler400 = error_pages.bad_request
handler403 = error_pages.permission_denied
handler404 = error_pages.not_found
handler500 = error_pages.server_error
