"""History of configuration: who changed what, and when, kept by triggers, so that SQL writes are seen too."""

from collections.abc import Callable
from typing import TypeVar

import pghistory
from django.db import models

ModelClass = TypeVar("ModelClass", bound=type[models.Model])


def tracked(*, exclude: list[str] | None = None) -> Callable[[ModelClass], ModelClass]:
    """Keep every insert, update and delete of a model in a table `<Model>History`."""

    def decorate(model: ModelClass) -> ModelClass:
        decorated: ModelClass = pghistory.track(
            pghistory.InsertEvent(),
            pghistory.UpdateEvent(),
            pghistory.DeleteEvent(),
            model_name=f"{model.__name__}History",
            exclude=exclude,
        )(model)
        return decorated

    return decorate
