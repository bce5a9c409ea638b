"""Tallybook: the site that joins the rooms."""

from billing_site.celery import app as celery_app

__all__ = ["celery_app"]
