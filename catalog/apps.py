"""The app `catalog`."""

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    name = "catalog"
    label = "catalog"
    verbose_name = "Catalogue"
