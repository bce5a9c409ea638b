"""The API's part of the catalogue."""

from catalog.costs import api as cost_api
from catalog.coupons import api as coupon_api
from catalog.features import api as feature_api
from catalog.plans import api as plan_api
from catalog.plans import (
    charge_api,
    document_api,
    price_list_api,
    product_api,
    publishing_api,
    version_api,
)

urlpatterns = [
    *product_api.urlpatterns,
    *plan_api.urlpatterns,
    *version_api.urlpatterns,
    *publishing_api.urlpatterns,
    *price_list_api.urlpatterns,
    *charge_api.urlpatterns,
    *document_api.urlpatterns,
    *cost_api.urlpatterns,
    *coupon_api.urlpatterns,
    *feature_api.urlpatterns,
]
