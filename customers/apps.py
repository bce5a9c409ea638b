"""The app `customers`."""

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    label = "customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        from catalog.costs import agreed
        from catalog.plans import earlier
        from customers.deals import touched
        from customers.subscriptions import planned_moves

        agreed.tell(touched.agreed)
        earlier.tell(planned_moves.earlier)
