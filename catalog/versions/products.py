"""Products: what is sold. Each verb raises Refused, and then nothing was changed."""

from typing import TypedDict, Unpack

from django.db import transaction
from django.db.models import ProtectedError, Q

from billing_site.foundation.errors import Fault, Refused
from catalog.models import PlanVersion, Product
from catalog.writing import save

MOST_NAMED = 3


class Terms(TypedDict, total=False):
    code: str
    name: str
    description: str
    tax_category: str


def create_product(**terms: Unpack[Terms]) -> Product:
    """A product that nothing charges for yet."""
    return save(Product(**terms))


def change_product(product: Product, **terms: Unpack[Terms]) -> Product:
    """Change what is given and leave the rest. Invoices that are finalized keep what they say."""
    with transaction.atomic():
        changed = Product.objects.select_for_update(no_key=True).get(pk=product.pk)
        for name, value in terms.items():
            setattr(changed, name, value)
        return save(changed)


def delete_product(product: Product) -> None:
    """Throw a product away that no version sells."""
    with transaction.atomic():
        held = Product.objects.select_for_update().get(pk=product.pk)
        sells = Q(charges__product=held) | Q(commitment_product=held)
        versions = PlanVersion.objects.filter(sells).distinct().select_related("plan").order_by("plan__code", "number")
        used = [str(version) for version in versions[: MOST_NAMED + 1]]
        if used:
            more = " and others" if len(used) > MOST_NAMED else ""
            message = f"“{held}” is sold by {', '.join(used[:MOST_NAMED])}{more}: it stays."
            raise Refused(Fault("product_used_conflict", message))
        try:
            held.delete()
        except ProtectedError:  # something else than a version
            raise Refused(Fault("product_used_conflict", f"“{held}” is in use: it stays.")) from None
