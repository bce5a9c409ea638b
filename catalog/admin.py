"""The operator's pages of the catalogue, one module each."""

from catalog.costs.admin import ProviderModelAdmin
from catalog.coupons.admin import CouponAdmin
from catalog.features.admin import FeatureAdmin
from catalog.grid.charge_admin import ChargeAdmin
from catalog.plans.admin import PlanAdmin
from catalog.plans.product_admin import ProductAdmin
from catalog.plans.version_admin import PlanVersionAdmin

__all__ = [
    "ChargeAdmin",
    "CouponAdmin",
    "FeatureAdmin",
    "PlanAdmin",
    "PlanVersionAdmin",
    "ProductAdmin",
    "ProviderModelAdmin",
]
