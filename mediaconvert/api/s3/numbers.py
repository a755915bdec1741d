"""Whole numbers in headers, query parameters and XML elements, of any length.

Python refuses to convert more than 4,300 digits, and databases more than 63 bits: a number is
in its range here, or it is none. Pure.
"""

from __future__ import annotations

MAX_SIZE = 2**63 - 1
"""Largest size in bytes that any protocol or database of ours can carry."""


def whole_number(text: str, *, minimum: int = 0, maximum: int = MAX_SIZE) -> int | None:
    """The number that `text` holds in ASCII digits; None for other text and outside the range."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(maximum)):
        return None
    number = int(digits)
    return number if minimum <= number <= maximum else None
