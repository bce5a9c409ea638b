"""Which customer somebody means who types a part of a reference or name."""

from customers.models import Alias, Customer

CUSTOMERS_OFFERED = 20


def customers_like(text: str) -> list[Customer]:
    """Whom `text` may mean: the one that has it as a reference; else those whose reference or name has it in it.

    Two queries, of few rows.
    """
    if not text or "\0" in text:
        return []
    own = Alias.objects.filter(reference=text).select_related("customer").first()
    if own is not None:
        return [own.customer]
    begin = Alias.objects.filter(reference__startswith=text).order_by("reference").select_related("customer")
    named = Customer.objects.filter(name__icontains=text).order_by("reference")
    found = [*(alias.customer for alias in begin[:CUSTOMERS_OFFERED]), *named[:CUSTOMERS_OFFERED]]
    return list({customer.pk: customer for customer in found}.values())[:CUSTOMERS_OFFERED]
