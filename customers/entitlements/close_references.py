"""Which references could have been meant by one that nobody has."""

from difflib import get_close_matches

from customers.models import Alias

# Looked at by the unique index of references: those that begin alike, the longer the better.
LOOKED_AT = 200
MOST = 3


def close_references(reference: str) -> list[str]:
    """Up to three that are there, the closest first. At most three queries, each of a few rows."""
    for length in (len(reference) - 1, len(reference) // 2, 1):
        beginning = reference[: max(1, min(length, 100))]
        alike = Alias.objects.filter(reference__startswith=beginning).order_by("reference")
        found = get_close_matches(reference, list(alike.values_list("reference", flat=True)[:LOOKED_AT]), n=MOST)
        if found:
            return found
    return []
