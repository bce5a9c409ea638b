"""Own entries: costs that were negotiated, or of models that nobody else knows; and own names of models.

Nothing is changed or deleted. An entry of the same series and hour takes the place of the one before it; one that was
wrong is withdrawn by a row that says so. Each verb raises Refused, and then nothing was recorded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models.functions import Lower

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain, round_to
from catalog.costs.models import MAX_MODEL, MAX_PROVIDER, PROVIDER
from catalog.models import ModelAlias, ModelCost, ProviderModel
from catalog.pricing.model_costs import Action, Hours, Source
from catalog.pricing.model_names import MAX_NAME
from catalog.pricing.token_types import TOKEN_TYPES
from catalog.writing import refuse

PLACES = 15
MAX_COST = Decimal(10) ** 15
MAX_ABOVE = 2_000_000_000
MAX_NOTE = 500
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
LATEST = timedelta(days=3_660)


@dataclass(frozen=True)
class Entry:
    """What is said of one series. `cost`: USD for one unit; None ends it, so that the package's holds from then on.

    `effective_from` is rounded to the full hour, half an hour upwards; the coming hour when it is left out.
    """

    provider: str
    model: str
    token_type: str
    cost: Decimal | None
    above: int = 0
    hours: Hours | None = None
    effective_from: datetime | None = None
    note: str = ""

    @property
    def hour(self) -> datetime:
        return full_hour(self.effective_from or clock.now() + timedelta(minutes=30))


def full_hour(instant: datetime) -> datetime:
    """The nearest full hour in UTC; from half past on the next one."""
    return (instant.astimezone(UTC) + timedelta(minutes=30)).replace(minute=0, second=0, microsecond=0)


def record_cost(entry: Entry, by: str) -> ModelCost:
    """Record an own entry. What the catalogue calls the model decides its spelling; a new one is made."""
    refuse(faults(entry))
    with transaction.atomic():
        model = find(entry.provider, entry.model) or _made(entry.provider, entry.model)
        return _append(model, entry, Action.ENDS if entry.cost is None else Action.COSTS, by)


def withdraw_cost(cost: ModelCost, note: str, by: str) -> ModelCost:
    """Undo an own entry: what held before it holds on, as if it had never been recorded."""
    refuse(_withdrawal_faults(cost, note))
    with transaction.atomic():
        # One at a time: of two that withdraw, the second finds that it is done.
        ProviderModel.objects.select_for_update(no_key=True).get(pk=cost.model_id)
        refuse(_standing_faults(cost))
        row = cost.row
        entry = Entry(cost.model.provider, cost.model.model, row.token_type, None, row.above, row.hours, note=note)
        return _append(cost.model, entry, Action.WITHDRAWN, by, cost.effective_from)


def name_model(alias: str, model: ProviderModel, by: str) -> ModelAlias:
    """Let a further name mean a model, before any other rule: a deployment of your own, for example."""
    name = alias.strip().lower()
    refuse(_alias_faults(name))
    return ModelAlias.objects.create(alias=name, model=model, recorded_by=by)


def forget_name(alias: str, by: str) -> ModelAlias:
    """From now on the name means what it would without the alias."""
    name = alias.strip().lower()
    last = ModelAlias.objects.filter(alias=name).order_by("recorded_at", "id").last()
    if last is None or last.model_id is None:
        refuse([Fault("alias_unknown", f"“{alias[:100]}” is no alias of a model.", "alias")])
    return ModelAlias.objects.create(alias=name, model=None, recorded_by=by)


def find(provider: str, model: str) -> ProviderModel | None:
    """The catalogue's model of these ids, whatever their case."""
    lowered = ProviderModel.objects.annotate(lowered=Lower("name"))
    return lowered.filter(lowered=f"{provider}/{model}".strip().lower()).first()


def faults(entry: Entry) -> list[Fault]:
    """Everything that is wrong with an entry."""
    return [*_model_faults(entry), *_series_faults(entry), *_cost_faults(entry), *_time_faults(entry)]


def _model_faults(entry: Entry) -> Iterator[Fault]:
    if len(entry.provider) > MAX_PROVIDER or not _is_provider(entry.provider):
        message = f"“{entry.provider[:100]}” is no provider: {PROVIDER.message} At most {MAX_PROVIDER} characters."
        yield Fault("provider_invalid", message, "provider")
    if not entry.model.strip() or len(entry.model) > MAX_MODEL or not _is_line(entry.model):
        message = f"“{entry.model[:100]}” is no model: write the provider's own id, of 1 to {MAX_MODEL} characters."
        yield Fault("model_invalid", message, "model")


