"""Plans and their draft versions. Each verb raises Refused, and then nothing was changed."""

from datetime import timedelta

from django.db import models, transaction
from django.db.models import Max

from billing_site.foundation.periods import Interval
from catalog import checks
from catalog.models import Cell, Plan, PlanVersion
from catalog.writing import Saved, locked_draft, refuse, save


def create_plan(*, code: str, name: str, description: str = "") -> Plan:
    """A plan without versions. `code`: lower-case letters, digits, “_”, “.”, “-”, once among plans."""
    return save(Plan(code=code, name=name, description=description))


def draft_version(
    plan: Plan,
    *,
    currency: str = "USD",
    interval: str = Interval.MONTH,
    grace: timedelta = timedelta(hours=1),
) -> PlanVersion:
    """An empty draft under the plan's next number."""
    refuse(checks.currency_faults(currency))
    with transaction.atomic():
        number = _next_number(plan)
        return save(PlanVersion(plan=plan, number=number, currency=currency, interval=interval, grace=grace))


def change_version(version: PlanVersion, *, currency: str, interval: str, grace: timedelta) -> PlanVersion:
    """Other terms for a draft."""
    refuse(checks.currency_faults(currency))
    with transaction.atomic():
        draft = locked_draft(version.pk)
        draft.currency, draft.interval, draft.grace = currency, interval, grace
        return save(draft)


def delete_version(version: PlanVersion) -> None:
    """Throw a draft away, with what it charges."""
    with transaction.atomic():
        locked_draft(version.pk).delete()


def clone_version(version: PlanVersion) -> PlanVersion:
    """A draft under the plan's next number that charges what `version` charges: the way to change a published price."""
    with transaction.atomic():
        number = _next_number(version.plan)
        terms = {"currency": version.currency, "interval": version.interval, "grace": version.grace}
        copy = save(PlanVersion(plan=version.plan, number=number, **terms))
        for charge in version.charges.prefetch_related("cells"):
            charge_copy = _copy(charge, version=copy)
            charge_copy.save(force_insert=True)
            Cell.objects.bulk_create(_copy(cell, charge=charge_copy) for cell in charge.cells.all())
        return copy


def _copy(original: Saved, **changed: models.Model) -> Saved:
    """An unsaved row with the values of another."""
    kept = [f.attname for f in original._meta.concrete_fields if not f.primary_key and f.name not in changed]
    return type(original)(**{name: getattr(original, name) for name in kept}, **changed)


def _next_number(plan: Plan) -> int:
    """Under the plan's lock, so that two drafts begun at once get two numbers."""
    Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)
    highest: int | None = plan.versions.aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1
