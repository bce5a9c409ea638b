"""Customers, the references that events name them by, and their contacts: the only writer of them."""

from collections.abc import Collection, Mapping, Sequence

from django.db import IntegrityError, transaction

from customers.models import Alias, Contact, Customer
from customers.subscriptions import checks


def create_customer(
    *,
    reference: str,
    name: str,
    currency: str = "USD",
    timezone: str = "UTC",
    email: str = "",
    tax_id: str = "",
    address: str = "",
    country: str = "",
    aliases: Sequence[str] = (),
    contacts: Sequence[Mapping[str, str]] = (),
) -> Customer:
    """Make a customer, known by its reference and the aliases. Raises Refused, and then nothing was made."""
    customer = Customer(
        reference=reference,
        name=name,
        currency=currency,
        timezone=timezone,
        email=email,
        tax_id=tax_id,
        address=address,
        country=country,
    )
    with transaction.atomic():
        _save(customer)
        _keep_aliases(customer, aliases)
        _keep_contacts(customer, contacts)
    return customer


def change_customer(
    customer: Customer,
    *,
    aliases: Sequence[str] | None = None,
    contacts: Sequence[Mapping[str, str]] | None = None,
    **changes: str,
) -> Customer:
    """Change the named fields of a customer; `aliases` and `contacts`, when given, replace all there are.

    A former reference stays an alias, so that no event is lost. Raises Refused, and then nothing was changed.
    """
    unknown = set(changes) - set(checks.CUSTOMER_FIELDS)
    if unknown:
        raise TypeError(f"A customer has no {', '.join(sorted(unknown))}.")
    with transaction.atomic():
        changed = lock(customer.pk)
        for field, value in changes.items():
            setattr(changed, field, value)
        _save(changed)
        if aliases is not None:
            _keep_aliases(changed, aliases)
        if contacts is not None:
            _keep_contacts(changed, contacts)
    customer.refresh_from_db()
    return customer


def add_alias(customer: Customer, reference: str) -> Alias:
    """Let events that carry `reference` be the customer's, those before included. Its own already: nothing happens."""
    with transaction.atomic():
        lock(customer.pk)
        checks.refuse_if(checks.alias_faults(customer.pk, reference))
        try:
            with transaction.atomic():
                alias, _ = Alias.objects.get_or_create(reference=reference, defaults={"customer": customer})
        except IntegrityError as error:
            raise checks.refusal(error) from error
    return alias


def remove_alias(alias: Alias) -> None:
    """Let the reference mean nobody. Raises Refused for a customer's own one."""
    with transaction.atomic():
        lock(alias.customer_id)
        try:
            with transaction.atomic():
                alias.delete()
        except IntegrityError as error:
            raise checks.refusal(error) from error


def lock(customer_id: int) -> Customer:
    """The customer, held against other writers of it and of its subscriptions until the transaction ends."""
    return Customer.objects.select_for_update(no_key=True).get(pk=customer_id)


def _save(customer: Customer) -> None:
    checks.refuse_if(checks.customer_faults(customer))
    try:
        with transaction.atomic():
            customer.save()
    except IntegrityError as error:
        raise checks.refusal(error) from error


def _keep_aliases(customer: Customer, references: Collection[str]) -> None:
    """Exactly these, beside the own one."""
    for alias in customer.aliases.filter(own=False).exclude(reference__in=references):
        remove_alias(alias)
    for reference in sorted(set(references)):
        add_alias(customer, reference)


def _keep_contacts(customer: Customer, contacts: Sequence[Mapping[str, str]]) -> None:
    """Exactly these. Rows that stay as they are keep their history."""
    wanted = [
        Contact(customer=customer, name=each["name"], email=each["email"], role=each.get("role", ""))
        for each in contacts
    ]
    checks.refuse_if([fault for index, each in enumerate(wanted) for fault in checks.contact_faults(each, index)])
    there = {(each.name, each.email, each.role): each for each in customer.contacts.all()}
    for each in wanted:
        if there.pop((each.name, each.email, each.role), None) is None:
            each.save()
    for gone in there.values():
        gone.delete()
