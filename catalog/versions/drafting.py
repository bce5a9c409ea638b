"""Plans and their draft versions. Each verb raises Refused, and then nothing was changed."""

from datetime import timedelta
from decimal import Decimal
from typing import TypedDict, Unpack

from django.db import models, transaction
from django.db.models import Max

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Interval
from catalog.checks import versions as checks
from catalog.models import Cell, ChargeAmount, FeatureValue, Plan, PlanVersion, PriceList, Product
from catalog.writing import Saved, all_faults, locked_draft, refuse, save, store


class Terms(TypedDict, total=False):
    """What a draft says of itself; sums in its currency, of a full period."""

    currency: str
    interval: str
    grace: timedelta
    minimum: Decimal | None
    cap: Decimal | None
    commitment_product: Product | None
    when_empty: str
    included_credits: Decimal | None
    credit_price: Decimal | None


class PlanTerms(TypedDict, total=False):
    """What a plan says of itself."""

    code: str
    name: str
    description: str
    consumption: str
    margin_floor: Decimal | None


TERMS = tuple(Terms.__annotations__)


def create_plan(
    *,
    code: str,
    name: str,
    description: str = "",
    consumption: str = Plan.Consumption.METERED,
    margin_floor: Decimal | None = None,
) -> Plan:
    """A plan without versions. `code`: lower-case letters, digits, “_”, “.”, “-”, once among plans."""
    return save(Plan(code=code, name=name, description=description, consumption=consumption, margin_floor=margin_floor))


def change_plan(plan: Plan, **changes: Unpack[PlanTerms]) -> Plan:
    """Save a plan that was changed, or change what is given and leave the rest.

    How usage is paid for stays once a version was published.
    """
    published = PlanVersion.objects.filter(plan=plan).exclude(status=PlanVersion.Status.DRAFT)
    with transaction.atomic():
        before = Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)  # no version is published meanwhile
        changed = Plan.objects.get(pk=plan.pk) if changes else plan
        for name, value in changes.items():
            setattr(changed, name, value)
        if changed.consumption != before.consumption and published.exists():
            message = (
                f"A version of “{before}” was published, so its usage stays paid for as it is: make another plan"
                " instead."
            )
            raise Refused(Fault("consumption_conflict", message, "consumption"))
        return save(changed)


def delete_plan(plan: Plan) -> None:
    """Throw a plan away, with its drafts. One of which a version was published stays."""
    with transaction.atomic():
        held = Plan.objects.select_for_update().get(pk=plan.pk)
        published = held.versions.exclude(status=PlanVersion.Status.DRAFT).order_by("number").first()
        if published is not None:
            message = f"{published} was published, so “{held}” stays: retire what shall not be sold any more."
            raise Refused(Fault("plan_published_conflict", message))
        held.versions.all().delete()
        held.delete()


def draft_version(plan: Plan, **terms: Unpack[Terms]) -> PlanVersion:
    """An empty draft under the plan's next number; in USD, monthly, with an hour of grace unless `terms` say else."""
    given: Terms = {"currency": "USD", "interval": Interval.MONTH, "grace": timedelta(hours=1), **terms}
    with transaction.atomic():
        draft = PlanVersion(plan=plan, number=_next_number(plan), **given)
        refuse(all_faults(checks.terms_faults(draft), draft))
        return store(draft)


def change_version(version: PlanVersion, **terms: Unpack[Terms]) -> PlanVersion:
    """Other terms for a draft: those that are given."""
    with transaction.atomic():
        draft = locked_draft(version.pk)
        for name, value in terms.items():
            setattr(draft, name, value)
        listed = draft.price_lists.filter(currency=draft.currency).exists()
        found = [*checks.terms_faults(draft), *(_listed_already(draft.currency) if listed else ())]
        refuse(all_faults(found, draft))
        return store(draft)


def _listed_already(currency: str) -> list[Fault]:
    message = f"The version has a price list in {currency}: remove that first, or choose another currency."
    return [Fault("currency_conflict", message, "currency")]


