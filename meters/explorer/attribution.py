"""Usage by any property that events carry, declared as a dimension or not: which team, feature or run used how much.

Read from the raw events, since buckets know declared dimensions alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import ZERO
from meters.events.values import as_text, lookup
from meters.explorer.scanning import Part, Scanned, scan
from meters.measuring import registry
from meters.measuring.counting import COUNTED, Tally, add
from meters.measuring.extraction import Definition, quantities


@dataclass(frozen=True)
class Tagged:
    """What events with one value of the property came to; `value` None: they have none that is a single value.

    `quantities` by meter id, in the meter's unit and rounded as it says; a meter that read nothing is left out.
    """

    value: str | None
    events: int
    quantities: Mapping[int, Decimal]


@dataclass(frozen=True)
class Attribution:
    """`rows` with most events first; `total` of all events.

    `left_out`: meters whose quantity depends on instants, or on which values were seen together.
    """

    rows: Sequence[Tagged]
    total: Tagged
    meters: Sequence[Definition]
    left_out: Sequence[Definition]


class _Tally:
    """Events, and what each meter's values have folded into."""

    def __init__(self) -> None:
        self.events = 0
        self._folded: dict[int, Tally] = {}

    def add(self, definition: Definition, quantity: Decimal) -> None:
        add(self._folded, definition.id, definition.aggregation, quantity)

    def tagged(self, value: str | None, definitions: Mapping[int, Definition]) -> Tagged:
        return Tagged(value, self.events, {meter: self._of(definitions[meter], meter) for meter in self._folded})

    def _of(self, definition: Definition, meter: int) -> Decimal:
        kept, values = self._folded[meter]
        return definition.rounding.apply(definition.aggregation.quantity(kept or ZERO, values))


def attribute(part: Part, name: str) -> Attribution:
    """The usage of `part` by the values of the property `name`; “a.b” reads b inside a. Failed events do not count.

    Raises `meters.explorer.scanning.TooMuch`.
    """
    return grouped_by(name, scan(part, status=COUNTED), registry.current().by_type)


def grouped_by(name: str, events: Iterable[Scanned], by_type: Mapping[str, Sequence[Definition]]) -> Attribution:
    """`attribute` for events that are there; `by_type`: the meters that read each event type."""
    tallies: dict[str | None, _Tally] = {}
    total, seen = _Tally(), dict[int, Definition]()
    for event in events:
        tally = tallies.setdefault(as_text(lookup(event.properties, name)), _Tally())
        tally.events += 1
        total.events += 1
        for definition in by_type.get(event.type, ()):
            for quantity in values_of(definition, event):
                seen[definition.id] = definition
                if not definition.aggregation.keeps:
                    tally.add(definition, quantity)
                    total.add(definition, quantity)
    rows = [tally.tagged(value, seen) for value, tally in tallies.items()]
    rows.sort(key=lambda row: (-row.events, row.value is None, row.value or ""))
    meters = sorted(seen.values(), key=lambda definition: definition.code)
    return Attribution(
        rows,
        total.tagged(None, seen),
        [each for each in meters if not each.aggregation.keeps],
        [each for each in meters if each.aggregation.keeps],
    )


def values_of(definition: Definition, event: Scanned) -> list[Decimal]:
    """What the meter reads from one event, whatever its status."""
    return [found.quantity for found in quantities(definition, event.value, event.properties)]
