"""What a plan document defines beside its version: products, meters and features, made or changed by their verbs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shapes import at
from catalog.documents import exporting
from catalog.documents.known import unknown
from catalog.documents.plan import PlanDocument
from catalog.features.featuring import change_feature, create_feature
from catalog.models import Feature, Plan, Product
from catalog.versions.products import change_product, create_product
from catalog.writing import Gathered
from meters.definitions import metering
from meters.definitions.metering import draft_of
from meters.models import Meter


def define(document: PlanDocument, gathered: Gathered, notes: list[str], by: Any) -> list[str]:
    """Make what is missing and change what differs; sentences about it go to `notes`, faults are gathered.

    What comes back are those that could not be, as “product.code”. `by`: the user for whom meters count.
    """
    # Features before meters, and in one order: as publishing locks them.
    named = [*document.version.features, *document.features]
    list(Feature.objects.filter(code__in=named).order_by("pk").select_for_update())
    failed: list[str] = []
    _products(document, _Telling(gathered, notes, failed))
    _meters(document, _Telling(gathered, notes, failed), by)
    _features(document, _Telling(gathered, notes, failed))
    return failed


class _Telling:
    """Where it is said what became of each."""

    def __init__(self, gathered: Gathered, notes: list[str], failed: list[str]) -> None:
        self.gathered, self.notes, self.failed = gathered, notes, failed

    @contextmanager
    def at(self, name: str, place: str) -> Iterator[None]:
        before = len(self.gathered.faults)
        with self.gathered.at(place):
            yield
        if len(self.gathered.faults) > before:
            self.failed.append(name)


def _products(document: PlanDocument, telling: _Telling) -> None:
    there = {product.code: product for product in Product.objects.filter(code__in=document.products)}
    for code, terms in sorted(document.products.items()):
        with telling.at(f"product.{code}", at("products", code)):
            if code not in there:
                product = create_product(code=code, **terms)
                telling.notes.append(f"The product “{product}” ({code}) is new.")
            elif differing := changes(there[code], terms):
                change_product(there[code], **differing)
                telling.notes += told(f"The product “{there[code]}”", there[code], differing)


def _meters(document: PlanDocument, telling: _Telling, by: Any) -> None:
    rows = Meter.objects.filter(code__in=document.meters).prefetch_related("values", "dimensions", "bands", "filters")
    there = {meter.code: meter for meter in rows}
    for code, draft in sorted(document.meters.items()):
        with telling.at(f"meter.{code}", at("meters", code)):
            if code not in there:
                metering.create(draft, by)
                telling.notes.append(f"The meter “{draft.name}” ({code}) is new.")
            elif draft_of(there[code]) != draft:
                changed = metering.change(there[code], draft, by)
                anew = ", and counts anew" if changed.generation != there[code].generation else ""
                telling.notes.append(f"The meter “{draft.name}” ({code}) is changed{anew}.")


def _features(document: PlanDocument, telling: _Telling) -> None:
    there = {each.code: each for each in Feature.objects.filter(code__in=document.features).select_related("meter")}
    for code, definition in sorted(document.features.items()):
        with telling.at(f"feature.{code}", at("features", f"{code}.definition")):
            if code not in there:
                feature = create_feature(code=code, **_with_meter(definition, telling.failed))
                telling.notes.append(f"The feature “{feature}” ({code}) is new.")
                continue
            before = exporting.definition_of(there[code])
            differing = {name: value for name, value in definition.items() if value != before[name]}
            if differing:
                change_feature(there[code], **_with_meter(differing, telling.failed))
                telling.notes.append(f"The feature “{definition['name']}” ({code}) is changed.")


def _with_meter(definition: Mapping[str, Any], failed: list[str]) -> dict[str, Any]:
    """With the meter that its code names. Raises Refused when there is none, unless that was told already."""
    terms, code = dict(definition), definition.get("meter")
    if code is not None:
        terms["meter"] = Meter.objects.filter(code=code).first()
        if terms["meter"] is None:
            missing = unknown("meter", code, "meter")
            also = Fault("meter_unknown", f"Its meter “{code}” could not be made: mend that first.", "meter")
            raise Refused(also if f"meter.{code}" in failed else missing)
    return terms


def changes(instance: Plan | Product, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if getattr(instance, name) != value}


def told(about: str, before: Plan | Product, differing: Mapping[str, Any]) -> Iterator[str]:
    for name, value in differing.items():
        was, now = _shown(getattr(before, name)), _shown(value)
        yield f"{about}: its {name.replace('_', ' ')} changes from {was} to {now}."


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "") else f"“{str(value)[:200]}”"
