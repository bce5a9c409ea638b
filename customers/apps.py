"""The app `customers`."""

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    label = "customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        from catalog.costs import agreed
        from customers.deals import touched

        agreed.tell(touched.agreed)
