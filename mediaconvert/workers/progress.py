"""How far a job is: the states of its steps, one percentage that never falls, an estimate.

Pure: the time is handed in, by one monotonic clock, in seconds. The engine writes here, the
runner sends snapshots to the catalog, the command line draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Before a step has been planned its cost is guessed from the operation: coding a film costs
# some twenty times what a picture does.
FIRST_GUESS = {"transcode": 20.0, "convert": 4.0}
ENOUGH_TO_ESTIMATE = 0.02
"""Below this share of the work an estimate of the rest says nothing."""
MAX_ERROR_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class EngineProgress:
    percent: float
    """0 to 100, never less than in an earlier snapshot."""
    eta_seconds: float | None
    steps: tuple[dict[str, object], ...]
    """JSON-ready; `status` is pending, running, completed, failed or skipped."""


@dataclass(slots=True)
class _Step:
    id: str
    operation: str
    weight: float
    status: str = "pending"
    fraction: float = 0.0
    tool_eta_seconds: float | None = None
    started: float | None = None
    ended: float | None = None
    input_bytes: int | None = None
    output_bytes: int = 0
    outputs: list[str] = field(default_factory=list)
    error: str | None = None


class ProgressBoard:
    """The steps of one run, in the pipeline's order. Ids are the pipeline's."""

    def __init__(self, steps: Sequence[tuple[str, str]]) -> None:
        """`steps` are (id, operation)."""
        self._steps = {
            step_id: _Step(step_id, operation, FIRST_GUESS.get(operation, 1.0))
            for step_id, operation in steps
        }
        self._began: float | None = None
        self._percent = 0.0

    def start(self, step_id: str, *, input_bytes: int, now: float) -> None:
        step = self._steps[step_id]
        step.status, step.started, step.input_bytes = "running", now, input_bytes
        if self._began is None:
            self._began = now

    def weigh(self, step_id: str, weight: float) -> None:
        """The planned cost of the step, in any unit that all steps share."""
        self._steps[step_id].weight = max(weight, 0.1)

    def advance(self, step_id: str, fraction: float, eta_seconds: float | None) -> None:
        step = self._steps[step_id]
        step.fraction = max(step.fraction, min(fraction, 1.0))
        step.tool_eta_seconds = eta_seconds

    def complete(
        self, step_id: str, *, output_bytes: int, outputs: Sequence[str], now: float
    ) -> None:
        step = self._steps[step_id]
        step.status, step.fraction, step.ended = "completed", 1.0, now
        step.output_bytes, step.outputs = output_bytes, list(outputs)

    def fail(self, step_id: str, error: str, now: float) -> None:
        step = self._steps[step_id]
        step.status, step.ended, step.error = "failed", now, error[:MAX_ERROR_LENGTH]

    def skip_unfinished(self, now: float) -> None:
        """After a failure: what was stopped half-way or never began."""
        for step in self._steps.values():
            if step.status in ("pending", "running"):
                step.ended = now if step.started is not None else None
                step.status = "skipped"

    def snapshot(self, now: float) -> EngineProgress:
        total = sum(step.weight for step in self._steps.values())
        done = sum(step.weight * step.fraction for step in self._steps.values())
        share = done / total if total else 1.0
        # Weights change when a step is planned, so the plain share may fall; what is shown
        # may not.
        self._percent = max(self._percent, round(100.0 * share, 1))
        return EngineProgress(
            self._percent,
            self._eta_seconds(share, now),
            tuple(_as_json(step, now) for step in self._steps.values()),
        )

    def _eta_seconds(self, share: float, now: float) -> float | None:
        unfinished = [s for s in self._steps.values() if s.status in ("pending", "running")]
        if not unfinished:
            return 0.0
        if len(unfinished) == 1 and unfinished[0].tool_eta_seconds is not None:
            # The tool knows its own speed better than the average since the start.
            return round(unfinished[0].tool_eta_seconds, 1)
        if self._began is None or share < ENOUGH_TO_ESTIMATE:
            return None
        return round((now - self._began) * (1.0 - share) / share, 1)


def _as_json(step: _Step, now: float) -> dict[str, object]:
    duration = 0.0
    if step.started is not None:
        duration = (now if step.ended is None else step.ended) - step.started
    state: dict[str, object] = {
        "id": step.id,
        "operation": step.operation,
        "status": step.status,
        "progress": round(100.0 * step.fraction, 1),
        "duration_ms": round(1000.0 * duration),
        "input_bytes": step.input_bytes or 0,
        "output_bytes": step.output_bytes,
        "outputs": list(step.outputs),
    }
    if step.error is not None:
        state["error"] = step.error
    return state
