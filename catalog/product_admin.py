"""The operator's page of products."""

from django.contrib import admin

from catalog.admin_pages import NamedPage
from catalog.models import Product


@admin.register(Product)
class ProductAdmin(NamedPage):
    empty_text = "A product is what you sell, for example “Chatbot API”. Every charge of a plan belongs to one."
    list_display = ("name", "code", "tax_category", "created_at")
    list_filter = ("tax_category",)
    search_fields = ("name", "code")
    search_help_text = "Name or code"
    fields = ("name", "code", "description", "tax_category")
