"""A text as a tree that remembers its lines, the same for YAML and JSON; and the list of
problems that checking it fills.

Pure. The two readers make the tree, `parse` and `checks` walk it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mediaconvert.errors import Detail, InvalidPipeline

MAX_DEPTH = 20
"""Levels of lists and mappings; a pipeline needs five."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ScalarNode:
    value: Scalar
    line: int
    """1-based, as everywhere here."""


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    line: int
    """Of the key."""
    node: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    entries: dict[str, Entry]
    line: int


Node = ScalarNode | ListNode | MapNode


def plain(node: Node) -> object:
    """The tree as ordinary lists and dicts."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return [plain(item) for item in node.items]
        case MapNode():
            return {key: plain(entry.node) for key, entry in node.entries.items()}


def kind_of(node: Node) -> str:
    """What a node is, in the words of messages."""
    match node:
        case MapNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case ScalarNode(value=bool()):
            return "a boolean"
        case ScalarNode(value=str()):
            return "a text"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode():
            return "a number"


class Unreadable(Exception):
    """The text cannot be read any further; the problem has been recorded."""


@dataclass(slots=True)
class Problems:
    """What is wrong so far. Reports at most `LIMIT`; what a longer list would cost nobody
    reads, and a hostile text could make it cost much."""

    LIMIT = 100

    found: list[Detail] = field(default_factory=list)
    left_out: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.found) >= self.LIMIT

    def add(self, path: str, message: str, line: int | None) -> None:
        if self.is_full:
            self.left_out += 1
            return
        self.found.append(Detail(path=path, message=message, line=line))

    def fatal(self, path: str, message: str, line: int | None) -> Unreadable:
        """Record, and give back what to raise."""
        self.add(path, message, line)
        return Unreadable()

    def raise_if_any(self) -> None:
        """Raises InvalidPipeline with everything found, in the order of the text."""
        if not self.found:
            return
        details = sorted(self.found, key=lambda detail: detail.line or 0)
        if self.left_out:
            details.append(Detail("text", f"and {self.left_out} more problems"))
        raise InvalidPipeline(details)


def text_problem(value: str) -> str | None:
    """What makes a text unfit to be stored or shown, if anything."""
    if "\0" in value:
        return "holds a NUL character"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        return "holds half of a surrogate pair, which is not a character"
    return None


def join(path: str, key: str) -> str:
    """`steps[1].params` and `codec` become `steps[1].params.codec`."""
    shown = key if len(key) <= 60 else f"{key[:60]}…"
    return f"{path}.{shown}" if path else shown
