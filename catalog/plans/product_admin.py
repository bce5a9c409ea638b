"""The operator's page of products."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from catalog.admin_pages import NamedPage
from catalog.models import Product
from catalog.versions import products


@admin.register(Product)
class ProductAdmin(NamedPage):
    empty_text = "A product is what you sell, for example “Chatbot API”. Every charge of a plan belongs to one."
    list_display = ("name", "code", "tax_category", "created_at")
    list_filter = ("tax_category",)
    search_fields = ("name", "code")
    search_help_text = "Name or code"
    fields = ("name", "code", "description", "tax_category")

    def save_model(self, request: HttpRequest, obj: Product, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        given: dict[str, Any] = {name: form.cleaned_data[name] for name in form.changed_data}
        saved = products.change_product(obj, **given) if change else products.create_product(**form.cleaned_data)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        products.delete_product(obj)
