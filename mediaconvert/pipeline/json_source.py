"""Reads JSON (RFC 8259) into the tree of `nodes`, with lines.

Pure. The standard library's decoder keeps no positions, so the structure is read here; strings
are the standard library's. Stricter than it: no NaN, no key twice, bounded depth.
"""

from __future__ import annotations

import bisect
import json
import re

from mediaconvert.pipeline.nodes import (
    MAX_DEPTH,
    Entry,
    ListNode,
    MapNode,
    Node,
    Problems,
    Scalar,
    ScalarNode,
    Unreadable,
    join,
    text_problem,
)

# A string's extent; what its escapes mean is left to the standard library.
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 40


def read_json(text: str, problems: Problems) -> Node:
    """The text's tree. Raises Unreadable, with the problem recorded, where there is none."""
    return _Reader(text, problems).document()


class _Reader:
    """A cursor over the text; recursion is bounded by `MAX_DEPTH`."""

    def __init__(self, text: str, problems: Problems) -> None:
        self._text = text
        self._problems = problems
        self._position = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> Node:
        self._skip()
        if self._position == len(self._text):
            raise self._fatal("the text is empty", prefix="")
        root = self._value("", 0)
        self._skip()
        if self._position != len(self._text):
            raise self._fatal("something follows the end of the document")
        return root

    def _line(self, position: int | None = None) -> int:
        where = self._position if position is None else position
        return bisect.bisect_left(self._newlines, where) + 1

    def _fatal(self, message: str, *, prefix: str = "is not valid JSON: ") -> Unreadable:
        return self._problems.fatal("text", f"{prefix}{message}", self._line())

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._position)
        if match is not None:
            self._position = match.end()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self, char: str) -> bool:
        self._skip()
        if self._peek() != char:
            return False
        self._position += 1
        return True

    def _value(self, path: str, depth: int) -> Node:
        self._skip()
        if depth > MAX_DEPTH:
            raise self._fatal(f"it is nested deeper than {MAX_DEPTH} levels")
        line = self._line()
        match self._peek():
            case "{":
                self._position += 1
                return MapNode(self._entries(path, depth), line)
            case "[":
                self._position += 1
                return ListNode(self._items(path, depth), line)
            case '"':
                return ScalarNode(self._string(path or "text"), line)
            case _:
                return ScalarNode(self._word_or_number(), line)

    def _items(self, path: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        if self._take("]"):
            return ()
        while True:
            items.append(self._value(f"{path}[{len(items)}]", depth + 1))
            if self._take("]"):
                return tuple(items)
            if not self._take(","):
                raise self._fatal("expected ',' or ']' in a list")

    def _entries(self, path: str, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        if self._take("}"):
            return entries
        while True:
            self._skip()
            line = self._line()
            if self._peek() != '"':
                raise self._fatal("expected a key in double quotes")
            name = self._string(path or "text")
            if not self._take(":"):
                raise self._fatal(f"expected ':' after the key '{name[:60]}'")
            node = self._value(join(path, name), depth + 1)
            if name in entries:
                first = entries[name].line
                message = f"is given twice; the first is on line {first}"
                self._problems.add(join(path, name), message, line)
            else:
                entries[name] = Entry(line, node)
            if self._take("}"):
                return entries
            if not self._take(","):
                raise self._fatal("expected ',' or '}' in an object")

    def _string(self, path: str) -> str:
        line = self._line()
        match = _STRING.match(self._text, self._position)
        if match is None:
            raise self._fatal("a string does not end, or holds a line break or control character")
        try:
            value = str(json.loads(match.group()))
        except json.JSONDecodeError as error:
            said = error.msg[:1].lower() + error.msg[1:]
            raise self._fatal(f"in a string: {said}") from None
        self._position = match.end()
        if (wrong := text_problem(value)) is not None:
            self._problems.add(path, wrong, line)
        return value

    def _word_or_number(self) -> Scalar:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._position):
                self._position += len(word)
                return value
        match = _NUMBER.match(self._text, self._position)
        if match is None:
            found = self._peek()
            raise self._fatal(f"unexpected {found!r}" if found else "it ends too early")
        if len(match.group()) > _MAX_DIGITS:
            raise self._fatal(f"a number has more than {_MAX_DIGITS} characters")
        self._position = match.end()
        fraction, exponent = match.groups()
        return float(match.group()) if fraction or exponent else int(match.group())
