"""The analytics payloads: the columns they promise, from whatever steps report."""

from __future__ import annotations

import dataclasses

from mediaconvert import events
from mediaconvert.model import JobId, JobStatus, PipelineId, TriggeredBy, UserId

FACTS = events.JobFacts(
    job_id=JobId(7),
    user_id=UserId(1),
    pipeline_id=PipelineId(2),
    pipeline_name="small",
    content_type="video/mp4",
    input_bytes=100,
    output_bytes=40,
    status=JobStatus.COMPLETED,
    attempt=1,
    error=None,
    error_code=None,
    created_at_us=1_000_000,
    started_at_us=2_000_000,
    finished_at_us=3_500_000,
)


def test_every_payload_has_exactly_its_tables_columns() -> None:
    assert tuple(events.job_metrics(FACTS)) == events.COLUMNS[events.JOB_METRICS]
    change = events.status_change(FACTS, None, TriggeredBy.USER, "text", 5)
    assert tuple(change) == events.COLUMNS[events.STATUS_HISTORY]
    (step,) = events.executed_steps(FACTS, [{"id": "a"}], 5)
    assert tuple(step) == events.COLUMNS[events.PIPELINE_EXECUTION]


def test_processing_time_runs_from_the_claim_to_the_end() -> None:
    assert events.job_metrics(FACTS)["processing_ms"] == 1500
    waiting = dataclasses.replace(FACTS, started_at_us=None)
    assert events.job_metrics(waiting)["processing_ms"] is None
    running = dataclasses.replace(FACTS, finished_at_us=None)
    assert events.job_metrics(running)["processing_ms"] is None


def test_steps_that_ran_are_told_apart_by_success_and_steps_that_did_not_are_left_out() -> None:
    steps: list[dict[str, object]] = [
        {"id": "a", "operation": "transcode", "status": "completed", "duration_ms": 12.7},
        {"id": "b", "status": "failed", "error": "no video stream"},
        {"id": "c", "status": "processing"},
        {"id": "d", "status": "pending"},
    ]
    told = events.executed_steps(FACTS, steps, 5)
    assert [(row["step_id"], row["success"], row["error"]) for row in told] == [
        ("a", True, None),
        ("b", False, "no video stream"),
        ("c", False, None),
    ]
    assert told[0]["duration_ms"] == 12
    assert [row["step_index"] for row in told] == [0, 1, 2]


def test_a_step_that_says_nothing_of_itself_still_makes_a_row() -> None:
    (row,) = events.executed_steps(FACTS, [{}], 5)
    assert (row["step_id"], row["operation"], row["duration_ms"]) == ("step-1", "unknown", 0)
