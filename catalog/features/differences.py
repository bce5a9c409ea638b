"""What a plan version gives of features otherwise than another, in plain words: one sentence for each change."""

from collections.abc import Iterator

from catalog.features.models import FeatureValue
from catalog.features.values import Kind, words
from catalog.models import PlanVersion


def differences(old: PlanVersion, new: PlanVersion) -> Iterator[str]:
    before, after = _read(old), _read(new)
    for code, given in after.items():
        about = f"Feature “{given.feature.name}”"
        if code not in before:
            yield f"{about} is given: {value_words(given)}."
        elif before[code].value != given.value:
            yield f"{about} changes from {value_words(before[code])} to {value_words(given)}."
    for code, given in before.items():
        if code not in after:
            yield f"Feature “{given.feature.name}” is no longer given ({value_words(given)})."


def value_words(given: FeatureValue) -> str:
    """“on”, “1,000 token a month”, “small, large”. Reads its feature and the feature's meter."""
    feature = given.feature
    unit = feature.meter.unit if feature.meter else ""
    over = f" in each {feature.get_window_display().partition(',')[0].lower()}" if feature.window else ""
    return words(Kind(feature.kind), given.value, unit) + over


def _read(version: PlanVersion) -> dict[str, FeatureValue]:
    rows = version.feature_values.select_related("feature__meter").order_by("feature__code")
    return {given.feature.code: given for given in rows}
