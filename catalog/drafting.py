"""Plans, their draft versions, and what a draft charges. Each verb raises Refused, and then nothing was changed."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models, transaction
from django.db.models import Max

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Interval
from catalog import checks
from catalog.models import Cell, Charge, Plan, PlanVersion, Product
from catalog.priceable import priceable
from catalog.row_checks import DraftRow, row_faults
from meters.models import Meter
from meters.values import as_text

ANY = "*"
Saved = TypeVar("Saved", bound=models.Model)


def create_plan(*, code: str, name: str, description: str = "") -> Plan:
    """A plan without versions. `code`: lower-case letters, digits, “_”, “.”, “-”, once among plans."""
    return _saved(Plan(code=code, name=name, description=description))


def draft_version(
    plan: Plan,
    *,
    currency: str = "USD",
    interval: str = Interval.MONTH,
    grace: timedelta = timedelta(hours=1),
) -> PlanVersion:
    """An empty draft under the plan's next number."""
    _refuse(checks.currency_faults(currency))
    with transaction.atomic():
        number = _next_number(plan)
        return _saved(PlanVersion(plan=plan, number=number, currency=currency, interval=interval, grace=grace))


def add_flat_charge(
    version: PlanVersion,
    *,
    code: str,
    name: str,
    product: Product,
    amount: Decimal,
    timing: str = Charge.Timing.ADVANCE,
) -> Charge:
    """A fee of `amount`, in the version's currency, for each full period."""
    _refuse(checks.fee_faults(amount, version.currency))
    with transaction.atomic():
        position = _next_position(_locked_draft(version))
        return _saved(
            Charge(
                version=version,
                position=position,
                code=code,
                name=name,
                product=product,
                kind=Charge.Kind.FLAT,
                timing=timing,
                amount=amount,
            )
        )


def add_usage_charge(
    version: PlanVersion,
    *,
    code: str,
    name: str,
    product: Product,
    meter: Meter,
    rows: Iterable[tuple[Mapping[str, object], Decimal]],
    unmatched: str = Charge.Unmatched.HOLD,
) -> Charge:
    """The usage of `meter`, priced by `rows`: ({dimension: value}, unit price), of equals the first one first.

    A dimension that a row leaves out, or gives as `*`, may be anything. Values are compared as text: 1 is “1”, True is
    “true”.
    """
    drafts = [DraftRow(_as_match(match), unit_price) for match, unit_price in rows]
    _refuse(row_faults(priceable(meter), drafts))
    with transaction.atomic():
        position = _next_position(_locked_draft(version))
        charge = _saved(
            Charge(
                version=version,
                position=position,
                code=code,
                name=name,
                product=product,
                kind=Charge.Kind.USAGE,
                timing=Charge.Timing.ARREARS,
                meter=meter,
                unmatched=unmatched,
            )
        )
        Cell.objects.bulk_create(
            Cell(charge=charge, position=index, match=row.match, unit_price=row.unit_price)
            for index, row in enumerate(drafts)
        )
        return charge


def clone_version(version: PlanVersion) -> PlanVersion:
    """A draft under the plan's next number that charges what `version` charges: the way to change a published price."""
    with transaction.atomic():
        number = _next_number(version.plan)
        terms = {"currency": version.currency, "interval": version.interval, "grace": version.grace}
        copy = _saved(PlanVersion(plan=version.plan, number=number, **terms))
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


def _locked_draft(version: PlanVersion) -> PlanVersion:
    """The version, held as a draft until the transaction ends."""
    locked = PlanVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    if locked.status != PlanVersion.Status.DRAFT:
        message = (
            f"Version {locked.number} was published: what it charges never changes. Clone it and change the clone."
        )
        raise Refused(Fault("version_published_conflict", message, "version"))
    return locked


def _next_position(version: PlanVersion) -> int:
    highest: int | None = version.charges.aggregate(highest=Max("position"))["highest"]
    return 0 if highest is None else highest + 1


def _as_match(match: Mapping[str, object]) -> dict[str, str]:
    """Exact values alone, as the text that usage is compared by."""
    texts = {name: as_text(value) for name, value in match.items()}
    return {name: text for name, text in texts.items() if text is not None and text != ANY}


def _saved(instance: Saved) -> Saved:
    try:
        instance.full_clean()
    except ValidationError as error:
        raise Refused(*_faults(error)) from None
    instance.save(force_insert=True)
    return instance


def _faults(error: ValidationError) -> Iterable[Fault]:
    for field, errors in error.error_dict.items():
        for each in errors:
            for message in each.messages:
                yield Fault(each.code or "invalid", message, "" if field == NON_FIELD_ERRORS else field)


def _refuse(faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise Refused(*found)
