"""A parsed pipeline: frozen values that nothing needs to check again.

Pure. Made by `parse`, read by the planner, the engine and the API.
"""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.operations import OperationParams


@dataclass(frozen=True, slots=True)
class Step:
    """One step, with everything about it that does not depend on the input."""

    id: str
    """Unique in the pipeline; as given, or the operation's name and the position."""
    operation: str
    params: OperationParams
    output: str
    """Below `${output}/`, as given: `video.mp4`, `frames/{n}.jpg`."""
    source: str | None = None
    """The id of the step whose output this one reads; None: the job's input."""
    source_output: str | None = None
    """Which of that step's files, as `PlannedFile.output_name`; None exactly where `source` is."""
    position: int = 0
    """Where it stands in the text, from 0."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Every file that the step will write, below `${output}/`."""
        return self.params.output_names(self.output)


@dataclass(frozen=True, slots=True)
class Pipeline:
    name: str
    description: str
    steps: tuple[Step, ...]
    """In an order in which they can run: each after the step that it reads from; where that
    leaves a choice, in the order of the text."""

    def step(self, step_id: str) -> Step:
        """Raises KeyError for an id that is not there."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def waves(self) -> tuple[tuple[Step, ...], ...]:
        """The steps in groups: those of one group need only what earlier groups made, so they
        can run side by side."""
        depth: dict[str, int] = {}
        for step in self.steps:
            depth[step.id] = 0 if step.source is None else depth[step.source] + 1
        count = max(depth.values(), default=-1) + 1
        return tuple(
            tuple(step for step in self.steps if depth[step.id] == level) for level in range(count)
        )

    def dependents(self, step_id: str | None) -> tuple[Step, ...]:
        """The steps that read an output of this one; None: those that read the job's input."""
        return tuple(step for step in self.steps if step.source == step_id)
