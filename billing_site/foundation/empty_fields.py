"""What forms say of a field that was left empty: which it is, and what to do. Django's own words name neither."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.forms.utils import pretty_name
from django.utils.text import capfirst

STOCK = forms.Field.default_error_messages["required"]
_NO_NUMBER = forms.IntegerField.default_error_messages["invalid"]
# The first kind that fits: some are kinds of those below them.
_HOW: tuple[tuple[type[forms.Field], str], ...] = (
    (forms.MultipleChoiceField, "tick at least one"),
    (forms.ModelMultipleChoiceField, "choose at least one"),
    (forms.ChoiceField, "choose one"),
    (forms.BooleanField, "tick it"),
    (forms.DateField, "choose a day"),
    (forms.DurationField, "write hours:minutes:seconds, for example 01:00:00"),
    (forms.IntegerField, "write a number"),
    (SimpleArrayField, "write one, or several with commas between them"),
)
_ITEM = "Place %(nth)s:"


def name_fields(fields: Mapping[str, forms.Field]) -> None:
    """Give each field words of its own for when it is empty. One that has such words keeps them."""
    for name, field in fields.items():
        if field.error_messages["required"] == STOCK:
            label = str(field.label or pretty_name(name)).strip("“”")
            field.error_messages["required"] = f"“{capfirst(label)}” is empty: {how(field)}."
        if isinstance(field, forms.IntegerField) and field.error_messages["invalid"] == _NO_NUMBER:
            label = str(field.label or pretty_name(name)).strip("“”")
            field.error_messages["invalid"] = f"“{capfirst(label)}” is no whole number: write it in digits alone."
        if isinstance(field, SimpleArrayField):
            field.error_messages["item_invalid"] = _ITEM
            field.base_field.error_messages |= {
                "required": "nothing is there. Take away a comma, or write what is missing.",
                "invalid": "that is no number. Write it in digits, for example 200000.",
            }


def how(field: forms.Field) -> str:
    """What is to be done with an empty field of this kind."""
    return next((words for kind, words in _HOW if isinstance(field, kind)), "write it")


class NamedFields:
    """Mix into a form whose fields may be left empty."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self.fields)
