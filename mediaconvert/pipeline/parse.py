"""From a text to a `Pipeline`, or to every problem at once.

Pure, and total: for any text at all it either returns a pipeline or raises InvalidPipeline.
Called when a pipeline is saved, when a job starts, and by `mediaconvert pipeline check`.
"""

from __future__ import annotations

from mediaconvert.pipeline.checks import (
    Source,
    check_cycles,
    check_ids,
    check_kinds,
    check_outputs,
    resolve_sources,
    run_order,
)
from mediaconvert.pipeline.json_source import read_json
from mediaconvert.pipeline.nodes import (
    ListNode,
    MapNode,
    Node,
    Problems,
    ScalarNode,
    Unreadable,
    kind_of,
    text_problem,
)
from mediaconvert.pipeline.schema import Pipeline, Step
from mediaconvert.pipeline.steps import StepDraft, check_keys, read_step, read_text
from mediaconvert.pipeline.yaml_source import read_yaml

MAX_TEXT_BYTES = 64 * 1024
MAX_STEPS = 100
MAX_NAME = 200
MAX_DESCRIPTION = 2_000

TOP_KEYS = ("name", "description", "steps")
LATER_TOP_KEYS = frozenset({"params", "limits", "destination", "when"})

FORMATS = ("yaml", "json")


def parse(text: str, format: str) -> Pipeline:
    """The pipeline that a text in `format` (`yaml` or `json`) describes.

    Raises InvalidPipeline with every problem, each with its path and its line in the text."""
    problems = Problems()
    try:
        root = _read(text, format, problems)
        if not isinstance(root, MapNode):
            message = f"must be a mapping with a name and steps, not {kind_of(root)}"
            raise problems.fatal("text", message, root.line)
    except Unreadable:
        problems.raise_if_any()
        raise AssertionError("an unreadable text records why") from None
    check_keys(root.entries, TOP_KEYS, LATER_TOP_KEYS, "", problems)
    name = _name(root, problems)
    description = _description(root, problems)
    drafts = _steps(root, problems)
    sources = _between(drafts, problems)
    problems.raise_if_any()
    steps = tuple(_step(draft, sources) for draft in run_order(drafts, sources))
    return Pipeline(name=name, description=description, steps=steps)


def _read(text: str, format: str, problems: Problems) -> Node:
    if format not in FORMATS:
        raise problems.fatal("format", f"must be yaml or json, not '{format[:40]}'", None)
    if (wrong := text_problem(text)) is not None:
        raise problems.fatal("text", wrong, None)
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        message = f"has {size} bytes; the limit is {MAX_TEXT_BYTES}"
        raise problems.fatal("text", message, None)
    text = text.removeprefix("\ufeff")
    return read_yaml(text, problems) if format == "yaml" else read_json(text, problems)


def _name(root: MapNode, problems: Problems) -> str:
    name = read_text(root.entries, "name", "", root.line, problems)
    if name is not None and len(name) > MAX_NAME:
        line = root.entries["name"].node.line
        problems.add("name", f"is longer than {MAX_NAME} characters", line)
    return name or ""


def _description(root: MapNode, problems: Problems) -> str:
    entry = root.entries.get("description")
    if entry is None:
        return ""
    value = entry.node.value if isinstance(entry.node, ScalarNode) else entry
    if value is None:
        return ""
    if not isinstance(value, str):
        message = f"must be a text, not {kind_of(entry.node)}"
        problems.add("description", message, entry.node.line)
        return ""
    if len(value) > MAX_DESCRIPTION:
        message = f"is longer than {MAX_DESCRIPTION} characters"
        problems.add("description", message, entry.node.line)
    return value


def _steps(root: MapNode, problems: Problems) -> list[StepDraft]:
    entry = root.entries.get("steps")
    if entry is None:
        problems.add("steps", "is missing; a pipeline has at least one step", root.line)
        return []
    if not isinstance(entry.node, ListNode):
        problems.add("steps", f"must be a list, not {kind_of(entry.node)}", entry.line)
        return []
    items = entry.node.items
    if not items:
        problems.add("steps", "is empty; a pipeline has at least one step", entry.line)
    if len(items) > MAX_STEPS:
        message = f"has {len(items)} steps; the limit is {MAX_STEPS}"
        problems.add("steps", message, entry.line)
    return [read_step(item, n, problems) for n, item in enumerate(items[:MAX_STEPS])]


def _between(drafts: list[StepDraft], problems: Problems) -> dict[int, Source]:
    by_id = check_ids(drafts, problems)
    by_output = check_outputs(drafts, problems)
    sources = resolve_sources(drafts, by_id, by_output, problems)
    check_cycles(drafts, sources, problems)
    check_kinds(drafts, sources, problems)
    return sources


def _step(draft: StepDraft, sources: dict[int, Source]) -> Step:
    assert draft.params is not None, "a step without parameters has been reported"
    assert draft.output is not None, "a step without an output has been reported"
    source = sources.get(draft.position)
    return Step(
        id=draft.id,
        operation=draft.params.operation,
        params=draft.params,
        output=draft.output,
        source=None if source is None else source.step.id,
        source_output=None if source is None else source.output,
        position=draft.position,
    )
