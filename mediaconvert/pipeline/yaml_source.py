"""Reads YAML into the tree of `nodes`, from the parser's events.

Pure. Safe by construction: no tag is honoured, anchors, aliases and merge keys are refused, the
depth is bounded, nothing is constructed. Plain values are read by YAML 1.2's core rules with
1.1's yes/no/on/off, so that an unquoted `00:00:01` stays the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

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

# libyaml where PyYAML was built with it: 64 KiB take 5 ms instead of 150.
_LOADER: type[yaml.CSafeLoader | yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TRUE = {"true", "yes", "on"}
_FALSE = {"false", "no", "off"}
_NULL = {"", "~", "null"}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18}|[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?"
)


def read_yaml(text: str, problems: Problems) -> Node:
    """The text's tree. Raises Unreadable, with the problem recorded, where there is none."""
    reader = _Reader(problems)
    try:
        return reader.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "cannot be read"
        line = None if mark is None else mark.line + 1
        raise problems.fatal(
            "text", f"is not valid YAML: {said}{_hint(text, line)}", line
        ) from None
    except yaml.YAMLError as error:
        line = _line_of_bad_character(text, error)
        reason = "holds a character that YAML does not allow"
        raise problems.fatal("text", f"is not valid YAML: {reason}", line) from None
    except (ValueError, OverflowError):
        # The Python scanner turns an escape such as "\UFFFFFFFF" into chr() without a check.
        raise problems.fatal("text", "is not valid YAML: an impossible escape", None) from None


def _hint(text: str, line: int | None) -> str:
    """The one mistake that this language invites: `{input: ${input}}`."""
    lines = text.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return ""
    if re.search(r"[{,]\s*\w+\s*:\s*\$\{", lines[line - 1]):
        return "; inside { } put ${…} in quotes"
    return ""


def _line_of_bad_character(text: str, error: yaml.YAMLError) -> int | None:
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else None


class _Reader:
    """Builds the tree from events, by recursion that `MAX_DEPTH` bounds."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def document(self, events: Iterator[yaml.Event]) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._fatal("text", "holds more than one document", event)
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, events, "", 0)
        if root is None:
            raise self._problems.fatal("text", "is empty", 1)
        return root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: str, depth: int) -> Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise self._fatal(path, f"is nested deeper than {MAX_DEPTH} levels", event)
        if isinstance(event, yaml.AliasEvent):
            self._problems.add(path or "text", "aliases (*) are not supported; repeat it", line)
            return ScalarNode(None, line)
        self._refuse_decorations(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                items.append(self._node(item, events, f"{path}[{len(items)}]", depth + 1))
            return ListNode(tuple(items), line)
        return MapNode(self._entries(events, path, depth), line)

    def _entries(self, events: Iterator[yaml.Event], path: str, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            line = _line(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise self._fatal(path or "text", "a key must be a word", key)
            self._refuse_decorations(key, path)
            name = key.value
            value = self._node(next(events), events, join(path, name), depth + 1)
            if name == "<<" and _is_plain(key):
                self._problems.add(path or "text", "merge keys (<<) are not supported", line)
            elif (wrong := text_problem(name)) is not None:
                self._problems.add(path or "text", f"a key {wrong}", line)
            elif name in entries:
                first = entries[name].line
                message = f"is given twice; the first is on line {first}"
                self._problems.add(join(path, name), message, line)
            else:
                entries[name] = Entry(line, value)
        return entries

    def _refuse_decorations(self, event: yaml.Event, path: str) -> None:
        if getattr(event, "anchor", None) is not None:
            self._problems.add(path or "text", "anchors (&) are not supported", _line(event))
        if (tag := getattr(event, "tag", None)) is not None:
            self._problems.add(path or "text", f"tags ({tag[:40]}) are not supported", _line(event))

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> ScalarNode:
        line = _line(event)
        if (wrong := text_problem(event.value)) is not None:
            self._problems.add(path or "text", wrong, line)
        return ScalarNode(_resolve(event.value) if _is_plain(event) else event.value, line)

    def _fatal(self, path: str, message: str, event: yaml.Event) -> Unreadable:
        return self._problems.fatal(path or "text", message, _line(event))


def _is_plain(event: yaml.ScalarEvent) -> bool:
    # libyaml says "" where PyYAML's own scanner says None.
    return event.style is None or event.style == ""


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else int(mark.line) + 1


def _resolve(text: str) -> Scalar:
    """What a plain (unquoted) value means."""
    lowered = text.lower()
    if lowered in _NULL:
        return None
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
