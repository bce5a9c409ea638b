"""The operator's pages, one module each."""

from customers.customer_admin import CustomerAdmin
from customers.deal_admin import NegotiatedTermAdmin, RedemptionAdmin
from customers.override_admin import OverrideAdmin
from customers.plan_move_admin import PlanMoveAdmin
from customers.subscription_admin import SubscriptionAdmin
from customers.unknown_admin import UnknownCustomerAdmin

__all__ = [
    "CustomerAdmin",
    "NegotiatedTermAdmin",
    "OverrideAdmin",
    "PlanMoveAdmin",
    "RedemptionAdmin",
    "SubscriptionAdmin",
    "UnknownCustomerAdmin",
]
