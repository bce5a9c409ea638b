"""The app `meters`."""

from django.apps import AppConfig


class MetersConfig(AppConfig):
    name = "meters"
    label = "meters"
    verbose_name = "Events & usage"

    def ready(self) -> None:
        from meters import arrays

        arrays.register()
