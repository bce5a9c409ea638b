"""Plan versions read as documents, in the same few queries however many there are of anything."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from django.db.models import Q, QuerySet

from catalog.charges.cell_prices import price_of
from catalog.documents import plan, text
from catalog.documents.plan import ChargeDocument, ListedCharge, PlanDocument, VersionDocument, ranked
from catalog.documents.shapes import FEATURE, PLAN, PRICE_LIST, PRODUCT_IN_A_DOCUMENT, TERMS
from catalog.features.values import Kind, written
from catalog.models import Cell, Charge, Feature, Plan, PlanVersion, Product
from catalog.pricing.draft_row import DraftRow
from meters.definitions.drafts import MeterDraft
from meters.definitions.metering import draft_of
from meters.models import Meter

# Nine queries, however much there is of anything.
WHOLE: QuerySet[PlanVersion] = PlanVersion.objects.select_related("plan", "commitment_product").prefetch_related(
    *("price_lists", "charges__amounts", "charges__cells", "charges__product", "charges__meter"),
    "feature_values__feature__meter",
)


def export(version: PlanVersion, *, definitions: bool = False) -> PlanDocument:
    """The document of one version; `definitions`: with those of the meters and features that it uses."""
    return exported([version], definitions=definitions)[version.pk]


def exported(versions: Collection[PlanVersion], *, definitions: bool = False) -> dict[int, PlanDocument]:
    """The documents of versions, by id. With definitions it takes five queries more."""
    read = _versions(versions)
    drafts = _drafts(versions) if definitions else {}
    return {pk: _document(version, drafts, definitions=definitions) for pk, version in read.items()}


def content(version: PlanVersion) -> VersionDocument:
    """What one version says in the database now, without its plan."""
    return content_of(_versions([version])[version.pk])


def tag_of(version: PlanVersion) -> str:
    """What changes with anything that the version says, and with its status: for who must not overwrite another.

    Reads what `WHOLE` fetches.
    """
    said = text.version_to_json(content_of(version))
    return sha256(f"{version.pk} {version.status} {said}".encode()).hexdigest()[:32]


def chosen(plans: Collection[Plan]) -> dict[int, PlanVersion]:
    """The version that stands for each plan: the newest that can be subscribed to, else the newest draft, else the
    newest. Plans without versions are left out. One query.
    """
    found: dict[int, PlanVersion] = {}
    versions = PlanVersion.objects.filter(plan__in=plans).select_related("plan").order_by("number")
    for version in sorted(versions, key=lambda each: _STANDING.index(each.status)):
        found[version.plan_id] = version
    return found


_STANDING = (PlanVersion.Status.RETIRED, PlanVersion.Status.DRAFT, PlanVersion.Status.PUBLISHED)


def _versions(versions: Collection[PlanVersion]) -> dict[int, PlanVersion]:
    return WHOLE.filter(pk__in=[version.pk for version in versions]).in_bulk()


def _drafts(versions: Collection[PlanVersion]) -> dict[str, MeterDraft]:
    wanted = [version.pk for version in versions]
    used = Q(charges__version__in=wanted) | Q(features__values__version__in=wanted)
    meters = Meter.objects.filter(used).distinct().prefetch_related("values", "dimensions", "filters", "bands")
    return {meter.code: draft_of(meter) for meter in meters}


def _document(version: PlanVersion, drafts: Mapping[str, MeterDraft], *, definitions: bool) -> PlanDocument:
    charges, given = list(version.charges.all()), list(version.feature_values.all())
    products: list[Product | None] = [version.commitment_product, *(charge.product for charge in charges)]
    meters = [*(charge.meter for charge in charges), *(each.feature.meter for each in given)]
    return PlanDocument(
        plan={name: getattr(version.plan, name) for name in PLAN.fields},
        products={
            product.code: {name: getattr(product, name) for name in PRODUCT_IN_A_DOCUMENT.fields}
            for product in products
            if product is not None
        },
        meters={code: drafts[code] for code in {meter.code for meter in meters if meter} & drafts.keys()},
        version=content_of(version),
        features={each.feature.code: definition_of(each.feature) for each in given} if definitions else {},
    )


def definition_of(feature: Feature) -> dict[str, Any]:
    """A feature as documents say it: its meter is a code. Reads the meter."""
    said: dict[str, Any] = {
        "meter": feature.meter.code if feature.meter else None,
        "filters": {name: tuple(values) for name, values in feature.filters.items()},
        "allowed": tuple(feature.allowed),
    }
    return {name: said.get(name, getattr(feature, name)) for name in FEATURE.fields}


def content_of(version: PlanVersion) -> VersionDocument:
    """What a version says. Reads what `WHOLE` fetches."""
    currencies = {each.pk: each.currency for each in version.price_lists.all()}
    lists = {
        each.currency: {name: getattr(each, name) for name in PRICE_LIST.fields} for each in version.price_lists.all()
    }
    charges = {charge.code: _charge(charge, currencies) for charge in version.charges.all()}
    features = {
        given.feature.code: written(Kind(given.feature.kind), given.value) for given in version.feature_values.all()
    }
    return ranked(VersionDocument(_terms(version), lists, charges, features))


def _terms(version: PlanVersion) -> dict[str, Any]:
    product = version.commitment_product
    said = {
        "grace_seconds": int(version.grace.total_seconds()),
        "commitment_product": None if product is None else product.code,
    }
    return {name: said[name] if name in said else getattr(version, name) for name in TERMS.fields}


def _charge(charge: Charge, currencies: Mapping[int, str]) -> ChargeDocument:
    said = {"product": charge.product.code, "meter": charge.meter.code if charge.meter else None}
    terms = {name: said.get(name, getattr(charge, name)) for name in plan.terms_of(charge.kind)}
    rows: dict[int | None, list[Cell]] = {}
    for cell in charge.cells.all():
        rows.setdefault(cell.price_list_id, []).append(cell)
    amounts = {each.price_list_id: each for each in charge.amounts.all()}
    lists = {}
    for pk, currency in currencies.items():
        sums = {name: getattr(amounts[pk], name) for name in ("amount", "minimum", "cap")} if pk in amounts else {}
        lists[currency] = ListedCharge(**sums, rows=_rows(rows.get(pk, [])))
    lists = {currency: listed for currency, listed in lists.items() if listed != ListedCharge()}
    return ChargeDocument(charge.kind, terms, _rows(rows.get(None, [])), lists)


def _rows(cells: Collection[Cell]) -> tuple[DraftRow, ...]:
    return tuple(DraftRow(cell.match, price_of(cell)) for cell in cells)
