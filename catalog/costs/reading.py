"""Take in what the package states of model costs: only what is new is recorded.

What is stated no more stays: a model whose usage came yesterday is not forgotten because nobody offers it today.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from billing_site.foundation import clock
from catalog.costs import package_prices
from catalog.costs import rows as cost_rows
from catalog.costs.package_prices import Away, StatedModel, Statement
from catalog.models import CostReading, ModelCost, ProviderModel
from catalog.pricing.cost_changes import Change, Series, changes, timelines
from catalog.pricing.model_costs import Hours, Source
from catalog.pricing.model_names import Malformed, ModelName

logger = structlog.get_logger(__name__)

# Any pair of numbers that nothing else in the product uses for an advisory lock.
READING_LOCK = (74053, 1)
BATCH = 10_000
Outcome = CostReading.Outcome
_READ = (Outcome.CHANGED, Outcome.SAME)

Recorded = Mapping[Series, Mapping[datetime, Decimal | None]]


def read_in(statement: Statement) -> CostReading:
    """Record what the statement says and the catalogue does not, in one transaction and a constant number of queries.

    Two that come at once take turns, and the second finds nothing to record.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", READING_LOCK)
        ids = _ids_of([each.name for each in statement.models])
        new = _new(statement, ids, clock.now())
        if new:
            cost_rows.write(new, statement.origin)
        names = _with_former(statement.names, latest_names())
        reading = CostReading.objects.create(
            origin=statement.origin,
            outcome=Outcome.CHANGED if new or names is not None else Outcome.SAME,
            problem=f"Not known here: {', '.join(statement.unread)}" if statement.unread else "",
            models_stated=len(statement.models),
            costs_recorded=len(new),
            names=names,
        )
    logger.info("model_costs_read", origin=statement.origin, models=len(statement.models), recorded=len(new))
    return reading


def fill_if_empty() -> CostReading | None:
    """A catalogue that has never been filled gets what comes with the package."""
    return None if CostReading.objects.filter(outcome__in=_READ).exists() else read_in(package_prices.bundled())


def refresh_if_due() -> CostReading | None:
    """What beat asks for: the newest data, at most once in MODEL_COSTS_REFRESH."""
    latest = CostReading.objects.exclude(origin__startswith="genai-prices ").order_by("recorded_at").last()
    if latest is not None and clock.now() - latest.recorded_at < settings.MODEL_COSTS_REFRESH:
        return None
    return refresh()


def refresh() -> CostReading | None:
    """Read the newest data there is. Without a network that is what the package brings, if it was never read.

    None: nothing could be read, or nothing had to be; what the catalogue has stays.
    """
    address = package_prices.default_address() if settings.MODEL_COSTS_URL is None else settings.MODEL_COSTS_URL
    if not address:
        return _read_package()
    try:
        return read_in(package_prices.fetched(address))
    except Away as error:
        _note(address, Outcome.AWAY, str(error))
        logger.info("model_costs_not_refreshed", reason=str(error))
        return _read_package()
    except Malformed as error:
        _note(address, Outcome.REFUSED, str(error))
        logger.warning("model_costs_refused", reason=str(error))
        return None


def latest_names() -> Sequence[Mapping[str, Any]]:
    """The package's providers, models and rules of matching as they were stated last."""
    names = (
        CostReading.objects.filter(names__isnull=False).order_by("recorded_at", "id").values_list("names", flat=True)
    )
    return names.last() or ()


def _read_package() -> CostReading | None:
    """The installed package's data, unless this edition was read before or newer data was.

    What an address gave is newer than a package that is there already; a package installed since is not known to be.
    """
    read = CostReading.objects.filter(outcome__in=_READ)
    from_elsewhere = read.exclude(origin__startswith="genai-prices ").exists()
    known = from_elsewhere or read.filter(origin=package_prices.edition()).exists()
    return None if known else read_in(package_prices.bundled())


def _note(origin: str, outcome: CostReading.Outcome, problem: str) -> None:
    CostReading.objects.create(origin=origin[:200], outcome=outcome, problem=problem)


def _ids_of(names: Iterable[ModelName]) -> dict[ModelName, int]:
    """The catalogue's models of these names, made where there are none. Three queries."""
    wanted = list(names)
    known = _lowered()
    missing = {str(name).lower(): name for name in wanted if str(name).lower() not in known}
    if missing:
        made = [ProviderModel(provider=name.provider, model=name.model) for name in missing.values()]
        ProviderModel.objects.bulk_create(made, batch_size=BATCH, ignore_conflicts=True)
        known = _lowered()
    return {name: known[str(name).lower()] for name in wanted}


def _lowered() -> dict[str, int]:
    return {name.lower(): pk for name, pk in ProviderModel.objects.values_list("name", "pk")}


def _new(statement: Statement, ids: Mapping[ModelName, int], now: datetime) -> list[tuple[int, Change]]:
    recorded = _recorded()
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = []
    for each in statement.models:
        pk = ids[each.name]
        found += [(pk, change) for change in _changes(each, recorded.get(pk), hour)]
    return found


def _changes(model: StatedModel, recorded: Recorded | None, hour: datetime) -> Iterable[Change]:
    return changes(timelines(model.conditions), recorded or {}, hour, is_new=recorded is None)


def _recorded() -> dict[int, Recorded]:
    """By model and series: the package's rows that hold at some time. One query."""
    rows = ModelCost.objects.filter(source=Source.PACKAGE).order_by("recorded_at", "id")
    found: dict[int, dict[Series, dict[datetime, Decimal | None]]] = defaultdict(lambda: defaultdict(dict))
    for pk, code, above, start, end, effective_from, cost in rows.values_list(
        "model_id", "token_type", "above", "hours_start", "hours_end", "effective_from", "cost"
    ):
        found[pk][code, above, None if start is None or end is None else Hours(start, end)][effective_from] = cost
    return dict(found)


def _with_former(
    stated: Sequence[Mapping[str, Any]], former: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]] | None:
    """What is stated now, and behind it what was and is no more; None when that is what was known."""
    merged: list[Mapping[str, Any]] = []
    before = {each["id"]: each for each in former}
    for each in stated:
        ids = {model["id"] for model in each["models"]}
        gone = [model for model in before.get(each["id"], {"models": []})["models"] if model["id"] not in ids]
        merged.append({**each, "models": [*each["models"], *gone]})
    now = {each["id"] for each in stated}
    merged += [each for each in former if each["id"] not in now]
    return None if merged == list(former) else merged
