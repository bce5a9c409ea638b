"""Which model of the catalogue a name means: prefixes of providers and gateways, dated suffixes, aliases. Pure.

The rules by which names match are those of the package, as it states them: clauses such as
`{"or": [{"equals": "gpt-4o"}, {"starts_with": "gpt-4o-2024"}]}`. A name means one model or none: what another provider
sells has another price.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, NamedTuple

MAX_NAME = 300
_REMEMBERED = 20_000
# How gateways call a provider, where the package knows it by no such name.
PREFIXES = {
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "codestral": "mistral",
    "fireworks_ai": "fireworks",
    "z-ai": "zai",
}
GATEWAYS = frozenset({"litellm", "litellm_proxy"})
# What may stand between a provider and a model without meaning anything for the price.
_BETWEEN = frozenset({"converse", "deployments", "global", "invoke", "models", "publishers", "responses"})
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
# us.anthropic.claude-…, amazon.nova-…: the provider's provider, as Amazon names models.
_DOTTED = re.compile(r"(?:[a-z]{2,7}\.)?[a-z0-9]+\.[a-z]")
_COMPACT_DATE = re.compile(r"(?<=-)(20\d\d)(\d\d)(\d\d)(?=-|:|$)")

Match = Callable[[str], bool]


class ModelName(NamedTuple):
    """A model as a provider offers it."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Malformed(ValueError):
    """A rule of matching that is none."""


_SIMPLE: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
}


def matcher(clause: Any) -> Match:
    """A clause as a function of a name in lower case. Raises Malformed."""
    if isinstance(clause, Mapping) and len(clause) == 1:
        [(kind, value)] = clause.items()
        if kind in _SIMPLE and isinstance(value, str):
            return _simple(_SIMPLE[kind], value.lower())
        if kind == "regex" and isinstance(value, str):
            return _regex(value)
        if kind in {"or", "and"} and isinstance(value, list):
            return _joined(any if kind == "or" else all, [matcher(part) for part in value])
    raise Malformed(f"{str(clause)[:100]} is no rule of matching.")


def _simple(test: Callable[[str, str], bool], text: str) -> Match:
    return lambda name: test(name, text)


def _joined(join: Callable[[Iterable[bool]], bool], parts: Sequence[Match]) -> Match:
    return lambda name: join(part(name) for part in parts)


def _regex(text: str) -> Match:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise Malformed(f"{text[:100]} is no regular expression: {error}") from None
    return lambda name: pattern.search(name) is not None


class _Provider:
    def __init__(self, stated: Mapping[str, Any]) -> None:
        self.id: str = stated["id"]
        self.fallbacks: Sequence[str] = stated.get("fallback") or ()
        self.is_named: Match | None = matcher(stated["provider_match"]) if stated.get("provider_match") else None
        self.has_model: Match | None = matcher(stated["model_match"]) if stated.get("model_match") else None
        self.models = [(matcher(each["match"]), ModelName(self.id, each["id"])) for each in stated["models"]]

    def find(self, name: str) -> ModelName | None:
        return next((model for is_match, model in self.models if is_match(name)), None)


