"""Reading the history of configuration: who changed what, and when, from the tables that `history` keeps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models.functions import Coalesce

from billing_site.foundation.change_authors import authors
from billing_site.foundation.change_values import Shower

ACTIONS = {"insert": "added", "update": "changed", "delete": "removed"}
NO_CONTEXT = UUID(int=0)


@dataclass(frozen=True)
class FieldChange:
    """`old` is "" for what was added, `new` is "" for what was removed."""

    label: str
    old: str
    new: str


@dataclass(frozen=True)
class Change:
    """What happened to one row. `kind` is the name of its model, `subject` what the row is called."""

    action: str
    kind: str
    subject: str
    fields: Sequence[FieldChange]


@dataclass(frozen=True)
class Entry:
    """What one person or process did at one instant."""

    at: datetime
    who: str
    changes: Sequence[Change]


@dataclass(frozen=True)
class _Row:
    """A row of a history table, and the one before it of the same object."""

    model: type[models.Model]
    record: models.Model
    before: models.Model | None

    @property
    def moment(self) -> tuple[datetime, UUID]:
        """Rows of one moment were written by one author in one transaction."""
        return _moment(self.record)


def history_model(model: type[models.Model]) -> type[models.Model] | None:
    """The model of the table that keeps `model`'s history; None when it is not tracked."""
    events: Mapping[str, type[models.Model]] = getattr(model, "pgh_event_models", {})
    return next(iter(events.values()), None)


def tracked_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if history_model(model) is not None]


def parts(
    model: type[models.Model],
) -> list[tuple[type[models.Model], "models.ForeignKey[Any, Any]"]]:
    """The tracked models whose rows live and die with a row of `model`, and the key by which they belong to it."""
    return [
        (relation.related_model, relation.field)
        for relation in model._meta.related_objects
        if isinstance(relation.field, models.ForeignKey)
        and relation.on_delete in (models.CASCADE, models.DO_NOTHING)  # DO_NOTHING: the database deletes them
        and isinstance(relation.related_model, type)
        and history_model(relation.related_model) is not None
    ]


def of_object(root: models.Model) -> list[Entry]:
    """Everything that ever happened to an object and its parts, newest first."""
    return _entries(_rows_of(type(root), [root.pk]), parent=type(root))


def latest(kinds: Sequence[type[models.Model]], limit: int, before: datetime | None = None) -> list[Entry]:
    """The newest `limit` entries about some models that were made before an instant, newest first."""
    moments: set[tuple[datetime, UUID]] = set()
    for model in kinds:
        newest = _within(_history(model), None, before).order_by("-pgh_created_at")
        moments.update(
            newest.values_list(
                "pgh_created_at",
                Coalesce("pgh_context_id", models.Value(NO_CONTEXT, models.UUIDField())),
            ).distinct()[:limit]
        )
    since = min((at for at, _ in sorted(moments, reverse=True)[:limit]), default=None)
    return _entries(row for model in kinds for row in _rows_within(model, since, before))[:limit]


def _within(records: "models.QuerySet[Any]", since: datetime | None, before: datetime | None) -> "models.QuerySet[Any]":
    if since is not None:
        records = records.filter(pgh_created_at__gte=since)
    return records if before is None else records.filter(pgh_created_at__lt=before)


def _rows_within(model: type[models.Model], since: datetime | None, before: datetime | None) -> list[_Row]:
    """The rows of a span of time, each with the one before it, which may be older."""
    span = _within(_history(model), since, before)
    wanted = set(span.values_list("pk", flat=True))
    paired = _paired(model, _history(model).filter(pgh_obj_id__in=span.values("pgh_obj_id")))
    return [row for row in paired if row.record.pk in wanted]


def _history(model: type[models.Model]) -> "models.QuerySet[Any]":
    history = history_model(model)
    assert history is not None
    return history._default_manager.all()


def _rows_of(model: type[models.Model], ids: Iterable[Any], belongs: str = "pgh_obj_id") -> Iterator[_Row]:
    rows = list(_paired(model, _history(model).filter(**{f"{belongs}__in": list(ids)})))
    yield from rows
    own = {row.record.pgh_obj_id for row in rows}  # type: ignore[attr-defined]
    if own:
        for part, key in parts(model):
            yield from _rows_of(part, own, key.attname)


def _paired(model: type[models.Model], records: "models.QuerySet[Any]") -> Iterator[_Row]:
    before: dict[Any, models.Model] = {}
    for record in records.order_by("pgh_id"):
        yield _Row(model, record, before.get(record.pgh_obj_id))
        before[record.pgh_obj_id] = record


def _moment(record: Any) -> tuple[datetime, UUID]:
    return record.pgh_created_at, record.pgh_context_id or NO_CONTEXT


def _entries(rows: Iterable[_Row], parent: type[models.Model] | None = None) -> list[Entry]:
    ordered = sorted(rows, key=lambda row: row.moment, reverse=True)
    who = authors({row.record.pgh_context_id for row in ordered})  # type: ignore[attr-defined]
    show = Shower(record for row in ordered for record in (row.record, row.before) if record is not None)
    entries = []
    for (at, context), group in groupby(ordered, key=lambda row: row.moment):
        changes = [_change(row, show, parent) for row in group]
        entries.append(Entry(at, who[None if context == NO_CONTEXT else context], changes))
    return entries


def _change(row: _Row, show: Shower, parent: type[models.Model] | None) -> Change:
    label: str = row.record.pgh_label  # type: ignore[attr-defined]
    kind = str(row.model._meta.verbose_name)
    subject = "" if row.model is parent else show.name(row.model, row.record)
    return Change(ACTIONS[label], kind, subject, list(_field_changes(row, label, show)))


def _field_changes(row: _Row, label: str, show: Shower) -> Iterator[FieldChange]:
    for field in tracked_fields(row.model):
        new = show.value(field, getattr(row.record, field.attname))
        if label == "update" and row.before is not None:
            old = show.value(field, getattr(row.before, field.attname))
            if old != new:
                yield FieldChange(show.label(field), old, new)
        elif label == "insert" and new:
            yield FieldChange(show.label(field), "", new)


def tracked_fields(model: type[models.Model]) -> list["models.Field[Any, Any]"]:
    """The fields of `model` that its history keeps and that tell a person something."""
    history = history_model(model)
    assert history is not None
    kept = {field.name for field in history._meta.get_fields()}
    return [
        field
        for field in model._meta.fields
        if field.name in kept and not field.primary_key and field.name != "created_at"
    ]
