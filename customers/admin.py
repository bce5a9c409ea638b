"""The operator's pages, one module each."""

from customers.accounts.admin import CustomerAdmin
from customers.accounts.subscription_admin import SubscriptionAdmin
from customers.accounts.unknown_admin import UnknownCustomerAdmin
from customers.deals.admin import NegotiatedTermAdmin, RedemptionAdmin
from customers.entitlements.admin import OverrideAdmin
from customers.subscriptions.plan_move_admin import PlanMoveAdmin

__all__ = [
    "CustomerAdmin",
    "NegotiatedTermAdmin",
    "OverrideAdmin",
    "PlanMoveAdmin",
    "RedemptionAdmin",
    "SubscriptionAdmin",
    "UnknownCustomerAdmin",
]
