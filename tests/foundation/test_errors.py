"""What a verb raises when it refuses."""

import pytest

from billing_site.foundation.errors import Fault, Refused


def test_all_faults_are_told() -> None:
    refused = Refused(Fault("code_taken", "The code is taken.", "code"), Fault("name_missing", "The name is missing."))
    assert str(refused) == "The code is taken.; The name is missing."
    assert [fault.code for fault in refused.faults] == ["code_taken", "name_missing"]


def test_a_refusal_says_why() -> None:
    with pytest.raises(ValueError, match="at least one Fault"):
        Refused()