def set_price_list(
    version: PlanVersion,
    currency: str,
    *,
    minimum: Decimal | None = None,
    cap: Decimal | None = None,
    credit_price: Decimal | None = None,
) -> PriceList:
    """A further currency for a draft, or other sums for one that it has; its charges then need their prices in it."""
    refuse(checks.currency_faults(currency))
    with transaction.atomic():
        draft = locked_draft(version.pk)
        if draft.currency == currency:
            message = f"The version is priced in {currency} itself: a price list is for another currency."
            raise Refused(Fault("currency_conflict", message, "currency"))
        listed = draft.price_lists.filter(currency=currency).first() or PriceList(version=draft, currency=currency)
        listed.minimum, listed.cap, listed.credit_price = minimum, cap, credit_price
        sums = {name: each for name, each in (("minimum", minimum), ("cap", cap)) if each is not None}
        found = (fault for name, each in sums.items() for fault in checks.fee_faults(each, currency, name))
        refuse(all_faults(found, listed))
        return store(listed)


def remove_price_list(version: PlanVersion, currency: str) -> None:
    """Take a further currency away from a draft, with all its prices."""
    with transaction.atomic():
        locked_draft(version.pk).price_lists.filter(currency=currency).delete()


def delete_version(version: PlanVersion) -> None:
    """Throw a draft away, with what it charges."""
    with transaction.atomic():
        locked_draft(version.pk).delete()


def clone_version(version: PlanVersion) -> PlanVersion:
    """A draft under the plan's next number that charges and gives the same: the way to change a published price."""
    with transaction.atomic():
        return _copied(version, version.plan)


def clone_plan(plan: Plan, *, code: str, name: str) -> Plan:
    """Another plan whose first draft charges what the newest version of `plan` does, a published one before a draft."""
    with transaction.atomic():
        made = create_plan(
            code=code,
            name=name,
            description=plan.description,
            consumption=plan.consumption,
            margin_floor=plan.margin_floor,
        )
        versions = PlanVersion.objects.filter(plan=plan).order_by("-number")
        newest = versions.exclude(status=PlanVersion.Status.DRAFT).first() or versions.first()
        if newest is not None:
            _copied(newest, made)
        return made


def _copied(version: PlanVersion, plan: Plan) -> PlanVersion:
    terms = {name: getattr(version, name) for name in TERMS}
    copy = save(PlanVersion(plan=plan, number=_next_number(plan), **terms))
    lists: dict[int | None, PriceList | None] = {None: None}
    for price_list in version.price_lists.all():
        lists[price_list.pk] = _copy(price_list, version=copy)
        lists[price_list.pk].save(force_insert=True)  # type: ignore[union-attr]
    for charge in version.charges.prefetch_related("cells", "amounts"):
        charge_copy = _copy(charge, version=copy)
        charge_copy.save(force_insert=True)
        Cell.objects.bulk_create(
            [_copy(cell, charge=charge_copy, price_list=lists[cell.price_list_id]) for cell in charge.cells.all()],
            batch_size=1_000,
        )
        ChargeAmount.objects.bulk_create(
            _copy(each, charge=charge_copy, price_list=lists[each.price_list_id]) for each in charge.amounts.all()
        )
    given = version.feature_values.order_by("feature_id")  # in one order: each write holds its feature
    FeatureValue.objects.bulk_create(_copy(each, version=copy) for each in given)
    return copy


def _copy(original: Saved, **changed: models.Model | None) -> Saved:
    """An unsaved row with the values of another."""
    kept = [f.attname for f in original._meta.concrete_fields if not f.primary_key and f.name not in changed]
    return type(original)(**{name: getattr(original, name) for name in kept}, **changed)


def _next_number(plan: Plan) -> int:
    """Under the plan's lock, so that two drafts begun at once get two numbers."""
    Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)
    highest: int | None = plan.versions.aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1
