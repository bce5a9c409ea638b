"""What is wrong with a feature, and with what a version gives of features, in words that say how to mend it."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from billing_site.foundation.errors import Fault, Refused
from catalog.charges.priceable import priceable
from catalog.features.models import Feature, FeatureValue
from catalog.features.values import ALL_OF, UNLIMITED, Kind, Several, Window, read
from catalog.models import PlanVersion
from meters.definitions import drafts
from meters.definitions.metering import draft_of
from meters.models import Aggregation, Meter

MAX_ALLOWED, MAX_TEXT = 1_000, 255
# What use adds to. A maximum or an average does not fill up.
FILLS_UP = frozenset(
    {Aggregation.COUNT, Aggregation.SUM, Aggregation.UNIQUE_COUNT, Aggregation.LATEST, Aggregation.WEIGHTED_SUM}
)
# What a frozen feature keeps, by the name that people read.
KEPT = {"code": "code", "meter_id": "meter", "filters": "filters", "window": "window", "several": "combination"}


def feature_faults(feature: Feature) -> list[Fault]:
    """Everything wrong with a feature as it would be saved, but for the form of its texts."""
    if feature.kind not in set(Kind):
        message = f"“{feature.kind}” is not a kind: use one of {', '.join(Kind)}."
        return [Fault("kind_unknown", message, "kind")]
    found = [*_taken(feature), *_unused(feature), *_allowed_faults(feature)]
    if feature.kind == Kind.NUMBER:
        found += [*_number_faults(feature), *([] if feature.meter is None else meter_faults(feature, feature.meter))]
    return found


def _taken(feature: Feature) -> Iterator[Fault]:
    if "\0" not in feature.code and Feature.objects.filter(code=feature.code).exclude(pk=feature.pk).exists():
        message = f"There is a feature “{feature.code}” already: choose another code."
        yield Fault("code_taken", message, "code")


def _unused(feature: Feature) -> Iterator[Fault]:
    """What another kind of feature has."""
    counts = feature.kind == Kind.NUMBER and feature.meter is not None
    given = {
        "meter": feature.kind != Kind.NUMBER and feature.meter is not None,
        "window": not counts and bool(feature.window),
        "filters": not counts and bool(feature.filters),
        "allowed": feature.kind != Kind.LIST and bool(feature.allowed),
        "several": feature.kind != Kind.NUMBER and feature.several != Several.HIGHEST,
    }
    why = "a number that counts no meter" if feature.kind == Kind.NUMBER else f"a {feature.kind}"
    for field in (field for field, there in given.items() if there):
        yield Fault(f"{field}_unused", f"It is {why}, which has no {field}: leave it out.", field)


def _number_faults(feature: Feature) -> Iterator[Fault]:
    known = ", ".join(Window)
    if feature.several not in set(Several):
        message = f"“{feature.several}” is not a way to combine numbers: use {' or '.join(Several)}."
        yield Fault("several_unknown", message, "several")
    if feature.meter is None:
        return
    if not feature.window:
        message = f"For how long is use of “{feature.meter.code}” added up before it begins again? Use one of {known}."
        yield Fault("window_missing", message, "window")
    elif feature.window not in set(Window):
        yield Fault("window_unknown", f"“{feature.window}” is not a window: use one of {known}.", "window")


def meter_faults(feature: Feature, meter: Meter) -> Iterator[Fault]:
    """Why a meter's usage, or a part of it, cannot be held against a number. Reads its dimensions, bands and values."""
    if meter.aggregation not in FILLS_UP:
        kind = meter.get_aggregation_display().partition(":")[0].lower()
        message = (
            f"The meter “{meter.code}” is a {kind}, which use does not fill up: choose one that counts, adds up,"
            " or tells what there is."
        )
        yield Fault("meter_does_not_fill_up", message, "meter")
    known = priceable(meter)
    recorded = [*known.dimensions, *(name for name, status in known.unready.items() if status != "retired")]
    for name, values in feature.filters.items():
        if name not in recorded:
            yield Fault("dimension_unknown", _no_dimension(meter, name, recorded), "filters")
            continue
        only = known.only(name)
        for value in () if only is None else values:
            assert only is not None
            if value not in only:
                message = f"The meter “{meter.code}” never gives {name} “{value}”: it gives {', '.join(only)}."
                yield Fault("label_unknown", message, "filters")


