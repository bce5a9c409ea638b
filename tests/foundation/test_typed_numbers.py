"""What somebody typed is quoted, with what to write."""

import pytest

from billing_site.foundation.typed_numbers import unread


@pytest.mark.parametrize(
    ("typed", "whole", "said"),
    [
        (" 1,5 ", False, "“1,5” has a comma: write a point for decimals, and nothing between thousands."),
        ("1,500", True, "“1,500” has a comma: write a whole number in digits alone."),
        ("2.5", True, "“2.5” is no whole number: write it in digits alone, for example 200000."),
        ("a lot", False, "“a lot” is no number: write it in digits, for example 1000 or 0.00001."),
        ("9" * 99 + "x", False, f"“{'9' * 60}” is no number: write it in digits, for example 1000 or 0.00001."),
    ],
)
def test_a_number_that_cannot_be_read(typed: str, whole: bool, said: str) -> None:
    assert unread(typed, whole=whole) == said
