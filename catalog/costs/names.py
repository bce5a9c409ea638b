"""Which model a name means: the rules that were recorded, cached per process and looked after at every question."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock

from django.db import connection

from catalog.models import CostReading, ModelAlias, ProviderModel
from catalog.pricing.model_names import ModelName, NameBook

# What was known at the newest time, and at those that recomputed invoices ask for.
BOOKS_KEPT = 8
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

# By the index reading_with_names, and two small tables. Rows are only ever added, and an id is given once: the number
# of rows and the greatest id change with every row, also of a transaction that is undone later.
_STATE = """
    SELECT
        (SELECT id FROM catalog_costreading WHERE names IS NOT NULL AND recorded_at <= %(known)s
            ORDER BY recorded_at DESC, id DESC LIMIT 1),
        (SELECT (count(*), max(id))::text FROM catalog_providermodel WHERE recorded_at <= %(known)s),
        (SELECT (count(*), max(id))::text FROM catalog_modelalias WHERE recorded_at <= %(known)s)
"""
State = tuple[int | None, str, str]

_books: OrderedDict[State, NameBook] = OrderedDict()
_lock = Lock()


def names(known_at: datetime | None = None) -> NameBook:
    """The names as they were known at an instant, or are now. One query, and three more where something is new."""
    known = known_at or END_OF_TIME
    state = _state(known)
    with _lock:
        book = _books.get(state)
        if book is not None:
            _books.move_to_end(state)
    if book is None:
        book = _read(state, known)
        # What is written meanwhile is in the tables that were read after: it belongs to no state, and is not kept.
        if _state(known) == state:
            with _lock:
                _books[state] = book
                while len(_books) > BOOKS_KEPT:
                    _books.popitem(last=False)
    return book


def _state(known: datetime) -> State:
    with connection.cursor() as cursor:
        cursor.execute(_STATE, {"known": known})
        state: State = cursor.fetchone()
    return state


def _read(state: State, known: datetime) -> NameBook:
    reading = CostReading.objects.filter(pk=state[0] or 0).values_list("names", flat=True).first()
    models = ProviderModel.objects.filter(recorded_at__lte=known).order_by("id").values_list("provider", "model")
    return NameBook(reading or (), (ModelName(*each) for each in models), _aliases(known))


def _aliases(known: datetime) -> Mapping[str, ModelName]:
    rows = ModelAlias.objects.filter(recorded_at__lte=known).order_by("recorded_at", "id")
    last = {each.alias: each.model for each in rows.select_related("model")}
    return {alias: model.key for alias, model in last.items() if model is not None}
