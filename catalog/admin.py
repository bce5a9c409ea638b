"""The operator's pages of the catalogue, one module each."""

from catalog.charge_admin import ChargeAdmin
from catalog.cost_admin import ProviderModelAdmin
from catalog.coupon_admin import CouponAdmin
from catalog.feature_admin import FeatureAdmin
from catalog.plan_admin import PlanAdmin
from catalog.product_admin import ProductAdmin
from catalog.version_admin import PlanVersionAdmin

__all__ = [
    "ChargeAdmin",
    "CouponAdmin",
    "FeatureAdmin",
    "PlanAdmin",
    "PlanVersionAdmin",
    "ProductAdmin",
    "ProviderModelAdmin",
]
