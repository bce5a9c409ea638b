"""The forms in which operators write meters. What is wrong is said by the checks of the verbs."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from unfold.widgets import UnfoldAdminTextInputWidget

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from billing_site.foundation.typed_numbers import unread
from meters.definitions import drafts
from meters.definitions.drafts import BandDraft, DimensionDraft, FilterDraft, ValueDraft
from meters.models import Aggregation, MeterBand, MeterFilter, MeterValue, Rounding


class PartFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """Values, dimensions or filters of one meter, checked together with it; a fault is shown at its field."""

    draft: type
    names: tuple[str, ...]

    def kept(self) -> list[forms.ModelForm]:
        """The filled-in forms that stay, in order."""
        filled = [form for form in self.forms if form.has_changed() or form.instance.pk]
        return [form for form in filled if form.is_valid() and not form.cleaned_data.get("DELETE")]

    def drafted(self) -> tuple[Any, ...]:
        """Each as the verbs take it."""
        return tuple(self.draft(*(_given(form, name) for name in self.names)) for form in self.kept())

    def faults(self) -> Iterable[Fault]:
        return ()

    def clean(self) -> None:
        if self.instance.frozen_at is not None:  # then nothing of it is taken
            return
        # What cannot be read yet may be what all of them lack, and hides what is wrong with none of the others.
        kept, whole, partly = self.kept(), [], any(self.errors)
        for fault in self.faults():
            _, *place = fault.field.split(".")
            if len(place) == 2:
                kept[int(place[0])].add_error(place[1], ValidationError(fault.message, code=fault.code))
            else:
                whole.append(ValidationError(fault.message, code=fault.code))
        if whole and not partly:
            raise ValidationError(whole)
        super().clean()


def _given(form: forms.ModelForm, name: str) -> Any:
    """What is to be stored: of a form that somebody may only look at, what is stored."""
    value = form.cleaned_data[name] if form.has_changed() else getattr(form.instance, name)
    return tuple(value) if isinstance(value, list) else value


class ValueFormSet(PartFormSet):
    draft, names = ValueDraft, ("label", "property", "plus")

    def faults(self) -> Iterable[Fault]:
        return drafts.value_faults(self.instance.aggregation, self.instance.label_dimension, self.drafted())


class DimensionFormSet(PartFormSet):
    draft, names = DimensionDraft, ("name", "property", "status")

    def faults(self) -> Iterable[Fault]:
        return drafts.dimension_faults(self.instance.label_dimension, self.drafted())


class BandFormSet(PartFormSet):
    """That no dimension has the name of a band is said by the verb, which sees both."""

    draft, names = BandDraft, ("name", "properties", "thresholds")

    def faults(self) -> Iterable[Fault]:
        return drafts.band_faults([self.instance.label_dimension], self.drafted())


class FilterFormSet(PartFormSet):
    """Its one rule is a constraint of the model, which its form says."""

    draft, names = FilterDraft, ("property", "operator", "values")


class MeterForm(forms.ModelForm):
    """Fields that do not matter to the aggregation are not shown, and mean nothing whatever they hold."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "aggregation" in given and given["aggregation"] != Aggregation.WEIGHTED_SUM:
            given |= {"value_kind": "", "recurring": False}
        if given.get("rounding") == Rounding.NONE:
            given["rounding_places"] = 0
        elif given.get("rounding_places", 0) is None:
            self.add_error("rounding_places", "Say to how many decimal places: 0 rounds to whole numbers.")
        if given.get("aggregation") == Aggregation.WEIGHTED_SUM and not given.get("value_kind"):
            self.add_error("value_kind", "Say whether the values of events are levels or deltas.")
        return given


class ValueForm(forms.ModelForm):
    class Meta:
        model = MeterValue
        fields = ("label", "property", "plus")
        widgets = {"plus": UnfoldAdminTextInputWidget}


class FilterForm(forms.ModelForm):
    class Meta:
        model = MeterFilter
        fields = ("property", "operator", "values")
        widgets = {"values": UnfoldAdminTextInputWidget}


class ThresholdField(forms.DecimalField):
    """One of the numbers of a band: quoted when it is none, and shown without zeros that nobody wrote."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            raise ValidationError("It is empty: write a number, or leave its comma out.", code="required")
        try:
            number = super().to_python(value)
        except ValidationError:
            raise ValidationError(unread(value), code="invalid") from None
        return number

    def prepare_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, Decimal) else value


class BandForm(forms.ModelForm):
    class Meta:
        model = MeterBand
        fields = ("name", "properties", "thresholds")
        widgets = {"properties": UnfoldAdminTextInputWidget}

    thresholds = SimpleArrayField(
        ThresholdField(max_digits=30, decimal_places=12),
        widget=UnfoldAdminTextInputWidget,
        help_text=str(MeterBand._meta.get_field("thresholds").help_text),
    )
