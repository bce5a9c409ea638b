"""The forms in which operators choose a file and say what its columns mean. What is wrong is said by the verbs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from django import forms
from django.forms import BoundField
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from billing_site.foundation.errors import Fault
from billing_site.foundation.periods import timezones
from meters.files.mapping import CONSTANTS, PROPERTY, Mapping
from meters.models import Upload

AS_PROPERTY = "property"
ENDINGS = ".csv,.tsv,.txt,.json,.jsonl,.ndjson,.gz"
TARGETS = [
    ("", "Left out"),
    ("reference", "Reference"),
    ("type", "Type"),
    ("customer", "Customer"),
    ("timestamp", "Timestamp"),
    ("value", "Value"),
    ("status", "Status"),
    ("subscription", "Subscription"),
    (AS_PROPERTY, "Property, called …"),
]


class FileForm(forms.Form):
    """The file itself. An empty one is refused by the verb, as all others are that cannot be read."""

    file = forms.FileField(
        label="File of events",
        allow_empty_file=True,
        error_messages={"required": "Choose a file."},
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ENDINGS}),
    )


@dataclass(frozen=True)
class Column:
    """One column of the file, for the page: its name, what stands in its first rows, and its two fields."""

    name: str
    samples: list[str]
    target: BoundField
    property: BoundField


class MappingForm(forms.Form):
    """Two fields for each column (what it is; the property's name), constants, and the timezone."""

    def __init__(self, upload: Upload, data: Any = None) -> None:
        self.upload, self.columns = upload, list(upload.columns)
        mapping = msgspec.convert(upload.mapping or {}, Mapping)
        super().__init__(data, initial=dict(_initial(mapping, self.columns)))
        for number, column in enumerate(self.columns):
            named = UnfoldAdminSelectWidget(attrs={"aria-label": f"What “{column}” is"})
            self.fields[f"target-{number}"] = forms.ChoiceField(choices=TARGETS, required=False, widget=named)
            self.fields[f"property-{number}"] = _text(f"Name of the property that “{column}” is")
        for name in CONSTANTS:
            self.fields[f"constant-{name}"] = _text(name.capitalize())
        self.fields["properties"] = forms.CharField(
            required=False, label="Properties", widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), strip=False
        )
        zones = [(zone, zone) for zone in sorted(timezones())]
        self.fields["timezone"] = forms.ChoiceField(
            choices=zones, initial="UTC", label="Timezone", widget=UnfoldAdminSelectWidget
        )

    def shown_columns(self) -> Iterator[Column]:
        for number, column in enumerate(self.columns):
            samples = [row[column] for row in self.upload.samples if row.get(column)]
            yield Column(column, samples, self[f"target-{number}"], self[f"property-{number}"])

    def shown_constants(self) -> list[BoundField]:
        return [self[f"constant-{name}"] for name in CONSTANTS]

    def mapping(self) -> Mapping:
        """As the verbs take it. Call it when the form is valid."""
        given = self.cleaned_data
        columns = {}
        for number, column in enumerate(self.columns):
            target = given[f"target-{number}"]
            columns[column] = f"{PROPERTY}{given[f'property-{number}']}" if target == AS_PROPERTY else target
        constants = {name: given[f"constant-{name}"] for name in CONSTANTS if given[f"constant-{name}"]}
        constants |= {f"{PROPERTY}{name}": value for name, value in given["properties"]}
        return Mapping({name: target for name, target in columns.items() if target}, constants, given["timezone"])

    def clean_properties(self) -> list[tuple[str, str]]:
        lines = [line for line in self.cleaned_data["properties"].splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        for line, (name, equals, value) in zip(lines, pairs, strict=True):
            if not (equals and name.strip() and value.strip()):
                raise forms.ValidationError(f"“{line[:60]}” is no “name = value”: write one property to a line.")
        found = [(name.strip(), value.strip()) for name, _, value in pairs]
        if len({name for name, _ in found}) < len(found):
            raise forms.ValidationError("A property is given twice: leave one.")
        return found

    def tell(self, faults: Iterable[Fault]) -> None:
        """Show each fault at its field, or above all."""
        for fault in faults:
            self.add_error(self._place(fault), forms.ValidationError(fault.message, code=fault.code))

    def _place(self, fault: Fault) -> str | None:
        if fault.field in self.columns:
            number = self.columns.index(fault.field)
            return f"{'property' if fault.code.endswith('_name') else 'target'}-{number}"
        if fault.field.startswith(PROPERTY):
            return "properties"
        names = (f"constant-{fault.field}", fault.field)
        return next((name for name in names if name in self.fields), None)


def _text(label: str) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"aria-label": label})
    return forms.CharField(required=False, max_length=255, label=label, widget=widget)


def _initial(mapping: Mapping, columns: list[str]) -> Iterator[tuple[str, str]]:
    for number, column in enumerate(columns):
        target = mapping.columns.get(column, "")
        is_property = target.startswith(PROPERTY)
        yield f"target-{number}", AS_PROPERTY if is_property else target
        yield f"property-{number}", target.removeprefix(PROPERTY) if is_property else column
    constants = mapping.constants.items()
    yield from ((f"constant-{name}", text) for name, text in constants if not name.startswith(PROPERTY))
    named = [f"{name.removeprefix(PROPERTY)} = {text}" for name, text in constants if name.startswith(PROPERTY)]
    yield "properties", "\n".join(named)
    yield "timezone", mapping.timezone
