"""How features are written and read in the API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.api_fields import StrictSerializer, Text
from catalog.features.models import Feature


@extend_schema_field({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}})
class FiltersField(serializers.DictField):
    """{dimension: [value, …]}"""

    child = serializers.ListField(child=Text(), allow_empty=False)
    default_error_messages = {"not_a_dict": "Send an object of lists, for example {{“model”: [“model-a”]}}."}


class MeterField(Text):
    """The code of a meter."""

    def get_attribute(self, instance: Feature) -> str | None:
        return instance.meter.code if instance.meter else None


class FeatureSerializer(StrictSerializer):
    """A feature. What may be left out has a default."""

    code = Text(help_text="A short name for programs: lower-case letters, digits, “_”, “.”, “-”.")
    name = Text(help_text="As people know it.")
    description = Text(required=False)
    kind = serializers.ChoiceField(choices=Feature.Kind.choices, help_text="It stays as it is.")
    meter = MeterField(
        required=False, allow_null=True, help_text="The code of the meter whose usage a number counts; null: none."
    )
    filters = FiltersField(
        required=False,
        help_text="Of the meter's usage only that at these values of its dimensions; an empty text: without a value.",
    )
    window = serializers.ChoiceField(
        choices=Feature.Window.choices,
        required=False,
        allow_blank=True,
        help_text="How long use is added up before it begins anew. Empty without a meter.",
    )
    several = serializers.ChoiceField(
        choices=Feature.Several.choices,
        required=False,
        help_text="What counts when several subscriptions of a customer give a number; highest when left out.",
    )
    allowed = serializers.ListField(
        child=Text(), required=False, help_text="The values that a list can have; of a list, at least one."
    )
    frozen_at = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        help_text="Since when a published version or a customer has it; null: nobody does.",
    )
    created_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Any) -> Any:
        shown = super().to_representation(instance)
        return {**shown, "filters": instance.filters}
