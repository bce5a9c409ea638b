"""The app `invoicing`."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class InvoicingConfig(AppConfig):
    name = "invoicing"
    label = "invoicing"
    verbose_name = "Invoicing"

    def ready(self) -> None:
        from customers.deals import closed as what_is_closed
        from invoicing import closed

        post_migrate.connect(make_default_series, sender=self)
        what_is_closed.tell(closed.of)


def make_default_series(using: str, **kwargs: Any) -> None:
    """After every migration there is a series to take numbers from. It is never changed once it is there."""
    from invoicing.models import NumberSeries

    NumberSeries.objects.using(using).get_or_create(code=NumberSeries.DEFAULT, defaults={"prefix": "INV-"})
