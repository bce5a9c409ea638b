"""What of a subscription is invoiced for good, for `customers`, which does not know invoices."""

from django.db.models import Max, Q
from django.db.models.functions import Coalesce

from billing_site.foundation.periods import Period
from customers.deals.closed import Closed
from invoicing.models import Invoice

CLOSED = (Invoice.Status.FINALIZED, Invoice.Status.EMPTY)


def of(subscription: int) -> Closed:
    """Two queries."""
    invoices = Invoice.objects.filter(subscription=subscription)
    found = invoices.filter(status__in=CLOSED).aggregate(
        arrears=Max("period_end", filter=Q(kind=Invoice.Kind.PERIOD)),
        advance=Max(Coalesce("advance_end", "period_end")),
        boundary=Max("period_end"),
    )
    drafts = invoices.filter(status=Invoice.Status.DRAFT).values_list("period_start", "period_end")
    return Closed(**found, drafts=[Period(*each) for each in drafts.order_by("period_end")])
