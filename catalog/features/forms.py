"""The forms in which operators write features, and values of them. What is wrong is said by the checks of the verbs."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from billing_site.foundation.money import plain
from billing_site.foundation.typed_numbers import unread
from catalog.features import checks
from catalog.features.models import Feature
from catalog.features.values import ALL_OF, Kind, Value, written
from catalog.forms import show_faults
from meters.models import Meter

SEPARATOR = ":"


class LinesField(forms.CharField):
    """A list of texts, one on each line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextareaWidget({"rows": 6}), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in str(value or "").splitlines()]
        return [line for line in lines if line]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class FiltersField(forms.CharField):
    """{dimension: values}, a dimension on each line: “model: model-a, model-b”."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextareaWidget({"rows": 3}), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}{SEPARATOR} {', '.join(values)}" for name, values in value.items())

    def to_python(self, value: Any) -> Any:
        filters: dict[str, list[str]] = {}
        for line in str(value or "").splitlines():
            name, there, values = line.partition(SEPARATOR)
            if not line.strip():
                continue
            if not there:
                message = f"“{line.strip()[:60]}” names no values: write a dimension, “:” and its values, one a line."
                raise forms.ValidationError(message, code="filters_unreadable")
            filters.setdefault(name.strip(), []).extend(text.strip() for text in values.split(","))
        return filters

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or {}) != self.to_python(data))
        except forms.ValidationError:
            return True


class FeatureForm(forms.ModelForm):
    """A feature, of which a page shows the fields of its kind."""

    class Meta:
        model = Feature
        fields = ("kind", "name", "code", "description", "meter", "window", "filters", "several", "allowed")
        widgets = {"kind": forms.HiddenInput}
        labels = {"meter": "Counts the meter", "window": "Begins anew every", "several": "With several subscriptions"}
        help_texts = {
            "meter": "Whose usage is held against the number. Empty: a plain number, for example of seats.",
            "window": "How long usage is added up before it begins at 0 again; by the customer's clock.",
            "several": "What a customer has when more than one of its subscriptions gives a number.",
        }

    filters = FiltersField(
        required=False,
        label="Only usage with",
        help_text="Empty: all usage of the meter. Else a dimension on each line, and its values: “model: model-a”.",
    )
    allowed = LinesField(
        required=False,
        label="Values",
        help_text="One on each line, exactly as your program names them, for example model-a.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.frozen_at is not None:
            del self.fields["filters"]  # shown, and kept as it is
        if "meter" in self.fields:
            filling = Meter.objects.filter(aggregation__in=checks.FILLS_UP)
            self.fields["meter"].queryset = filling  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return given
        before = Feature.objects.filter(pk=self.instance.pk).first()
        after = Feature.objects.filter(pk=self.instance.pk).first() or Feature()
        for field, value in given.items():
            setattr(after, field, value)
        show_faults(self, [] if before is None else checks.change_faults(before, after))
        if not self.errors:
            show_faults(self, checks.feature_faults(after))
        return given

    def _post_clean(self) -> None:
        """The verb writes the row, checked by it; a form that is half wrong is not validated twice."""
        if self.errors:
            return
        super()._post_clean()  # type: ignore[misc]


class NumberField(forms.CharField):
    """A number in plain digits, or “unlimited”; what it may be is said by the verbs."""

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if "," in text:
            raise forms.ValidationError(unread(text), code="invalid")
        return text.lower() if text.lower() == ALL_OF[Kind.NUMBER] else text or None


class TextsField(forms.MultipleChoiceField):
    """Values of a list, or any of them."""

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        return ALL_OF[Kind.LIST] if ALL_OF[Kind.LIST] in chosen else chosen or None


def value_field(feature: Feature, *, required: bool = False, **kwargs: Any) -> forms.Field:
    """The field for a value of the feature, as the verbs take it; None for nothing. Reads the feature's meter."""
    given = {"label": feature.name, "required": required, **kwargs}
    if feature.kind == Kind.SWITCH:
        choices = [("", "–" if required else "– not given"), ("on", "on"), ("off", "off")]
        return forms.TypedChoiceField(
            choices=choices,
            coerce=lambda text: text == "on",
            empty_value=None,
            widget=UnfoldAdminSelectWidget,
            **given,
        )
    if feature.kind == Kind.NUMBER:
        unit = f", in {feature.meter.unit}" if feature.meter else ""
        about = f"A number{unit}, or “unlimited”." + ("" if required else " Empty: not given.")
        return NumberField(widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}), help_text=about, **given)
    every = (ALL_OF[Kind.LIST], "any, also one that is added later")
    return TextsField(
        choices=[every, *((text, text) for text in feature.allowed)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="" if required else "Tick none when it is not given.",
        **given,
    )


def shown(feature: Feature, value: Value) -> Any:
    """A value as its field shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if feature.kind == Kind.NUMBER:
        return plain(value) if isinstance(value, Decimal) else ALL_OF[Kind.NUMBER]
    texts = written(Kind.LIST, value)
    return [texts] if isinstance(texts, str) else texts
