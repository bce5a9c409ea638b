"""The app `foundation`."""

from django.apps import AppConfig


class FoundationConfig(AppConfig):
    name = "billing_site.foundation"
    label = "foundation"
    verbose_name = "Access"

    def ready(self) -> None:
        from billing_site.foundation import checks, history_context  # noqa: F401