class NameBook:
    """Names as they were known at one time; it answers the same question always in the same way.

    `stated`: the package's providers with their models and rules. `models`: every model of the catalogue, own ones
    included. `aliases`: further names, in lower case.
    """

    def __init__(
        self,
        stated: Iterable[Mapping[str, Any]] = (),
        models: Iterable[ModelName] = (),
        aliases: Mapping[str, ModelName] | None = None,
    ) -> None:
        self._providers = {each["id"]: _Provider(each) for each in stated}
        self._aliases = aliases or {}
        packaged = [model for each in self._providers.values() for _, model in each.models]
        self._whole = {str(model).lower(): model for model in (*packaged, *models)}
        ids = {str(model).lower() for model in packaged}
        self._own = _alone(model for whole, model in self._whole.items() if whole not in ids)
        self._packaged = _alone(packaged)
        self._known: dict[str, ModelName | None] = {}

    def resolve(self, name: str) -> ModelName | None:
        """The one model that is meant, or None."""
        text = name.strip().lower()
        if text not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._resolve(text) if 0 < len(text) <= MAX_NAME else None
            # As the catalogue writes it, whatever the case in which the package does.
            self._known[text] = found and self._whole.get(str(found).lower(), found)
        return self._known[text]

    def closest(self, name: str, count: int = 3) -> list[str]:
        """Names that are written much alike: an unknown one may be a slip."""
        text = name.strip().lower()[:MAX_NAME]
        whole = list(self._whole)
        by_end: dict[str, list[str]] = {}
        for each in whole:
            by_end.setdefault(each.rpartition("/")[2], []).append(each)
        like = get_close_matches(text, whole, count, 0.75)
        like += [
            each for end in get_close_matches(text.rpartition("/")[2], by_end, count, 0.75) for each in by_end[end]
        ]
        return [str(self._whole[each]) for each in dict.fromkeys(like)][:count]

    def _resolve(self, text: str) -> ModelName | None:
        found = self._aliases.get(text) or self._whole.get(text) or self._own.get(text)
        if found:
            return found
        head, slash, rest = text.partition("/")
        if slash and head in GATEWAYS:
            return self._resolve(rest)
        provider, rest = self._prefix(text) if slash else (None, text)
        if provider is not None:
            return self._of(provider, rest)
        return self._bare(text)

    def _prefix(self, text: str) -> tuple[_Provider | None, str]:
        """The provider that a name begins with, of one part or of two, and what comes after it."""
        head, _, rest = text.partition("/")
        second, slash, beyond = rest.partition("/")
        if slash and (provider := self._providers.get(f"{head}_{second}")):
            return provider, beyond
        return self._provider(head), rest

    def _provider(self, name: str) -> _Provider | None:
        found = self._providers.get(PREFIXES.get(name, name))
        return found or next((each for each in self._providers.values() if each.is_named and each.is_named(name)), None)

    def _of(self, provider: _Provider, name: str) -> ModelName | None:
        """A model of a provider, or of those whose models it sells at their price."""
        for rest in self._shortened(name):
            whole = self._whole.get(f"{provider.id}/{rest}")
            found = whole or next((model for form in _forms(rest) if (model := self._sold(provider, form))), None)
            if found:
                return found
        return None

    def _sold(self, provider: _Provider, name: str) -> ModelName | None:
        sellers = [provider, *(self._providers[each] for each in provider.fallbacks if each in self._providers)]
        return next((model for each in sellers if (model := each.find(name))), None)

    def _shortened(self, name: str) -> Iterator[str]:
        """The name, then what is left of it without parts that say no more than where it runs or who made it."""
        yield name
        head, slash, rest = name.partition("/")
        if slash and (head in _BETWEEN or _REGION.fullmatch(head) or self._provider(head)):
            yield from self._shortened(rest)

    def _bare(self, text: str) -> ModelName | None:
        for provider in self._providers.values():
            if provider.has_model and provider.has_model(text) and (found := self._of(provider, text)):
                return found
        if _DOTTED.match(text) and "aws" in self._providers and (found := self._of(self._providers["aws"], text)):
            return found
        return self._packaged.get(text)


def _forms(name: str) -> Iterator[str]:
    """The name, and the same with its date as the catalogue writes dates: -20241120 is -2024-11-20."""
    yield name
    dated = _COMPACT_DATE.sub(_with_dashes, name)
    if dated != name:
        yield dated


def _with_dashes(found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return found[0]


def _alone(models: Iterable[ModelName]) -> dict[str, ModelName]:
    """Models by their own id, where only one provider has such an id."""
    every = list(models)
    count = Counter(model.model.lower() for model in every)
    return {model.model.lower(): model for model in every if count[model.model.lower()] == 1}