def _series_faults(entry: Entry) -> Iterator[Fault]:
    if entry.token_type not in TOKEN_TYPES:
        message = f"“{entry.token_type[:100]}” is no token type; there are {', '.join(TOKEN_TYPES)}."
        yield Fault("token_type_unknown", message, "token_type")
    if not 0 <= entry.above <= MAX_ABOVE:
        message = f"{entry.above} is no size of input: 0 for all requests, or up to {MAX_ABOVE:,} tokens."
        yield Fault("above_invalid", message, "above")
    hours = entry.hours
    if hours and (not 0 <= hours.start <= 23 or not 0 <= hours.end <= 23 or hours.start == hours.end):
        message = f"{hours.start} to {hours.end} are no hours of a day: two different ones from 0 to 23, or none."
        yield Fault("hours_invalid", message, "hours")


def _cost_faults(entry: Entry) -> Iterator[Fault]:
    cost = entry.cost
    if cost is None:
        return
    if not cost.is_finite() or not 0 <= cost < MAX_COST:
        yield Fault("cost_invalid", f"{cost} is no cost: write 0 or more USD, for one unit.", "cost")
    elif cost != round_to(cost, PLACES):
        message = f"{plain(cost)} has more than {PLACES} decimals for one unit; it would be rounded, so write fewer."
        yield Fault("cost_too_precise", message, "cost")


def _time_faults(entry: Entry) -> Iterator[Fault]:
    if entry.effective_from is not None and not EARLIEST <= entry.effective_from <= clock.now() + LATEST:
        message = f"{entry.effective_from:%Y-%m-%d} is too far away: write a day from 2015 on, at most ten years ahead."
        yield Fault("effective_from_invalid", message, "effective_from")
    yield from _note_faults(entry.note)


def _note_faults(note: str) -> Iterator[Fault]:
    if len(note) > MAX_NOTE or "\0" in note:
        yield Fault("note_too_long", f"The note has {len(note)} characters; write at most {MAX_NOTE}.", "note")


def _withdrawal_faults(cost: ModelCost, note: str) -> Iterator[Fault]:
    if cost.source != Source.OWN:
        message = "What the package says cannot be withdrawn: record an own cost, which goes before it."
        yield Fault("cost_not_own", message, "cost")
    if cost.action == Action.WITHDRAWN:
        yield Fault("cost_withdrawn", "This row withdraws one itself: record the cost again instead.", "cost")
    yield from _note_faults(note)


def _standing_faults(cost: ModelCost) -> Iterator[Fault]:
    same = {
        name: getattr(cost, name) for name in ("model", "token_type", "above", "hours_start", "hours_end", "source")
    }
    last = ModelCost.objects.filter(**same, effective_from=cost.effective_from).order_by("recorded_at", "id").last()
    if last != cost:
        message = f"Another row has taken the place of this one since: of {cost.effective_from:%Y-%m-%d %H:%M} UTC."
        yield Fault("cost_superseded_conflict", message, "cost")


def _alias_faults(name: str) -> Iterator[Fault]:
    if not name or len(name) > MAX_NAME or not _is_line(name):
        yield Fault("alias_invalid", f"“{name[:100]}” is no name: write 1 to {MAX_NAME} characters on a line.", "alias")


def _is_provider(text: str) -> bool:
    return re.fullmatch(PROVIDER.regex, text) is not None


def _is_line(text: str) -> bool:
    return text.isprintable()


def _made(provider: str, model: str) -> ProviderModel:
    ProviderModel.objects.bulk_create([ProviderModel(provider=provider, model=model.strip())], ignore_conflicts=True)
    found = find(provider, model)
    assert found is not None
    return found


def _append(
    model: ProviderModel, entry: Entry, action: Action, by: str, effective_from: datetime | None = None
) -> ModelCost:
    return ModelCost.objects.create(
        model=model,
        token_type=entry.token_type,
        above=entry.above,
        hours_start=entry.hours.start if entry.hours else None,
        hours_end=entry.hours.end if entry.hours else None,
        source=Source.OWN,
        action=action,
        cost=entry.cost,
        effective_from=effective_from or entry.hour,
        recorded_by=by[:200],
        note=entry.note,
    )
