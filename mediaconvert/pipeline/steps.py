"""One step of the text, read as far as it can be without looking at the other steps.

Pure. Called by `parse` for each item of `steps`; what is between steps is `checks`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from mediaconvert.errors import suggestion
from mediaconvert.operations import BY_NAME, OperationParams
from mediaconvert.pipeline.nodes import (
    Entry,
    MapNode,
    Node,
    Problems,
    ScalarNode,
    join,
    kind_of,
    plain,
)
from mediaconvert.pipeline.references import (
    OUTPUT,
    STEP_ID,
    SourceRef,
    output_problem,
    parse_input,
)

STEP_KEYS = ("id", "operation", "input", "output", "params")
LATER_STEP_KEYS = frozenset({"when"})

_EXPRESSION = re.compile(r"\$\{|\b(?:params|probe|job)\.[a-z_]")

# Without these, a step's complaints about its output's name would be guesses.
_NAMING_PARAMS = frozenset({"count", "timestamps", "format"})


@dataclass(slots=True)
class StepDraft:
    """A step as far as it could be read; what could not is None and has been reported."""

    position: int
    line: int
    id: str
    id_line: int
    operation: type[OperationParams] | None = None
    params: OperationParams | None = None
    source: SourceRef | None = None
    source_line: int = 0
    output: str | None = None
    """Below `${output}/`."""
    output_line: int = 0

    @property
    def path(self) -> str:
        return f"steps[{self.position}]"


def check_keys(
    entries: dict[str, Entry],
    known: Iterable[str],
    later: Iterable[str],
    path: str,
    problems: Problems,
) -> None:
    """Every key is known; one of a later version is told from a slip of the pen."""
    known, later = tuple(known), frozenset(later)
    for key, entry in entries.items():
        if key in known:
            continue
        if key in later:
            message = f"'{key}' is not supported by this version"
        elif problems.is_full:
            message = "unknown key"
        else:
            message = f"unknown key{suggestion(key, known)}; known are {', '.join(known)}"
        problems.add(join(path, key), message, entry.line)


def read_text(
    entries: dict[str, Entry], key: str, path: str, line: int, problems: Problems
) -> str | None:
    """The required text under a key; None where it is missing or something else."""
    entry = entries.get(key)
    if entry is None:
        problems.add(join(path, key), "is missing", line)
        return None
    value = entry.node.value if isinstance(entry.node, ScalarNode) else None
    if not isinstance(value, str):
        what = kind_of(entry.node)
        hint = "" if what in ("a mapping", "a list", "nothing") else "; put it in quotes"
        problems.add(join(path, key), f"must be a text, not {what}{hint}", entry.node.line)
        return None
    if not value.strip():
        problems.add(join(path, key), "is empty", entry.node.line)
        return None
    return value


def read_step(node: Node, position: int, problems: Problems) -> StepDraft:
    """One item of `steps`. Reports what is wrong and reads on."""
    path = f"steps[{position}]"
    draft = StepDraft(position, node.line, f"step-{position + 1}", node.line)
    if not isinstance(node, MapNode):
        problems.add(path, f"must be a mapping with an operation, not {kind_of(node)}", node.line)
        return draft
    check_keys(node.entries, STEP_KEYS, LATER_STEP_KEYS, path, problems)
    _read_operation(node, draft, problems)
    _read_id(node, draft, problems)
    _read_input(node, draft, problems)
    _read_output(node, draft, problems)
    if draft.operation is not None:
        _read_params(node, draft, draft.operation, problems)
    return draft


def _read_operation(node: MapNode, draft: StepDraft, problems: Problems) -> None:
    name = read_text(node.entries, "operation", draft.path, node.line, problems)
    if name is None:
        return
    draft.id = f"{name}-{draft.position + 1}"
    draft.operation = BY_NAME.get(name)
    if draft.operation is None:
        hint = suggestion(name, BY_NAME)
        message = f"unknown operation '{name[:60]}'{hint}; known are {', '.join(BY_NAME)}"
        line = node.entries["operation"].node.line
        problems.add(f"{draft.path}.operation", message, line)


def _read_id(node: MapNode, draft: StepDraft, problems: Problems) -> None:
    if "id" not in node.entries:
        return
    given = read_text(node.entries, "id", draft.path, node.line, problems)
    if given is None:
        return
    draft.id_line = node.entries["id"].node.line
    if not STEP_ID.fullmatch(given):
        problems.add(
            f"{draft.path}.id",
            f"must be 1 to 64 letters, digits, '-' and '_', not '{given[:64]}'",
            draft.id_line,
        )
        return
    draft.id = given


def _read_input(node: MapNode, draft: StepDraft, problems: Problems) -> None:
    text = read_text(node.entries, "input", draft.path, node.line, problems)
    if text is None:
        return
    draft.source_line = node.entries["input"].node.line
    draft.source = parse_input(text)
    if draft.source is None:
        problems.add(
            f"{draft.path}.input",
            "must be '${input}', '${steps.<id>.output}' or an earlier step's output such as "
            f"'${{output}}/video.mp4', not '{text[:60]}'",
            draft.source_line,
        )


def _read_output(node: MapNode, draft: StepDraft, problems: Problems) -> None:
    text = read_text(node.entries, "output", draft.path, node.line, problems)
    if text is None:
        return
    draft.output_line = node.entries["output"].node.line
    if (wrong := output_problem(text)) is not None:
        problems.add(f"{draft.path}.output", wrong, draft.output_line)
        return
    draft.output = text.removeprefix(OUTPUT)
    if "{n}" in text and draft.operation is not None and not draft.operation.numbers_outputs:
        message = f"{{n}} counts several frames; '{draft.operation.operation}' writes one file"
        problems.add(f"{draft.path}.output", message, draft.output_line)


def _read_params(
    node: MapNode, draft: StepDraft, operation: type[OperationParams], problems: Problems
) -> None:
    path = f"{draft.path}.params"
    entry = node.entries.get("params")
    given: MapNode = MapNode({}, node.line)
    if entry is not None and isinstance(entry.node, MapNode):
        given = entry.node
    elif entry is not None and not _is_null(entry.node):
        problems.add(path, f"must be a mapping, not {kind_of(entry.node)}", entry.node.line)
        return
    failed = _refuse_unreadable(given, operation, path, problems)
    values = {key: plain(e.node) for key, e in given.entries.items() if key not in failed}
    params = _validate(operation, values)
    if isinstance(params, ValidationError):
        for key, message in _messages(params).items():
            failed.add(key)
            line = given.entries[key].node.line if key in given.entries else given.line
            problems.add(join(path, key), message, line)
        params = _validate(operation, {k: v for k, v in values.items() if k not in failed})
    if isinstance(params, ValidationError):
        return
    _complain(params, draft, given, failed, problems)
    if not failed:
        draft.params = params


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _refuse_unreadable(
    given: MapNode, operation: type[OperationParams], path: str, problems: Problems
) -> set[str]:
    """The keys that are unknown, of a later version, or hold an expression; all reported."""
    known = tuple(operation.model_fields)
    failed = set()
    for key, entry in given.entries.items():
        if key in operation.unsupported:
            message = f"'{key}' is not supported by this version"
        elif key not in known:
            listed = ", ".join(known) if known else "none"
            hint = "" if problems.is_full else suggestion(key, known)
            message = f"unknown parameter of {operation.operation}{hint}; known are {listed}"
        elif _holds_expression(entry.node):
            message = "expressions are not supported by this version; write the value itself"
        else:
            continue
        failed.add(key)
        problems.add(join(path, key), message, entry.line)
    return failed


def _holds_expression(node: Node) -> bool:
    return (
        isinstance(node, ScalarNode)
        and isinstance(node.value, str)
        and _EXPRESSION.search(node.value) is not None
    )


def _validate(
    operation: type[OperationParams], values: dict[str, object]
) -> OperationParams | ValidationError:
    try:
        return operation.model_validate(values)
    except ValidationError as error:
        return error


def _messages(error: ValidationError) -> dict[str, str]:
    """The first message for each parameter."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        key = f"{item['loc'][0]}" if item["loc"] else ""
        found.setdefault(key, item["msg"])
    return found


def _complain(
    params: OperationParams,
    draft: StepDraft,
    given: MapNode,
    failed: set[str],
    problems: Problems,
) -> None:
    """What the operation says about its own parameters and the output's name. Where a
    parameter could not be read, only what is said about the name can be trusted."""
    if draft.output is None or failed & _NAMING_PARAMS:
        return
    for complaint in params.complaints(draft.output):
        if failed and complaint.where != "output":
            continue
        line = draft.line
        if complaint.where == "output":
            line = draft.output_line
        elif (entry := given.entries.get(complaint.where.removeprefix("params."))) is not None:
            line = entry.line
        elif given.entries:
            line = given.line
        problems.add(f"{draft.path}.{complaint.where}", complaint.message, line)
