"""How the values of a history row read to a person."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from billing_site.foundation.money import plain


class Shower:
    """Writes values of history records as text. Names of related rows are read at once, one query per related model."""

    def __init__(self, records: Iterable[models.Model]) -> None:
        wanted: dict[type[models.Model], set[Any]] = defaultdict(set)
        for record in records:
            tracked: type[models.Model] = record.pgh_tracked_model  # type: ignore[attr-defined]
            for field in tracked._meta.fields:
                value = getattr(record, field.attname, None)
                if isinstance(field, models.ForeignKey) and value is not None:
                    wanted[field.remote_field.model].add(value)
        self._related = {model: model._default_manager.in_bulk(ids) for model, ids in wanted.items()}

    def label(self, field: "models.Field[Any, Any]") -> str:
        return str(field.verbose_name).capitalize()

    def name(self, model: type[models.Model], record: models.Model) -> str:
        """What the row called itself at the time: its `str()`, made of the values that the history kept."""
        row = model()
        for field in model._meta.fields:
            if not hasattr(record, field.attname):
                continue
            value = getattr(record, field.attname)
            if isinstance(field, models.ForeignKey) and value in self._related.get(field.remote_field.model, {}):
                setattr(row, field.name, self._related[field.remote_field.model][value])
            else:
                setattr(row, field.attname, value)
        try:
            return str(row)
        except models.ObjectDoesNotExist:  # what it names itself after has been deleted
            return f"{model._meta.verbose_name} {row.pk}"

    def value(self, field: "models.Field[Any, Any]", value: Any) -> str:
        if value is None:
            return ""
        if isinstance(field, models.ForeignKey):
            related = self._related.get(field.remote_field.model, {}).get(value)
            return (
                f"{field.remote_field.model._meta.verbose_name} {value}, deleted" if related is None else str(related)
            )
        if field.choices:
            return str(dict(field.flatchoices).get(value, value))
        return text(value)


def text(value: Any) -> str:
    """A value of a column as text: plain numbers, yes or no, UTC times, lists and objects in one line."""
    written = WRITERS.get(type(value))
    return written(value) if written else str(value)


WRITERS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "yes" if value else "no",
    Decimal: plain,
    datetime: lambda value: f"{value:%Y-%m-%d %H:%M:%S} UTC",
    dict: lambda value: ", ".join(f"{name} = {text(inner)}" for name, inner in value.items()),
    list: lambda value: ", ".join(map(text, value)),
}
