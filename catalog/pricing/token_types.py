"""What model providers ask money for: one vocabulary, whatever each of them calls it. Pure.

A cost is that of one unit of a token type. What has no cost of its own is paid for as the type that it falls back to:
reasoning as output, cached input as input, speech as text; so providers bill it themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

MODALITIES = ("text", "audio", "image", "video")

# Kind, what it is called, and the kind as which it is billed when it has no price of its own.
_KINDS = (
    ("input", "Input", None),
    ("output", "Output", None),
    ("cache_read", "Cache read", "input"),
    ("cache_write", "Cache write", "input"),
    ("cache_write_5m", "Cache write, 5 minutes", "cache_write"),
    ("cache_write_1h", "Cache write, 1 hour", "cache_write"),
    ("tool", "Tool input", "input"),
    ("reasoning", "Reasoning", "output"),
    ("citation", "Citation", "output"),
)
# Code, what it is called, its unit, how many units are shown together, and what it falls back to.
_OTHERS = (
    ("requests", "Requests", "request", 1_000, ()),
    ("characters", "Input characters", "character", 1_000_000, ()),
    ("messages", "Text messages", "message", 1_000, ()),
    ("audio_hours", "Audio, hours", "hour", 1, ()),
    ("input_audio_hours", "Input audio, hours", "hour", 1, ("audio_hours",)),
    ("output_audio_hours", "Output audio, hours", "hour", 1, ("audio_hours",)),
    ("pixels", "Input pixels", "pixel", 1_000_000_000, ()),
    ("pages", "Document pages", "page", 1_000, ()),
    ("annotated_pages", "Annotated document pages", "page", 1_000, ("pages",)),
    ("rerank_searches", "Rerank searches", "search", 1_000, ()),
    ("web_searches", "Web searches", "search", 1_000, ()),
    ("social_searches", "Social searches", "search", 1_000, ()),
    ("storage_searches", "Storage searches", "search", 1_000, ()),
    ("code_executions", "Code executions", "execution", 1_000, ()),
)


@dataclass(frozen=True)
class TokenType:
    """`per`: for how many units a cost is shown to people, who know prices of a million tokens.

    `falls_back`: types as which it is billed when it has no cost of its own, the nearest first.
    """

    code: str
    name: str
    unit: str
    per: int
    falls_back: tuple[str, ...] = ()

    @property
    def per_text(self) -> str:
        """“per 1,000,000 tokens”, or “per hour”."""
        return f"per {self.unit}" if self.per == 1 else f"per {self.per:,} {_plural(self.unit)}"


def with_modality(kind: str, modality: str | None) -> str:
    """The code of a kind of token, of one modality or of any: cache_read, cache_read_audio."""
    return f"{kind}_{modality}" if modality else kind


def chain(code: str) -> tuple[str, ...]:
    """The type itself, then the types as which it is billed when it has no cost of its own."""
    return (code, *TOKEN_TYPES[code].falls_back)


def _plural(unit: str) -> str:
    return f"{unit}es" if unit.endswith("ch") else f"{unit}s"


@cache
def _lineage(kind: str) -> tuple[str, ...]:
    parent = next(parent for name, _, parent in _KINDS if name == kind)
    return (kind,) if parent is None else (kind, *_lineage(parent))


def _types() -> Iterator[TokenType]:
    for modality in (None, *MODALITIES):
        for kind, name, _ in _KINDS:
            forms = [with_modality(each, form) for each in _lineage(kind) for form in dict.fromkeys((modality, None))]
            called = f"{name}, {modality}" if modality else name
            yield TokenType(forms[0], called, "token", 1_000_000, tuple(forms[1:]))
    for code, name, unit, per, falls_back in _OTHERS:
        yield TokenType(code, name, unit, per, falls_back)


TOKEN_TYPES: dict[str, TokenType] = {each.code: each for each in _types()}
