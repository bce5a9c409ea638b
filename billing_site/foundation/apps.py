"""The app `foundation`."""

from django.apps import AppConfig
from django.contrib.auth.apps import AuthConfig


class FoundationConfig(AppConfig):
    default = True
    name = "billing_site.foundation"
    label = "foundation"
    verbose_name = "Access"

    def ready(self) -> None:
        from billing_site.foundation import checks, history_context  # noqa: F401


class UsersConfig(AuthConfig):
    """Django's users and groups, under the title that the sidebar gives them."""

    verbose_name = "Access"
