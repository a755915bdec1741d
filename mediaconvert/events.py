"""What the analytics are told about a job, as JSON-ready payloads. Pure.

Three kinds, one for each table of the analytics store; their keys are those tables' columns.
Written by the catalog into the outbox in the transaction of what they describe, read by the
analytics stores. Times are microseconds UTC, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaconvert.model import JobId, JobStatus, PipelineId, TriggeredBy, UserId

JOB_METRICS = "job_metrics"
"""A job's state after a transition; the newest of a job counts."""
STATUS_HISTORY = "job_status_history"
"""One transition."""
PIPELINE_EXECUTION = "pipeline_execution"
"""One step of a job that has ended, as far as it ran."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    JOB_METRICS: (
        "job_id",
        "user_id",
        "pipeline_id",
        "pipeline_name",
        "content_type",
        "input_bytes",
        "output_bytes",
        "status",
        "attempt",
        "processing_ms",
        "error",
        "error_code",
        "created_at",
        "finished_at",
    ),
    STATUS_HISTORY: (
        "job_id",
        "user_id",
        "from_status",
        "to_status",
        "triggered_by",
        "message",
        "created_at",
    ),
    PIPELINE_EXECUTION: (
        "job_id",
        "user_id",
        "pipeline_id",
        "pipeline_name",
        "step_index",
        "step_id",
        "operation",
        "duration_ms",
        "input_bytes",
        "output_bytes",
        "success",
        "error",
        "created_at",
    ),
}
"""The keys of each kind's payload, in the order in which the stores' statements take them."""

_TEXTS = frozenset(
    (
        *("pipeline_name", "content_type", "status", "error", "error_code", "from_status"),
        *("to_status", "triggered_by", "message", "step_id", "operation"),
    )
)
_OPTIONAL = frozenset(("error", "error_code", "from_status", "processing_ms", "finished_at"))

# A step that never ran was not executed; one that still says "processing" is what failed.
_NOT_RUN = frozenset(("pending", "skipped"))
_NOT_DONE = frozenset(("failed", "canceled", "processing", "running"))

Payload = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job's row as far as the analytics care."""

    job_id: JobId
    user_id: UserId
    pipeline_id: PipelineId
    pipeline_name: str
    content_type: str
    input_bytes: int
    output_bytes: int
    status: JobStatus
    attempt: int
    error: str | None
    error_code: str | None
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    clock_offset_us: int = 0
    """What the job's dates are ahead of the catalog's steady clock. A job keeps the offset that
    it was made with, so that its dates stay in order when the wall clock is set."""

    @property
    def processing_ms(self) -> int | None:
        """From the latest claim to the end; None for a job that never ran or has not ended."""
        if self.started_at_us is None or self.finished_at_us is None:
            return None
        return (self.finished_at_us - self.started_at_us) // 1000


def job_metrics(facts: JobFacts) -> Payload:
    """The payload of a JOB_METRICS event."""
    return {
        "job_id": facts.job_id,
        "user_id": facts.user_id,
        "pipeline_id": facts.pipeline_id,
        "pipeline_name": facts.pipeline_name,
        "content_type": facts.content_type,
        "input_bytes": facts.input_bytes,
        "output_bytes": facts.output_bytes,
        "status": facts.status.value,
        "attempt": facts.attempt,
        "processing_ms": facts.processing_ms,
        "error": facts.error,
        "error_code": facts.error_code,
        "created_at": facts.created_at_us,
        "finished_at": facts.finished_at_us,
    }


def status_change(
    facts: JobFacts,
    from_status: JobStatus | None,
    triggered_by: TriggeredBy,
    message: str,
    at_us: int,
) -> Payload:
    """The payload of a STATUS_HISTORY event; the status it went to is the facts'."""
    return {
        "job_id": facts.job_id,
        "user_id": facts.user_id,
        "from_status": None if from_status is None else from_status.value,
        "to_status": facts.status.value,
        "triggered_by": triggered_by.value,
        "message": message,
        "created_at": at_us,
    }


def executed_steps(
    facts: JobFacts, steps: Sequence[Mapping[str, object]], at_us: int
) -> tuple[Payload, ...]:
    """The payloads of PIPELINE_EXECUTION events: one a step that ran. Whatever a step does not
    say of itself is left empty: its report is never a reason to lose a job's end."""
    return tuple(
        {
            "job_id": facts.job_id,
            "user_id": facts.user_id,
            "pipeline_id": facts.pipeline_id,
            "pipeline_name": facts.pipeline_name,
            "step_index": index,
            "step_id": _text(step.get("id")) or f"step-{index + 1}",
            "operation": _text(step.get("operation")) or "unknown",
            "duration_ms": _whole(step.get("duration_ms")),
            "input_bytes": _whole(step.get("input_bytes")),
            "output_bytes": _whole(step.get("output_bytes")),
            "success": not step.get("error") and step.get("status") not in _NOT_DONE,
            "error": _text(step.get("error")),
            "created_at": at_us,
        }
        for index, step in enumerate(steps)
        if step.get("status") not in _NOT_RUN
    )


def problem_of(kind: str, payload: Payload) -> str:
    """Why no store could take an event that was read back; the empty text where it could. Of
    kinds that this version does not know nothing is asked."""
    for column in COLUMNS.get(kind, ()):
        value = payload.get(column)
        if value is None:
            is_right = column in _OPTIONAL
        elif column in _TEXTS:
            is_right = isinstance(value, str)
        else:
            is_right = isinstance(value, int) and abs(value) < 1 << 63
        if not is_right:
            return f"{column} is missing or of a wrong type"
    return ""


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
