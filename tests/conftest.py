"""What every test may use. See `tests/servers.py` for the servers and `tests/processes.py` for real processes."""

from collections.abc import Iterator
from typing import Any

import pgtrigger
import pytest
from django.db.backends.postgresql.operations import DatabaseOperations


@pytest.fixture(scope="session", autouse=True)
def _tables_may_be_emptied_after_a_test() -> Iterator[None]:
    """A test that commits leaves its rows behind; emptying the tables afterwards is not what the triggers guard against."""
    usual = DatabaseOperations.execute_sql_flush

    def unguarded(self: Any, sql_list: list[str]) -> None:
        with pgtrigger.ignore():
            usual(self, sql_list)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", unguarded)
        yield
