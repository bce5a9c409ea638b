"""The costs of models, as a task."""

from celery import shared_task

from catalog.costs import reading as cost_reading


@shared_task(name="catalog.refresh_model_costs")
def refresh_model_costs() -> None:
    """By beat, more often than needed: once a day the newest costs are read, where there is a network."""
    cost_reading.refresh_if_due()
