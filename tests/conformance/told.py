"""Events as the catalog tells them, made by hand, for tests of what becomes of them."""

from __future__ import annotations

import secrets

from mediaconvert import events
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    EventBatch,
    JobId,
    JobStatus,
    OutboxEvent,
    PipelineId,
    TriggeredBy,
    UserId,
)

ANN, BOB = UserId(1), UserId(2)
# 2024-01-01T00:00:00Z, the start of an hour, of a day and of a month.
MIDNIGHT_US = 1_704_067_200_000_000
TABLES = ("job_metrics", "job_status_history_analytics", "pipeline_execution_logs")
"""In the order of `events.COLUMNS`."""


def facts_of(
    job_id: int,
    status: JobStatus,
    *,
    user_id: UserId = ANN,
    created_us: int = MIDNIGHT_US,
    took_ms: int = 1000,
    input_bytes: int = 100,
    pipeline: tuple[int, str] = (1, "small"),
) -> JobFacts:
    started = None if status is JobStatus.PENDING else created_us + 500
    return JobFacts(
        job_id=JobId(job_id),
        user_id=user_id,
        pipeline_id=PipelineId(pipeline[0]),
        pipeline_name=pipeline[1],
        content_type="video/mp4",
        input_bytes=input_bytes,
        output_bytes=0,
        status=status,
        attempt=1,
        error=None,
        error_code=None,
        created_at_us=created_us,
        started_at_us=started,
        finished_at_us=created_us + 500 + took_ms * 1000 if status.has_ended else None,
    )


def metrics(event_id: int, of: JobFacts) -> OutboxEvent:
    return OutboxEvent(event_id, events.JOB_METRICS, events.job_metrics(of))


def everything(first_id: int, job_id: int, created_us: int = MIDNIGHT_US) -> list[OutboxEvent]:
    """One event of each kind."""
    of = facts_of(job_id, JobStatus.COMPLETED, created_us=created_us)
    change = events.status_change(of, JobStatus.PROCESSING, TriggeredBy.WORKER, "Done.", created_us)
    (step,) = events.executed_steps(of, [{"id": "a", "operation": "resize"}], created_us)
    return [
        metrics(first_id, of),
        OutboxEvent(first_id + 1, events.STATUS_HISTORY, change),
        OutboxEvent(first_id + 2, events.PIPELINE_EXECUTION, step),
    ]


def batch_of(*told: OutboxEvent, token: str = "") -> EventBatch:
    """With a token of its own unless told."""
    return EventBatch(token or secrets.token_hex(8), tuple(sorted(told, key=lambda e: e.id)))
