"""A plan document made true: its products, its meters, its plan, and one draft version that says exactly what it says.

What was published never changes: a document that says something else makes a new draft, or changes the one that is
there. The same document again changes nothing. All in one transaction. Raises Refused with every fault at its place.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.db import connection, transaction

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import at
from catalog.documents import defining, exporting, filling
from catalog.documents.known import Known, known, unknown
from catalog.documents.plan import PlanDocument, VersionDocument
from catalog.features.values import Kind, read, written
from catalog.models import Plan, PlanVersion
from catalog.versions import publishing
from catalog.versions.drafting import change_plan, create_plan, draft_version
from catalog.writing import Gathered, locked_draft, refuse

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
        # The version before its plan, and both before features and meters: in the order in which publishing locks them.
        draft = None if plan is None else _locked(plan, into)
        plan = _plan(document, plan, gathered, notes)
        told = defining.define(document, gathered, notes, by)
        have = known(document.version, told)
        wanted = _normal(document.version, have, gathered)
        version = _sold(plan, wanted) if into is None else None
        version = draft if version is None else version
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


def _locked(plan: Plan, into: PlanVersion | None) -> PlanVersion | None:
    """The version that may have to change, locked: that of the address, or the newest draft."""
    if into is not None:
        return PlanVersion.objects.select_for_update(no_key=True).get(pk=into.pk)
    while True:
        newest = PlanVersion.objects.filter(plan=plan, status=Status.DRAFT).order_by("-number").first()
        if newest is None:
            return None
        locked = PlanVersion.objects.select_for_update(no_key=True).filter(pk=newest.pk).first()
        if locked is not None and locked.status == Status.DRAFT:  # else it was published or thrown away just now
            return locked


def _sold(plan: Plan, wanted: VersionDocument) -> PlanVersion | None:
    """The newest published version, when it is what is wanted: there is nothing to do then."""
    published = PlanVersion.objects.filter(plan=plan, status=Status.PUBLISHED).order_by("-number").first()
    return published if published is not None and exporting.content(published) == wanted else None


def _plan(document: PlanDocument, plan: Plan | None, gathered: Gathered, notes: list[str]) -> Plan:
    if plan is None:
        plan = create_plan(**document.plan)  # without it there is nothing else to tell
        notes.append(f"The plan “{plan}” ({plan.code}) is new.")
        return plan
    changes = defining.changes(plan, document.plan)
    if changes:
        with gathered.at(""):
            change_plan(plan, **changes)
            notes += defining.told(f"The plan “{plan}”", plan, changes)
    return plan


def _normal(wanted: VersionDocument, have: Known, gathered: Gathered) -> VersionDocument:
    """With the values of features as they are written once they are read: “1000.0” is “1000”."""
    features = {}
    for code, value in wanted.features.items():
        feature, place = have.features.get(code), at("features", code)
        if feature is not None:
            kind = Kind(feature.kind)
            with gathered.at(place):
                features[code] = written(kind, read(kind, value, feature.allowed))
        elif f"feature.{code}" not in have.told:
            gathered.add(unknown("feature", code, ""), place)
    return replace(wanted, features=features)


def _outcome(did: Did, version: PlanVersion, notes: list[str], *, publish: bool) -> Outcome:
    published = publish and version.status == Status.DRAFT
    if published:
        publishing.publish(version)
    standing = PlanVersion.objects.select_related("plan").get(pk=version.pk)
    if standing.status != Status.DRAFT and not published:
        return Outcome(did, standing, notes, [], [], [])
    review = publishing.review(standing)
    return Outcome(did, standing, notes, review.changes, review.faults, review.warnings, published)
