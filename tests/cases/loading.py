"""Reading case files: JSON lists of cases, each with its group, its source, what is given and what is expected."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

DEFAULT_FOLDER = Path(__file__).parents[3] / "shared" / "cases"


@dataclass(frozen=True)
class Case:
    """One case. Numbers in `given` and `expect` are texts or Decimals, never floats."""

    id: str
    source: str
    group: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]


def load(folder: Path) -> list[Case]:
    """All cases of all files of a folder, in the order of file names. Raises ValueError for a file of another form."""
    return [case for path in sorted(folder.glob("*.json")) for case in _cases(path)]


def _cases(path: Path) -> list[Case]:
    listed = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    if not isinstance(listed, list):
        raise TypeError(f"{path.name} is not a list of cases.")
    return [
        Case(str(each["id"]), str(each["source"]), str(each["group"]), each["given"], each["expect"]) for each in listed
    ]
