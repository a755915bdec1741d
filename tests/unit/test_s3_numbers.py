"""Whole numbers of any length, which Python and databases do not take."""

from __future__ import annotations

import pytest

from mediaconvert.api.s3.numbers import MAX_SIZE, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("0" * 5000 + "1", 1),
        (str(MAX_SIZE), MAX_SIZE),
        (str(MAX_SIZE + 1), None),
        ("9" * 5000, None),
        ("", None),
        ("+1", None),
        ("1_0", None),
        ("١", None),
    ],
)
def test_a_whole_number_has_any_number_of_digits(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_a_whole_number_keeps_to_its_range() -> None:
    assert whole_number("0", minimum=1) is None
    assert whole_number("11", maximum=10) is None
    assert whole_number("10", minimum=10, maximum=10) == 10
