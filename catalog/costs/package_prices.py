"""What the package genai-prices states, as values: the only module that knows it.

Its data comes with it; newer data can be asked for at an address. Prices for certain requests alone (batch, priority,
flex) and the least that a provider bills for one request are not in the catalogue.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, round_to
from catalog.pricing.cost_changes import Condition, Prices
from catalog.pricing.model_names import Malformed, ModelName, NameBook
from catalog.pricing.token_types import TOKEN_TYPES, with_modality

UNIT_PRICE_PLACES = 15
MAX_COST = Decimal(10) ** 15
SECONDS_PER_HOUR = 3_600
_CODES = {
    "requests": "requests",
    "input_characters": "characters",
    "input_text_messages": "messages",
    "audio_seconds": "audio_hours",
    "input_audio_seconds": "input_audio_hours",
    "output_audio_seconds": "output_audio_hours",
    "input_pixels": "pixels",
    "input_document_pages": "pages",
    "input_annotated_document_pages": "annotated_pages",
}


class Away(Exception):
    """The address did not answer, or not with data."""


@dataclass(frozen=True)
class StatedModel:
    name: ModelName
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Statement:
    """Everything that one edition of the data says. `names` is for a NameBook; `unread`: kinds of price not known."""

    origin: str
    names: tuple[dict[str, Any], ...]
    models: tuple[StatedModel, ...]
    unread: tuple[str, ...] = ()


def edition() -> str:
    """The package and its version."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"


def default_address() -> str:
    """Where the package's publisher keeps the newest data."""
    from genai_prices.update_prices import DEFAULT_UPDATE_URL

    return DEFAULT_UPDATE_URL


def bundled() -> Statement:
    """What the installed package says, without a network."""
    from genai_prices.data import providers

    return stated(edition(), providers)


def fetched(url: str) -> Statement:
    """What the package's publisher says today. Raises Away, Malformed."""
    import httpx2
    from genai_prices import UpdatePrices

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about usage in answers of providers, which is not read here
            snapshot = UpdatePrices(url=url).fetch()
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise Away(f"{type(error).__name__}: {error}"[:500]) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Malformed(f"{type(error).__name__}: {error}"[:500]) from None
    if snapshot is None or not snapshot.providers:
        raise Malformed("There are no providers in it.")
    return stated(url[:200], snapshot.providers)


def stated(origin: str, providers: Sequence[Any]) -> Statement:
    """The package's own objects as values. Raises Malformed when anything in them cannot be."""
    from genai_prices.data_units import unit_data

    units = {unit["price_key"]: (code_of(key, unit["dimensions"]), unit["per"]) for key, unit in unit_data.items()}
    unread: set[str] = set()
    models = []
    for provider in providers:
        for model in provider.models:
            prices = model.prices if isinstance(model.prices, list) else [_Always(model.prices)]
            conditions = tuple(_condition(each, units, unread) for each in prices)
            models.append(StatedModel(ModelName(provider.id, model.id), conditions))
    names = tuple(_names(provider) for provider in providers)
    NameBook(names)  # every rule of matching reads
    return Statement(origin, names, tuple(models), tuple(sorted(unread)))


def code_of(usage_key: str, dimensions: dict[str, str]) -> str:
    """The vocabulary's word for a unit of the package."""
    if dimensions["family"] != "tokens":
        return _CODES.get(usage_key, usage_key)
    kind = dimensions.get("token_type", dimensions["direction"])
    lasting = f"_{dimensions['cache_ttl']}" if "cache_ttl" in dimensions else ""
    return with_modality(f"{kind}{lasting}", dimensions.get("modality"))


@dataclass(frozen=True)
class _Always:
    prices: Any
    constraint: None = None


def _condition(stated: Any, units: dict[str, tuple[str, int]], unread: set[str]) -> Condition:
    prices: dict[tuple[str, int], Decimal] = {}
    for key, value in vars(stated.prices).items():
        code, per = units.get(key, ("", 1))
        if code not in TOKEN_TYPES:
            unread.add(key)
        elif value is not None:
            prices |= {(code, above): _unit_cost(price, code, per) for above, price in _steps(value)}
    return _when(stated.constraint, prices)


def _when(constraint: Any, prices: Prices) -> Condition:
    if constraint is None:
        return Condition(prices)
    if hasattr(constraint, "start_date"):
        return Condition(prices, start=constraint.start_date)
    if hasattr(constraint, "start_time"):
        return Condition(prices, daily=(_utc(constraint.start_time), _utc(constraint.end_time)))
    raise Malformed(f"{constraint!r} is no condition that is known here.")


def _utc(value: Any) -> Any:
    if value.utcoffset():
        raise Malformed(f"{value} is not a time of the UTC day.")
    return value.replace(tzinfo=None)


def _steps(value: Any) -> Iterator[tuple[int, Decimal]]:
    """Sizes of input, and the price of requests above each."""
    if isinstance(value, Decimal):
        yield 0, value
        return
    yield 0, value.base
    for tier in value.tiers:
        if not isinstance(tier.start, int) or tier.start < 0:
            raise Malformed(f"{tier.start!r} is no size of input.")
        yield tier.start, tier.price


def _unit_cost(price: Any, code: str, per: int) -> Decimal:
    """USD for one unit. The last of 15 places is rounded: some prices carry the noise of a float in their tail."""
    if not isinstance(price, Decimal) or not price.is_finite() or not 0 <= price < MAX_COST:
        raise Malformed(f"{price!r} is no price of {code}.")
    size = SECONDS_PER_HOUR if TOKEN_TYPES[code].unit == "hour" else 1
    return round_to(EXACT.divide(EXACT.multiply(price, Decimal(size)), Decimal(per)), UNIT_PRICE_PLACES)


def _names(provider: Any) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "fallback": list(provider.fallback_model_providers or ()),
        "provider_match": _clause(provider.provider_match),
        "model_match": _clause(provider.model_match),
        "models": [{"id": model.id, "name": model.name, "match": _clause(model.match)} for model in provider.models],
    }


def _clause(clause: Any) -> Any:
    if clause is None:
        return None
    [(name, value)] = vars(clause).items()
    return {name.rstrip("_"): [_clause(each) for each in value] if isinstance(value, list) else value}
