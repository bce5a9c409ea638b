"""The API's part of the catalogue."""

from catalog import (
    charge_api,
    cost_api,
    coupon_api,
    document_api,
    feature_api,
    plan_api,
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
