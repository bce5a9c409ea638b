"""What tests of the API's features share with those of customers."""

from tests.customers.conftest import caller

__all__ = ["caller"]
