"""History of configuration: who changed what, and when, kept by triggers, so that SQL writes are seen too."""

from collections.abc import Callable
from typing import TypeVar

import pghistory
import pgtrigger
from django.db import models

ModelClass = TypeVar("ModelClass", bound=type[models.Model])

# Rows of a history are appended, never changed or deleted (settings: PGHISTORY_APPEND_ONLY); nor emptied away.
HISTORY_KEPT = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func="""
        RAISE EXCEPTION 'What was configured, and its history, is kept: % cannot be emptied away.', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', CONSTRAINT = 'history_kept';
    """,
)


def tracked(*, exclude: list[str] | None = None) -> Callable[[ModelClass], ModelClass]:
    """Keep every insert, update and delete of a model in a table `<Model>History`."""

    def decorate(model: ModelClass) -> ModelClass:
        decorated: ModelClass = pghistory.track(
            pghistory.InsertEvent(),
            pghistory.UpdateEvent(),
            pghistory.DeleteEvent(),
            model_name=f"{model.__name__}History",
            exclude=exclude,
            meta={"triggers": [HISTORY_KEPT]},
        )(model)
        return decorated

    return decorate
