"""What all verbs of the catalogue do alike: refuse, save what is whole, and hold a version as a draft."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shapes import at
from catalog.models import PlanVersion
from catalog.pricing.commitment import bound_faults

Saved = TypeVar("Saved", bound=models.Model)


def refuse(faults: Iterable[Fault]) -> None:
    """Raise Refused when there is any fault."""
    found = list(faults)
    if found:
        raise Refused(*found)


def save(instance: Saved) -> Saved:
    """Check an instance by its fields and constraints, and write it. Raises Refused."""
    refuse(model_faults(instance))
    return store(instance)


def store(instance: Saved) -> Saved:
    """Write an instance that was checked. Raises Refused when somebody else was faster with its code."""
    try:
        with transaction.atomic():
            instance.save()
    except IntegrityError:
        refuse(model_faults(instance))
        raise
    return instance


def model_faults(instance: models.Model) -> list[Fault]:
    """What is wrong with an instance by its fields and constraints."""
    try:
        instance.full_clean()
    except ValidationError as error:
        return list(_faults(error, instance))
    return []


def locked_draft(version_id: int) -> PlanVersion:
    """The version, held as a draft until the transaction ends. Raises Refused when it was published."""
    version = PlanVersion.objects.select_for_update(no_key=True).get(pk=version_id)
    if version.status != PlanVersion.Status.DRAFT:
        message = f"Version {version.number} was published and never changes: clone it and change the clone."
        raise Refused(Fault("version_published_conflict", message, "version"))
    return version


def all_faults(found: Iterable[Fault], instance: models.Model) -> list[Fault]:
    """What was found, and what is wrong by fields and constraints; each field is told of once.

    A constraint that has no words for people says nothing beside what was found.
    """
    found = list(found)
    told = {fault.field for fault in found}
    further = [fault for fault in model_faults(instance) if fault.field not in told]
    return [*found, *(fault for fault in further if not (found and fault.message.startswith("Constraint “")))]


class Gathered:
    """The faults of several verbs, each at its place."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """What is refused inside did not happen, and is told with everything else."""
        try:
            with transaction.atomic():
                yield
        except Refused as refused:
            for fault in refused.faults:
                self.add(fault, place)

    def add(self, fault: Fault, place: str) -> None:
        self.faults.append(replace(fault, field=at(place, fault.field).rstrip(".")))


def _faults(error: ValidationError, instance: models.Model) -> Iterator[Fault]:
    for name, errors in error.error_dict.items():
        for each in errors:
            field = None if name == NON_FIELD_ERRORS else instance._meta.get_field(name)
            bounds = _bounds(instance) if field is None and each.message == ABOVE_CAP else []
            yield from bounds
            for message in () if bounds else each.messages:
                said = message if field is None else _in_words(each.code, message, instance, field)
                yield Fault(_CODES.get(each.code or "", each.code or "invalid"), said, "" if field is None else name)


# What constraints say, which name no values.
ABOVE_CAP = "The minimum is above the cap."
_CODES = {"unique": "code_taken"}


def _bounds(instance: models.Model) -> list[Fault]:
    return list(bound_faults(getattr(instance, "minimum", None), getattr(instance, "cap", None)))


def _in_words(code: str | None, message: str, instance: models.Model, field: Any) -> str:
    """Django's own messages name neither the field nor the value."""
    label, value = str(field.verbose_name).capitalize(), getattr(instance, field.name)
    if code in ("blank", "null"):
        return f"{label} is empty: fill it in."
    if code == "max_length":
        return f"{label} has {len(value):,} characters: {field.max_length:,} can be stored."
    if code == "unique":
        what = str(instance._meta.verbose_name)
        return f"There is a {what} “{value}” already: choose another {field.verbose_name}."
    if code in ("invalid", "invalid_choice", "min_value", "max_digits", "max_decimal_places", "max_whole_digits"):
        return f"{label} cannot be “{str(value)[:60]}”: {message[:1].lower()}{message[1:]}"
    return message
