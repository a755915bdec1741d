"""What a forked child of the image server is given, and the ways in which it may refuse.

Values only. Imported by the server and by the actions, inside the sandbox; the parameters come
from our planner, what the descriptors hold from anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class Refused(Exception):
    """The action cannot be done; `kind` is `input`, `limit` or `infra`, `code` is stable."""

    def __init__(self, code: str, message: str, kind: str = "input") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Task:
    """One command."""

    action: str
    params: Mapping[str, object]
    container: str
    """As `tools.sniff` names it: the only loader that is tried."""
    input_fd: int
    output_fds: tuple[int, ...]
    max_pixels: int
    """Of one picture, and of all frames that are decoded together."""
    max_pages: int

    def section(self, name: str) -> Mapping[str, object] | None:
        """A parameter that is an object or null."""
        value = self.params.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ValueError(f"parameter {name} is {value!r}, not an object")
        return value


def as_int(values: Mapping[str, object], name: str) -> int | None:
    """A whole number, or None where it is missing or null."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"parameter {name} is {value!r}, not a number")
    return int(value)


def as_text(values: Mapping[str, object], name: str, default: str) -> str:
    """A text; the default where it is missing or null."""
    value = values.get(name)
    return default if value is None else str(value)


def as_flag(values: Mapping[str, object], name: str, *, default: bool) -> bool:
    """A boolean; the default where it is missing or null."""
    value = values.get(name)
    return default if value is None else bool(value)
