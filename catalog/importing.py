"""A plan document made true: its products, its meters, its plan, and one draft version that says exactly what it says.

What was published never changes: a document that says something else makes a new draft, or changes the one that is
there. The same document again changes nothing. All in one transaction. Raises Refused with every fault at its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection, transaction

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import at
from catalog import exporting, filling, publishing
from catalog.documents import PlanDocument, VersionDocument
from catalog.drafting import change_plan, create_plan, draft_version
from catalog.models import Plan, PlanVersion, Product
from catalog.products import change_product, create_product
from catalog.writing import Gathered, locked_draft, refuse
from meters import metering
from meters.metering import draft_of
from meters.models import Meter

Status = PlanVersion.Status
# Advisory lock of this database under which documents are brought in, one after the other: two of them may name the
# same products and meters, of which each would make its own.
IMPORT_LOCK = (74051, 2)


class Did(StrEnum):
    """What became of the version."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Outcome:
    """What came of a document. `notes`: what happened beside the version, in sentences. `published`: by this import.

    `changes`: sentences against the version that was published last before it. `faults` forbid to publish the version,
    `warnings` do not.
    """

    did: Did
    version: PlanVersion
    notes: list[str]
    changes: list[str]
    faults: list[Fault]
    warnings: list[str]
    published: bool = False


def bring(
    document: PlanDocument,
    *,
    into: PlanVersion | None = None,
    publish: bool = False,
    dry_run: bool = False,
    by: Any = None,
) -> Outcome:
    """Make the document true. `into`: in this version; else in the plan's newest draft, or a new one.

    `publish`: publish the version too; refused with all that forbids it. `dry_run`: tell what would come of it, and
    change nothing. `by`: the user for whom meters count what is stored.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", IMPORT_LOCK)
        gathered, notes = Gathered(), list[str]()
        plan = Plan.objects.filter(code=document.plan["code"]).first()
        # The version before its plan, and the plan before meters: in the order in which publishing locks them.
        version = None if plan is None else _target(plan, document.version, into)
        plan = _plan(document, plan, gathered, notes)
        told = [*_products(document, gathered, notes), *_meters(document, gathered, notes, by)]
        wanted = document.version
        have = filling.known(list(wanted.charges.values()), wanted.terms["commitment_product"], told)
        did, standing = Did.UNCHANGED, None if version is None else exporting.content(version)
        if version is None or standing != wanted:
            did = Did.CREATED if version is None else Did.CHANGED
            version = draft_version(plan) if version is None else locked_draft(version.pk)
            filling.fill(version, standing or exporting.content(version), wanted, have, gathered)
        refuse(gathered.faults)
        outcome = _outcome(did, version, notes, publish=publish)
        if dry_run:
            transaction.set_rollback(True)
        return outcome


def _target(plan: Plan, wanted: VersionDocument, into: PlanVersion | None) -> PlanVersion | None:
    """The version that is compared with the document, locked: None when it takes a new one."""
    if into is not None:
        return PlanVersion.objects.select_for_update(no_key=True).get(pk=into.pk)
    draft = _newest_draft(plan)
    published = PlanVersion.objects.filter(plan=plan, status=Status.PUBLISHED).order_by("-number").first()
    if published is not None and exporting.content(published) == wanted:
        return published
    return draft


def _newest_draft(plan: Plan) -> PlanVersion | None:
    while True:
        newest = PlanVersion.objects.filter(plan=plan, status=Status.DRAFT).order_by("-number").first()
        if newest is None:
            return None
        locked = PlanVersion.objects.select_for_update(no_key=True).filter(pk=newest.pk).first()
        if locked is not None and locked.status == Status.DRAFT:  # else it was published or thrown away just now
            return locked


def _plan(document: PlanDocument, plan: Plan | None, gathered: Gathered, notes: list[str]) -> Plan:
    if plan is None:
        plan = create_plan(**document.plan)  # without it there is nothing else to tell
        notes.append(f"The plan “{plan}” ({plan.code}) is new.")
        return plan
    changes = _changes(plan, document.plan)
    if changes:
        with gathered.at(""):
            change_plan(plan, **changes)
            notes += _told(f"The plan “{plan}”", plan, changes)
    return plan


def _products(document: PlanDocument, gathered: Gathered, notes: list[str]) -> Iterator[str]:
    """Make and change those that the document has; yields those that could not be."""
    there = {product.code: product for product in Product.objects.filter(code__in=document.products)}
    for code, terms in sorted(document.products.items()):
        before = len(gathered.faults)
        with gathered.at(at("products", code)):
            if code not in there:
                product = create_product(code=code, **terms)
                notes.append(f"The product “{product}” ({code}) is new.")
            elif changes := _changes(there[code], terms):
                change_product(there[code], **changes)
                notes += _told(f"The product “{there[code]}”", there[code], changes)
        if len(gathered.faults) > before:
            yield f"product.{code}"


def _meters(document: PlanDocument, gathered: Gathered, notes: list[str], by: Any) -> Iterator[str]:
    """Make and change those that the document defines; yields those that could not be."""
    rows = Meter.objects.filter(code__in=document.meters).prefetch_related("values", "dimensions", "bands", "filters")
    there = {meter.code: meter for meter in rows}
    for code, draft in sorted(document.meters.items()):
        before = len(gathered.faults)
        with gathered.at(at("meters", code)):
            if code not in there:
                metering.create(draft, by)
                notes.append(f"The meter “{draft.name}” ({code}) is new.")
            elif draft_of(there[code]) != draft:
                changed = metering.change(there[code], draft, by)
                anew = changed.generation != there[code].generation
                notes.append(f"The meter “{draft.name}” ({code}) is changed{', and counts anew' if anew else ''}.")
        if len(gathered.faults) > before:
            yield f"meter.{code}"


def _changes(instance: Plan | Product, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if getattr(instance, name) != value}


def _told(about: str, before: Plan | Product, changes: Mapping[str, Any]) -> Iterator[str]:
    for name, value in changes.items():
        was, now = getattr(before, name), value
        yield f"{about}: its {name.replace('_', ' ')} changes from {_shown(was)} to {_shown(now)}."


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "") else f"“{str(value)[:200]}”"


def _outcome(did: Did, version: PlanVersion, notes: list[str], *, publish: bool) -> Outcome:
    published = publish and version.status == Status.DRAFT
    if published:
        publishing.publish(version)
    standing = PlanVersion.objects.select_related("plan").get(pk=version.pk)
    if standing.status != Status.DRAFT and not published:
        return Outcome(did, standing, notes, [], [], [])
    review = publishing.review(standing)
    return Outcome(did, standing, notes, review.changes, review.faults, review.warnings, published)
