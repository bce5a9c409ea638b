"""The one exception that a person is meant to read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input: which field, which value, and how to mend it."""

    code: str
    message: str
    field: str = ""


class Refused(Exception):
    """A verb was asked for something that it will not do; nothing was changed.

    Faces turn it into an HTTP 409/422 or a form error. `faults` is never empty.
    """

    def __init__(self, *faults: Fault) -> None:
        if not faults:
            raise ValueError("Refused needs at least one Fault.")
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults
