"""The verbs of the catalogue, and its one way from a draft to prices that never change again.

A version is priced while it is a draft (`drafting`, `charging`). Publishing checks it whole and freezes it and the
meters it uses; the database keeps both from then on. Each verb raises Refused, and then nothing was changed.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from catalog.checks import versions as checks
from catalog.features.featuring import (
    change_feature,
    create_feature,
    delete_feature,
    remove_feature_value,
    set_feature_value,
    set_feature_values,
)
from catalog.models import Feature, PlanVersion
from catalog.versions.charging import (
    add_flat_charge,
    add_usage_charge,
    change_charge,
    remove_charge,
    set_amounts,
    set_rows,
)
from catalog.versions.differences import diff
from catalog.versions.drafting import (
    change_plan,
    change_version,
    clone_plan,
    clone_version,
    create_plan,
    delete_plan,
    delete_version,
    draft_version,
    remove_price_list,
    set_price_list,
)
from meters.models import Meter

__all__ = [
    "Review",
    "add_flat_charge",
    "add_usage_charge",
    "change_charge",
    "change_feature",
    "change_plan",
    "change_version",
    "clone_plan",
    "clone_version",
    "create_feature",
    "create_plan",
    "delete_feature",
    "delete_plan",
    "delete_version",
    "draft_version",
    "predecessor",
    "publish",
    "remove_charge",
    "remove_feature_value",
    "remove_price_list",
    "retire",
    "review",
    "set_amounts",
    "set_feature_value",
    "set_feature_values",
    "set_price_list",
    "set_rows",
]

Status = PlanVersion.Status


@dataclass(frozen=True)
class Review:
    """What somebody should read before publishing: faults forbid it, warnings do not.

    `changes`: sentences against `previous`, the plan's last version that was published; None when there is none.
    """

    faults: list[Fault]
    warnings: list[str]
    previous: PlanVersion | None
    changes: list[str]


def review(version: PlanVersion) -> Review:
    """Everything there is to say about publishing this version; changes nothing."""
    previous = predecessor(version)
    changes = diff(previous, version) if previous else []
    return Review(checks.faults(version), checks.warnings(version), previous, changes)


def predecessor(version: PlanVersion) -> PlanVersion | None:
    """The version of the plan that was published last before this one."""
    published = PlanVersion.objects.filter(plan=version.plan_id, published_at__isnull=False)
    return published.filter(number__lt=version.number).order_by("-number").first()


def publish(version: PlanVersion) -> PlanVersion:
    """Make a draft the prices that subscriptions can be made on; refused with every fault at once.

    What is checked stays as it is until the transaction ends: the version's lock keeps its charges and what it
    gives, the features' locks keep what those are, its meters' locks their dimensions and values.
    """
    with transaction.atomic():
        locked = (
            PlanVersion.objects.select_for_update(no_key=True, of=("self",)).select_related("plan").get(pk=version.pk)
        )
        if locked.status != Status.DRAFT:
            raise _not_in(locked, "Only a draft can be published")
        given = Feature.objects.filter(pk__in=locked.feature_values.values("feature"))
        list(given.select_for_update(no_key=True).order_by("pk"))
        used = Q(pk__in=locked.charges.values("meter")) | Q(pk__in=locked.feature_values.values("feature__meter"))
        list(Meter.objects.filter(used).select_for_update(no_key=True).order_by("pk"))
        faults = checks.faults(locked)
        if faults:
            raise Refused(*faults)
        return _moved(locked, Status.DRAFT, Status.PUBLISHED, "published_at")


def retire(version: PlanVersion) -> PlanVersion:
    """Take a published version out of the offer: no new subscription is made on it; those that are there keep it."""
    return _moved(version, Status.PUBLISHED, Status.RETIRED, "retired_at")


def _moved(version: PlanVersion, before: Status, after: Status, instant: str) -> PlanVersion:
    """Move the state by a conditional UPDATE; who comes second finds no row and is refused."""
    found = PlanVersion.objects.filter(pk=version.pk, status=before)
    moved = found.update(**{"status": after, instant: clock.now()})
    current = PlanVersion.objects.select_related("plan").get(pk=version.pk)
    if not moved:
        raise _not_in(current, f"Only a {before.label.lower()} version can become {after.label.lower()}")
    return current


def _not_in(version: PlanVersion, rule: str) -> Refused:
    message = f"{rule}; version {version.number} is {version.get_status_display().lower()}."
    return Refused(Fault("version_status_conflict", message, "status"))