def _no_dimension(meter: Meter, name: str, recorded: list[str]) -> str:
    close = get_close_matches(name, recorded, n=1)
    mend = f"did you mean “{close[0]}”?" if close else "it has " + (", ".join(recorded) or "none") + "."
    return f"The meter “{meter.code}” has no dimension “{name}”: {mend}"


def _allowed_faults(feature: Feature) -> Iterator[Fault]:
    if feature.kind == Kind.LIST and not feature.allowed:
        message = "Which values can the list have? Name at least one, for example model-a."
        yield Fault("allowed_missing", message, "allowed")
    if len(feature.allowed) > MAX_ALLOWED:
        message = f"There are {len(feature.allowed):,} values; a list has at most {MAX_ALLOWED:,}."
        yield Fault("allowed_too_many", message, "allowed")
    for text, times in Counter(feature.allowed).items():
        if not text.strip() or text != text.strip() or text == ALL_OF[Kind.LIST] or _unreadable(text):
            message = (
                f"“{text[:40]}” cannot be a value: it is empty, begins or ends with a blank, holds a control character,"
                " or is “any”, which stands for all of them."
            )
            yield Fault("allowed_unfit", message, "allowed")
        if len(text) > MAX_TEXT:
            message = f"“{text[:40]}…” has {len(text)} characters; a value has at most {MAX_TEXT}."
            yield Fault("allowed_too_long", message, "allowed")
        if times > 1:
            yield Fault("allowed_repeated", f"“{text[:40]}” is given {times} times: once is enough.", "allowed")


def _unreadable(text: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def change_faults(before: Feature, after: Feature) -> Iterator[Fault]:
    """What may not change: the kind, ever; what a number counts, once somebody has it. No value goes that is given.

    Reads the values that versions give.
    """
    if before.kind != after.kind:
        message = f"“{before}” is a {before.kind} and stays one: make another feature."
        yield Fault("feature_kind_conflict", message, "kind")
    if before.frozen_at is not None:
        for field, name in KEPT.items():
            if getattr(before, field) != getattr(after, field):
                message = (
                    f"A published plan version or a customer has “{before}”, so its {name} stays as it is:"
                    " make another feature."
                )
                yield Fault("feature_frozen_conflict", message, field.removesuffix("_id"))
    gone = set(before.allowed) - set(after.allowed)
    used = gone if before.frozen_at is not None else gone & _given_texts(before)
    for text in sorted(used):
        message = f"“{text}” may be in what a plan version or a customer has of “{before}”: it has to stay in the list."
        yield Fault("value_in_use_conflict", message, "allowed")


def _given_texts(feature: Feature) -> set[str]:
    given = FeatureValue.objects.filter(feature=feature, texts__isnull=False).values_list("texts", flat=True)
    return {text for texts in given for text in texts or ()}


def version_faults(version: PlanVersion) -> Iterator[Fault]:
    """What forbids to publish what the version gives. `field`: “features.tokens”."""
    for given in _given(version):
        feature = given.feature
        for fault in _given_faults(given):
            message = f"Feature “{feature.name}”: {fault.message}"
            yield replace(fault, message=message, field=f"features.{feature.code}.{fault.field}")


def _given_faults(given: FeatureValue) -> Iterator[Fault]:
    feature = given.feature
    yield from feature_faults(feature)
    if feature.meter is not None:
        for fault in drafts.faults(draft_of(feature.meter)):
            message = f"its meter “{feature.meter.code}” is not ready: {fault.message}"
            yield replace(fault, message=message, field=f"meter.{fault.field}")
    try:
        read(Kind(feature.kind), given.value, feature.allowed)
    except Refused as refused:
        yield from refused.faults


def version_warnings(version: PlanVersion) -> list[str]:
    """What may be meant, and may be not."""
    found = []
    for given in _given(version):
        if given.value is not UNLIMITED and given.feature.kind != Kind.SWITCH and not given.value:
            what = "0" if given.feature.kind == Kind.NUMBER else "an empty list"
            found.append(f"Feature “{given.feature.name}” is {what}: nothing of it is allowed.")
    return found


def _given(version: PlanVersion) -> Iterable[FeatureValue]:
    parts = ("dimensions", "bands", "values", "filters")
    rows = version.feature_values.select_related("feature__meter").order_by("feature__code")
    return rows.prefetch_related(*(f"feature__meter__{part}" for part in parts))
