"""What has to hold between the steps of a pipeline: unique names, references that lead
somewhere, no cycles, and inputs of a kind that the step can work on.

Pure. Called by `parse` when every step has been read on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediaconvert.errors import suggestion
from mediaconvert.media import MediaKind
from mediaconvert.pipeline.nodes import Problems
from mediaconvert.pipeline.steps import StepDraft

_KINDS = {
    MediaKind.VIDEO: "a video",
    MediaKind.AUDIO: "sound",
    MediaKind.IMAGE: "a picture",
    MediaKind.PDF: "a PDF",
    MediaKind.TEXT: "a text",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved reference: the step that is read, and which of its files."""

    step: StepDraft
    output: str


def check_ids(drafts: Sequence[StepDraft], problems: Problems) -> dict[str, StepDraft]:
    """The steps by their ids; reports doubles."""
    by_id: dict[str, StepDraft] = {}
    for draft in drafts:
        first = by_id.setdefault(draft.id, draft)
        if first is not draft:
            message = f"id '{draft.id}' is taken by {first.path} on line {first.id_line}"
            problems.add(f"{draft.path}.id", message, draft.id_line)
    return by_id


def check_outputs(drafts: Sequence[StepDraft], problems: Problems) -> dict[str, StepDraft]:
    """The steps by the names of all their files; reports doubles, and names that are the
    folder of another."""
    by_output: dict[str, StepDraft] = {}
    for draft in drafts:
        for name in _output_names(draft):
            first = by_output.setdefault(name, draft)
            if first is not draft:
                message = f"'{name}' is written by {first.path} on line {first.output_line} already"
                problems.add(f"{draft.path}.output", message, draft.output_line)
                break
    for name, draft in by_output.items():
        parts = name.split("/")
        folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
        taken = next((folder for folder in folders if folder in by_output), None)
        if taken is not None:
            other = by_output[taken]
            message = f"'{name}' lies in '{taken}', which is a file of {other.path}"
            problems.add(f"{draft.path}.output", message, draft.output_line)
    return by_output


def _output_names(draft: StepDraft) -> tuple[str, ...]:
    if draft.output is None:
        return ()
    return (draft.output,) if draft.params is None else draft.params.output_names(draft.output)


def resolve_sources(
    drafts: Sequence[StepDraft],
    by_id: dict[str, StepDraft],
    by_output: dict[str, StepDraft],
    problems: Problems,
) -> dict[int, Source]:
    """By position, what each step reads from another; reports what leads nowhere."""
    sources: dict[int, Source] = {}
    for draft in drafts:
        ref = draft.source
        if ref is None or ref.is_job_input:
            continue
        if ref.step_id is not None:
            found = by_id.get(ref.step_id)
            wrong = f"step '{ref.step_id}' does not exist{suggestion(ref.step_id, by_id)}"
        else:
            name = ref.output or ""
            found = by_output.get(name) or _by_template(drafts, name)
            wrong = f"no step writes '{name}'{suggestion(name, by_output)}"
        if found is None:
            problems.add(f"{draft.path}.input", wrong, draft.source_line)
            continue
        names = _output_names(found)
        chosen = ref.output if ref.output in names else names[0] if len(names) == 1 else None
        if chosen is not None:
            sources[draft.position] = Source(found, chosen)
        elif names:
            problems.add(
                f"{draft.path}.input",
                f"step '{found.id}' writes {len(names)} files; name one of them, such as "
                f"'${{output}}/{names[0]}'",
                draft.source_line,
            )
    return sources


def _by_template(drafts: Sequence[StepDraft], name: str) -> StepDraft | None:
    return next((draft for draft in drafts if draft.output == name), None)


def check_cycles(
    drafts: Sequence[StepDraft], sources: dict[int, Source], problems: Problems
) -> None:
    """Each step reads at most one other, so a cycle is found by walking from reader to read."""
    settled: set[int] = set()
    for draft in drafts:
        trail: list[StepDraft] = []
        current: StepDraft | None = draft
        while current is not None and current.position not in settled:
            settled.add(current.position)
            trail.append(current)
            source = sources.get(current.position)
            current = None if source is None else source.step
        if current is None or current not in trail:
            continue
        ring = trail[trail.index(current) :]
        first = min(ring, key=lambda step: step.position)
        if len(ring) == 1:
            message = "a step cannot read its own output"
        else:
            names = " → ".join(f"'{step.id}'" for step in (*ring, ring[0]))
            message = f"these steps wait for each other: {names}"
        problems.add(f"{first.path}.input", message, first.source_line)


def check_kinds(
    drafts: Sequence[StepDraft], sources: dict[int, Source], problems: Problems
) -> None:
    """A step that reads another's output can work on what that one makes."""
    for draft in drafts:
        source = sources.get(draft.position)
        if source is None or draft.params is None or draft.output is None:
            continue
        maker = source.step
        if maker.params is None or maker.output is None:
            continue
        made = maker.params.produces(maker.output)
        accepted = draft.params.accepts(draft.output)
        if made not in accepted:
            wanted = " or ".join(_KINDS[kind] for kind in MediaKind if kind in accepted)
            problems.add(
                f"{draft.path}.input",
                f"'{draft.params.operation}' needs {wanted} here, but step '{maker.id}' makes "
                f"{_KINDS[made]} ('{source.output}')",
                draft.source_line,
            )


def run_order(drafts: Sequence[StepDraft], sources: dict[int, Source]) -> list[StepDraft]:
    """Each step after the one that it reads, else as in the text. There are no cycles."""
    waiting, done, order = list(drafts), set[int](), list[StepDraft]()
    while waiting:
        ready = next(
            draft
            for draft in waiting
            if (source := sources.get(draft.position)) is None or source.step.position in done
        )
        waiting.remove(ready)
        done.add(ready.position)
        order.append(ready)
    return order
