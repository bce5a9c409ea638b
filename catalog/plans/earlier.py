"""Who is still on earlier versions of a plan. Who keeps subscriptions says so here as the site starts.

This app stands above that one and does not know it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog.models import PlanVersion


@dataclass(frozen=True)
class Earlier:
    """An earlier version with running subscriptions. `move`, `target`: what moves them already; else `unfit`: why
    nobody can be moved from it.
    """

    version: PlanVersion
    running: int
    move: int | None = None
    target: str = ""
    unfit: str = ""


Reader = Callable[[PlanVersion], Sequence[Earlier]]
_readers: list[Reader] = []


def tell(reader: Reader) -> None:
    """From now on `reader` says it, the latest version first."""
    _readers[:] = [reader]


def of(version: PlanVersion) -> Sequence[Earlier]:
    return _readers[0](version) if _readers else ()
