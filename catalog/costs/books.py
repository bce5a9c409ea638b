"""What models cost: the way from the tables to the pure `ModelCosts`. Reads only.

Whoever bills by a cost asks `cut_off` first, bills by `load(…, known_at=…)` and keeps that instant: the same question
has the same answer for ever, whatever is recorded later.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from billing_site.foundation import clock
from billing_site.foundation.periods import Period
from catalog.costs.names import names
from catalog.models import CostClock, ModelCost, ProviderModel
from catalog.pricing.model_costs import ALWAYS, CostRow, ModelCosts
from catalog.pricing.model_names import ModelName


@dataclass(frozen=True)
class CostBook:
    """The costs of models by the names that were asked for. A name that means no model is in `unknown`."""

    models: Mapping[str, ModelCosts]
    unknown: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> ModelCosts:
        return self.models[name]

    def __contains__(self, name: str) -> bool:
        return name in self.models


def cut_off() -> datetime:
    """The instant up to which everything that was recorded can be seen, and nothing will be added. One query."""
    return CostClock.objects.values_list("last", flat=True).first() or ALWAYS


def load(asked: Iterable[str], period: Period | None, known_at: datetime | None = None) -> CostBook:
    """What these names cost in a period (None: at any time), as it was known at an instant, or is now.

    Two queries, however many names and rows there are; three more when names have changed since this process asked.
    """
    book = names(known_at)
    meant = {name: book.resolve(name) for name in asked}
    found = costs_of({model for model in meant.values() if model}, period.end if period else None, known_at)
    return CostBook(
        {name: found[model] for name, model in meant.items() if model},
        frozenset(name for name, model in meant.items() if model is None),
    )


def costs_of(
    models: Collection[ModelName], before: datetime | None = None, known_at: datetime | None = None
) -> dict[ModelName, ModelCosts]:
    """The costs of these models by the rows that begin before an instant. One query; all of them have an entry."""
    rows = ModelCost.objects.filter(model__name__in=[str(model) for model in models]).select_related("model")
    if before is not None:
        rows = rows.filter(effective_from__lt=before)
    by_model: dict[str, list[CostRow]] = defaultdict(list)
    for row in _known(rows, known_at) if models else ():
        by_model[row.model.name].append(row.row)
    return {model: ModelCosts(model.provider, model.model, tuple(by_model[str(model)])) for model in models}


def thresholds(asked: Iterable[str] | None = None, known_at: datetime | None = None) -> dict[int, list[str]]:
    """The sizes of input at which a price steps now or later, each with the models whose price does: what a band needs.

    `asked`: names of models; all of the catalogue when left out. A name that means no model has none.
    """
    if asked is None:
        steps = ModelCost.objects.filter(above__gt=0).values("model")
        meant = {each.key for each in ProviderModel.objects.filter(pk__in=steps)}
    else:
        book = names(known_at)
        meant = {model for name in asked if (model := book.resolve(name))}
    found: dict[int, list[str]] = defaultdict(list)
    for model, costs in sorted(costs_of(meant, known_at=known_at).items()):
        for above in costs.thresholds(clock.now()):
            found[above].append(str(model))
    return dict(sorted(found.items()))


def _known(rows: QuerySet[ModelCost], known_at: datetime | None) -> QuerySet[ModelCost]:
    return rows if known_at is None else rows.filter(recorded_at__lte=known_at)
