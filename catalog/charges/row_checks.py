"""What is wrong with the rows of a charge, in words that say how to mend it. Pure.

A fault's field is “rows.2.match”, “rows.2.unit_price” or the like (counted from 0), or “rows” for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from billing_site.foundation.errors import Fault
from catalog.charges.priceable import Priceable
from catalog.charges.row_meeting import Work, matrix_of, meeting
from catalog.pricing.draft_row import DraftRow
from catalog.pricing.price import Model, Price, price_faults

__all__ = ["DraftRow", "costs_nothing", "counted_twice", "leaves_gap", "row_faults", "words"]


VALUE_AT_MOST = 255


def row_faults(priceable: Priceable, rows: Sequence[DraftRow]) -> Iterator[Fault]:
    """Everything that is wrong with a charge's rows."""
    seen: dict[tuple[tuple[str, str], ...], int] = {}
    for index, row in enumerate(rows):
        for _, fault in match_faults(priceable, row.match, f"rows.{index}.match"):
            yield fault
        yield from price_faults(row.price, f"rows.{index}")
        first = seen.setdefault(tuple(sorted(row.match.items())), index)
        if first != index:
            message = f"Rows {first + 1} and {index + 1} are both for {words(row.match)}: remove one of them."
            yield Fault("row_twice", message, f"rows.{index}.match")


def match_faults(priceable: Priceable, match: Mapping[str, str], field: str) -> Iterator[tuple[str, Fault]]:
    """What is wrong with a row's values, and which dimension each is of."""
    for name, value in match.items():
        for fault in _value_faults(priceable, name, value, field):
            yield name, fault


def _value_faults(priceable: Priceable, name: str, value: str, field: str) -> Iterator[Fault]:
    if name in priceable.unready:
        status = priceable.unready[name]
        message = (
            f"The dimension “{name}” of the meter “{priceable.meter}” is {status} and cannot be priced:"
            f" make it active, or write * for {name}."
        )
        yield Fault("dimension_not_active", message, field)
    elif name not in priceable.dimensions:
        message = f"The meter “{priceable.meter}” has no dimension “{name}”: {choose(name, priceable.dimensions)}."
        yield Fault("dimension_unknown", message, field)
    elif not value:
        yield Fault("value_empty", f"The value of “{name}” is empty: write one, or * for any.", field)
    elif len(value) > VALUE_AT_MOST:
        message = f"The value of “{name}” has {len(value):,} characters: {VALUE_AT_MOST} are possible."
        yield Fault("value_too_long", message, field)
    elif (only := priceable.only(name)) is not None and value not in only:
        message = (
            f"The meter “{priceable.meter}” never gives {name} “{value}”: {choose(value, only)}, or write * for any."
        )
        yield Fault("label_unknown", message, field)


def leaves_gap(priceable: Priceable, matches: Sequence[Mapping[str, str]]) -> bool:
    """Whether there can be usage that no row prices: no row of only *, nor one of only each label."""
    if {} in matches:
        return False
    label = priceable.label_dimension
    return not label or any({label: value} not in matches for value in priceable.labels)


def counted_twice(
    label_dimension: str, sources: Mapping[str, frozenset[str]], rows: Sequence[DraftRow]
) -> Iterator[tuple[str, list[str]]]:
    """Labels that add up what others count, where a row of * for the label makes both be paid: (total, its parts).

    `sources`: the properties that each label adds up. `rows`: in their order. Two rows that name the labels are meant.
    """
    labels = _Labels(label_dimension, rows)
    for total, added in sources.items():
        smaller = [label for label, of in sources.items() if len(of) < len(added) and of & added]
        parts = [label for label in smaller if labels.both_paid(total, label)]
        if parts:
            yield total, parts


class _Labels:
    """Which rows are paid for usage under which label."""

    def __init__(self, dimension: str, rows: Sequence[DraftRow]) -> None:
        self.dimension, self.rows = dimension, rows
        self.matrix = matrix_of([row.match for row in rows])
        self.apart = [{name: value for name, value in row.match.items() if name != dimension} for row in rows]
        self.winners = cache(self._winners)
        self.paid = [index for index, row in enumerate(rows) if not costs_nothing(row.price)]

    def both_paid(self, total: str, part: str) -> bool:
        """Whether one event can be paid for under both labels, by rows of which one at least takes any label.

        Where two rows meet, the values that they ask for and none besides decide: a row that takes more of them away
        from one of the two would take it away everywhere else, too.
        """
        work = Work()
        (any_one, own_one), (any_other, own_other) = self.winners(total), self.winners(part)
        for ones, others in ((any_one, any_other), (any_one, own_other), (own_one, any_other)):
            for one, other in meeting([self.apart[row] for row in ones], [self.apart[row] for row in others], work):
                either = {**self.apart[ones[one]], **self.apart[others[other]]}
                if self._wins(ones[one], either, total) and self._wins(others[other], either, part):
                    return True
        return False

    def _winners(self, label: str) -> tuple[list[int], list[int]]:
        """The rows that are paid for some usage of a label: those that take any label, and those that name it.

        One that loses the very values that it asks for loses everywhere.
        """
        fits = (row for row in self.paid if self.rows[row].match.get(self.dimension, label) == label)
        found = [row for row in fits if self._wins(row, self.apart[row], label)]
        named = [row for row in found if self.dimension in self.rows[row].match]
        return [row for row in found if self.dimension not in self.rows[row].match], named

    def _wins(self, row: int, values: Mapping[str, str], label: str) -> bool:
        found = self.matrix.row_for({**values, self.dimension: label})
        return found is not None and found.id == row


def costs_nothing(price: Price) -> bool:
    """Whether it is 0 whatever is used. What is bought may cost something, however little is added to it."""
    if price.model == Model.COST_PLUS:
        return False
    tiers = [amount for tier in price.tiers for amount in (tier.unit_price, tier.flat_price)]
    return not any((price.unit_price, price.percent, price.fixed, *tiers))


def words(match: Mapping[str, str]) -> str:
    """A row's values for people: “model = model-a, token_type = input”, or “everything (*)”."""
    return ", ".join(f"{name} = {value}" for name, value in match.items()) or "everything (*)"


def choose(given: str, known: Sequence[str]) -> str:
    """What could have been meant, for the end of a sentence."""
    close = get_close_matches(given, known, n=1)
    if close:
        return f"did you mean “{close[0]}”"
    return "it knows " + ", ".join(f"“{name}”" for name in known) if known else "it has none, so write *"
