"""What the database itself refuses, whoever writes."""

from django.db import IntegrityError, transaction


class violates:  # noqa: N801 - reads as `pytest.raises` does
    """The statement inside violates the constraint of this name."""

    def __init__(self, constraint: str) -> None:
        self.constraint, self.savepoint = constraint, transaction.atomic()

    def __enter__(self) -> None:
        self.savepoint.__enter__()

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        self.savepoint.__exit__(kind, error, trace)  # type: ignore[arg-type]
        assert isinstance(error, IntegrityError), f"{self.constraint} was not violated"
        assert error.__cause__.diag.constraint_name == self.constraint  # type: ignore[union-attr]
        return True
