"""What all verbs of the catalogue do alike: refuse, save what is whole, and hold a version as a draft."""

from collections.abc import Iterable
from typing import TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from billing_site.foundation.errors import Fault, Refused
from catalog.models import PlanVersion

Saved = TypeVar("Saved", bound=models.Model)


def refuse(faults: Iterable[Fault]) -> None:
    """Raise Refused when there is any fault."""
    found = list(faults)
    if found:
        raise Refused(*found)


def save(instance: Saved) -> Saved:
    """Check an instance by its fields and constraints, and write it. Raises Refused."""
    try:
        instance.full_clean()
    except ValidationError as error:
        raise Refused(*_faults(error)) from None
    instance.save()
    return instance


def locked_draft(version_id: int) -> PlanVersion:
    """The version, held as a draft until the transaction ends. Raises Refused when it was published."""
    version = PlanVersion.objects.select_for_update(no_key=True).get(pk=version_id)
    if version.status != PlanVersion.Status.DRAFT:
        message = f"Version {version.number} was published and never changes: clone it and change the clone."
        raise Refused(Fault("version_published_conflict", message, "version"))
    return version


def _faults(error: ValidationError) -> Iterable[Fault]:
    for field, errors in error.error_dict.items():
        for each in errors:
            for message in each.messages:
                yield Fault(each.code or "invalid", message, "" if field == NON_FIELD_ERRORS else field)
