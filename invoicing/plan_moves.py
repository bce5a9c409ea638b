"""Subscriptions are moved to another version once what comes before is invoiced.

A draft is priced by the version that its subscription has. So whoever is to be moved with a new period waits until the
drafts of earlier ones are final: they are priced by the version that held in them.
"""

from django.db.models import Exists, OuterRef, Q

from customers.subscriptions import plan_moves
from invoicing.models import Invoice


def apply_due(limit: int) -> int:
    """Move those whose time has come, `limit` at most; how many were. Each is a transaction of its own."""
    drafts = Invoice.objects.filter(subscription=OuterRef("subscription"), status=Invoice.Status.DRAFT)
    ready = plan_moves.due().filter(Q(not_before=None) | ~Exists(drafts))
    return sum(plan_moves.apply(item) for item in list(ready.values_list("pk", flat=True)[:limit]))
