"""What some events add, laid out beforehand and written in the transaction that stores them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from meters import arrays
from meters.database import columns, pipeline, send, send_commit
from meters.measuring.counting import Counted, Point
from meters.usage import buckets

# One busy customer's senders would queue on a bucket's row: each connection writes to one of so many, summed on
# reading.
SLOTS = 8


@dataclass(frozen=True)
class Additions:
    """What some events add, ready to be sent. `changes`: arrays of customers, meters, hours."""

    changes: tuple[object, ...]
    tallies: Sequence[buckets.Rows]
    points: Sequence[tuple[str, int, Point]]
    values: Collection[tuple[str, int, datetime, str]]


def lay_out(counted: Counted) -> Additions:
    """What `add` writes, made beforehand."""
    changes = [(customer, meter, hour) for (customer, meter), hour in counted.changes.items()]
    customers, meters, hours = columns(changes, 3)
    return Additions(
        (arrays.texts(customers), arrays.longs(meters), arrays.instants(hours)),
        buckets.lay_out(counted.tallies),
        counted.points,
        counted.values,
    )


def add(additions: Additions, closed_until: datetime | None, *, commit: bool = False) -> None:
    """Write what some events add, in the transaction that stores them or notes that they are counted; and commit it.

    The caller holds the definitions, which say until when days are closed.
    """
    if additions.tallies:
        with pipeline():
            send_additions(additions, closed_until)
            if commit:
                send_commit()


def send_additions(additions: Additions, closed_until: datetime | None) -> None:
    """The same in the caller's pipeline, which may have begun with holding the definitions."""
    if additions.tallies:
        slot = connection.connection.info.backend_pid % SLOTS
        send(buckets.INSERT_CHANGES, *additions.changes, prepare=True)
        buckets.send_points(additions.points)
        buckets.send_rows(additions.tallies, slot, closed_until)
        buckets.send_values(additions.values)
