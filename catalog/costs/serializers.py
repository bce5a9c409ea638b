"""How the costs of models are read and written in the API. Costs are strings, exact, in USD for one unit."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.api_fields import Exact, Instant, StrictSerializer, Text, Whole
from billing_site.foundation.money import plain
from catalog.costs.own_costs import Entry
from catalog.models import ModelCost, ProviderModel
from catalog.pricing.model_costs import ALWAYS, CostRow, Hours, ModelCosts
from catalog.pricing.token_types import TOKEN_TYPES

TYPES = ", ".join(TOKEN_TYPES)


class HoursSerializer(StrictSerializer):
    """Hours of the UTC day, [start, end); they may go on past midnight."""

    start = Whole(min_value=0, max_value=23)
    end = Whole(min_value=0, max_value=23)


class CostRowSerializer(serializers.Serializer[Any]):
    """What holds of one token type, for requests with more input tokens than `above`."""

    token_type = serializers.CharField(help_text="One of docs/model-costs.md: input, output, cache_read …")
    above = serializers.IntegerField(help_text="0, or the size of input above which this is the price.")
    hours = HoursSerializer(allow_null=True, help_text="The hours of the UTC day of which it is; null: all.")
    unit = serializers.SerializerMethodField(help_text="Of which the cost is of one: token, request, hour …")
    cost = serializers.SerializerMethodField(help_text="USD for one unit; null where the row says that there is none.")
    source = serializers.CharField(help_text="own, or package; own goes first.")  # type: ignore[assignment]
    effective_from = serializers.SerializerMethodField(help_text="The hour from which on it holds; null: always.")

    def get_unit(self, row: CostRow) -> str:
        return TOKEN_TYPES[row.token_type].unit if row.token_type in TOKEN_TYPES else ""

    def get_cost(self, row: CostRow) -> str | None:
        return None if row.cost is None else plain(row.cost)

    def get_effective_from(self, row: CostRow) -> datetime | None:
        return None if row.effective_from == ALWAYS else row.effective_from


class RecordedSerializer(CostRowSerializer):
    """A row as it was recorded. `action`: costs; ends (its source says none any more); withdrawn (undoes that row)."""

    id = serializers.IntegerField()
    action = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    recorded_by = serializers.CharField()
    note = serializers.CharField()

    def to_representation(self, cost: ModelCost) -> dict[str, Any]:  # type: ignore[override]
        row = cost.row
        row.__dict__.update(recorded_by=cost.recorded_by, note=cost.note)
        return super().to_representation(row)


class ModelSerializer(serializers.Serializer[Any]):
    """A model, and what it costs at the instant that was asked for: the row that holds of each type and threshold.

    Give `costs` (by ModelName) and `at` as context.
    """

    name = serializers.CharField(help_text="provider/model")
    provider = serializers.CharField()
    model = serializers.CharField(help_text="The provider's own id.")
    costs = serializers.SerializerMethodField()

    @extend_schema_field(CostRowSerializer(many=True))
    def get_costs(self, model: ProviderModel) -> Any:
        costs: ModelCosts = self.context["costs"][model.key]
        held = costs.current(self.context["at"])
        return CostRowSerializer([held[place] for place in sorted(held)], many=True).data


class WholeModelSerializer(ModelSerializer):
    history = serializers.SerializerMethodField(help_text="All that was recorded, what was recorded last first.")

    @extend_schema_field(RecordedSerializer(many=True))
    def get_history(self, model: ProviderModel) -> Any:
        return RecordedSerializer(self.context["history"], many=True).data


class EntrySerializer(StrictSerializer):
    """An own cost to record. One of the same model, token type, threshold, hours and effective_from takes its place."""

    provider = Text(help_text="The provider's id, for example openai; a new one for what you run yourself.")
    model = Text(help_text="The provider's own id of the model; one that the catalogue does not know is made.")
    token_type = Text(help_text=f"One of: {TYPES}.")
    cost = Exact(allow_null=True, help_text="USD for one unit, at most 15 decimals; null: the package's from then on.")
    above = Whole(required=False, default=0, min_value=0, help_text="Only of requests with more input tokens.")
    hours = HoursSerializer(required=False, allow_null=True, default=None, help_text="Only of these hours of the day.")
    effective_from = Instant(
        required=False,
        allow_null=True,
        default=None,
        help_text="From when on; rounded to the full hour. The next full hour when left out.",
    )
    note = Text(required=False, default="", help_text="For whoever asks later.")

    def entry(self) -> Entry:
        given = dict(self.validated_data)
        hours = given.pop("hours")
        return Entry(**given, hours=Hours(hours["start"], hours["end"]) if hours else None)
