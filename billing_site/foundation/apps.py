"""The app `foundation`."""

from django.apps import AppConfig, apps


class FoundationConfig(AppConfig):
    name = "billing_site.foundation"
    label = "foundation"
    verbose_name = "Access"

    def ready(self) -> None:
        from billing_site.foundation import checks, history_context  # noqa: F401

        # Users and groups stand beside API keys in the sidebar: their pages carry the same title.
        apps.get_app_config("auth").verbose_name = self.verbose_name
