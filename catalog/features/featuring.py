"""Features are made and changed here, and what draft versions give of them. Each verb raises Refused, and then nothing
was changed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from billing_site.foundation.errors import Fault, Refused
from catalog.features import checks
from catalog.features import values as feature_values
from catalog.features.models import Feature, FeatureValue, columns_of
from catalog.features.values import Kind, Several
from catalog.models import PlanVersion
from catalog.writing import locked_draft, refuse, save
from meters.models import Meter

CHANGEABLE = frozenset({"code", "name", "description", "kind", "meter", "filters", "window", "several", "allowed"})


def create_feature(
    *,
    code: str,
    name: str,
    kind: str,
    description: str = "",
    meter: Meter | None = None,
    filters: Mapping[str, Collection[str]] | None = None,
    window: str = "",
    several: str = Several.HIGHEST,
    allowed: Sequence[str] = (),
) -> Feature:
    """A feature that no version gives yet.

    A number may count a `meter`'s usage, or only that at the dimension values of `filters`, over a `window`; `several`
    says how the numbers of several subscriptions are combined. A list has the values that are `allowed`.
    """
    feature = Feature(
        code=code,
        name=name,
        description=description,
        kind=kind,
        meter=meter,
        filters=_lists(filters or {}),
        window=window,
        several=several,
        allowed=list(allowed),
    )
    refuse(checks.feature_faults(feature))
    return save(feature)


def change_feature(feature: Feature, **changes: Any) -> Feature:
    """Change what is given and leave the rest: fields as `create_feature` takes them.

    Once a published version or a customer has it, only its name and description change, and a list may get longer.
    """
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise TypeError(f"A feature has no {', '.join(sorted(unknown))}.")
    with transaction.atomic():
        before = Feature.objects.select_for_update().get(pk=feature.pk)
        changed = Feature.objects.select_related("meter").get(pk=feature.pk)
        for field, value in changes.items():
            setattr(changed, field, _lists(value) if field == "filters" else value)
        changed.allowed = list(changed.allowed)
        refuse(checks.change_faults(before, changed))
        refuse(checks.feature_faults(changed))
        return save(changed)


def delete_feature(feature: Feature) -> None:
    """Throw a feature away that nobody has or gives."""
    try:
        with transaction.atomic():
            Feature.objects.select_for_update().get(pk=feature.pk).delete()
    except ProtectedError as error:
        used = sorted({str(getattr(each, "version", None) or each) for each in error.protected_objects})
        message = f"“{feature}” is used by {', '.join(used[:3])}{' and others' if len(used) > 3 else ''}: it stays."
        raise Refused(Fault("feature_used_conflict", message)) from None


def set_feature_value(version: PlanVersion, feature: Feature, value: object) -> FeatureValue:
    """What a draft gives of a feature: True or False; a number or “unlimited”; a list of texts or “any”."""
    set_feature_values(version, {feature: value})
    return FeatureValue.objects.select_related("feature").get(version=version, feature=feature)


def remove_feature_value(version: PlanVersion, feature: Feature) -> None:
    """Let a draft say nothing of a feature: who is subscribed does not have it, but for an override."""
    set_feature_values(version, {feature: None})


def set_feature_values(version: PlanVersion, values: Mapping[Feature, object]) -> None:
    """Several at once, None for nothing. `field` of a fault: “tokens.value”."""
    with transaction.atomic():
        draft = locked_draft(version.pk)
        kept = {given.feature_id: given for given in draft.feature_values.all()}
        # In one order for everybody: each write holds its feature until the transaction ends.
        locked = Feature.objects.filter(pk__in=[feature.pk for feature in values]).order_by("pk").select_for_update()
        features = {feature.pk: feature for feature in locked}
        wanted = {feature.pk: value for feature, value in values.items()}
        read = _read(features, wanted)
        for key in features:
            given = kept.get(key)
            if read[key] is None:
                if given is not None:
                    given.delete()
            elif given is None:
                FeatureValue.objects.create(version=draft, feature_id=key, **columns_of(read[key]))
            elif given.value != read[key]:
                given.value = read[key]
                given.save()


def _read(features: Mapping[int, Feature], wanted: Mapping[int, object]) -> dict[int, Any]:
    """Every value read, or every fault."""
    read: dict[int, Any] = {}
    faults: list[Fault] = []
    for key, feature in features.items():
        value = wanted[key]
        try:
            read[key] = None if value is None else feature_values.read(Kind(feature.kind), value, feature.allowed)
        except Refused as refused:
            faults += [
                Fault(fault.code, f"Feature “{feature.name}”: {fault.message}", f"{feature.code}.{fault.field}")
                for fault in refused.faults
            ]
    refuse(faults)
    return read


def _lists(filters: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """As they are kept: each dimension's values once, in their order."""
    return {name: list(dict.fromkeys(values)) for name, values in filters.items()}
