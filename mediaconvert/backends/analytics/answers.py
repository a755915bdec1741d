"""Rows of the reports' queries become the port's values, whichever store answered.

No statements, no decisions. Both stores name their columns alike.
"""

from __future__ import annotations

from mediaconvert.backends.sql.driver import Row
from mediaconvert.backends.sql.values import record, text
from mediaconvert.model import PipelineId
from mediaconvert.ports.analytics import JobStats, OperationStats, PipelineStats, TimelinePoint


def job_stats(row: Row) -> JobStats:
    return JobStats(
        total_jobs=row["total"],
        completed_jobs=row["completed"],
        failed_jobs=row["failed"],
        pending_jobs=row["pending"],
        processing_jobs=row["processing"],
        success_rate=_success_rate(row["completed"], row["failed"]),
        avg_processing_time_ms=row["avg_ms"],
        total_data_processed_bytes=row["processed_bytes"],
    )


def timeline_point(row: Row) -> TimelinePoint:
    rate = _success_rate(row["completed"], row["failed"])
    return TimelinePoint(row["time"], row["total"], row["avg_ms"], rate)


def pipeline_stats(row: Row, name: str) -> PipelineStats:
    return PipelineStats(
        pipeline_id=PipelineId(row["pipeline_id"]),
        pipeline_name=name,
        total_jobs=row["total"],
        successful_jobs=row["completed"],
        failed_jobs=row["failed"],
        success_rate=_success_rate(row["completed"], row["failed"]),
        avg_processing_time_ms=row["avg_ms"],
    )


@record("pipeline_execution_logs", "operation")
def operation_stats(row: Row, p95_ms: float) -> OperationStats:
    failures = row["runs"] - row["successes"]
    return OperationStats(
        operation=text(row, "operation"),
        runs=row["runs"],
        successes=row["successes"],
        failures=failures,
        success_rate=_success_rate(row["successes"], failures),
        avg_duration_ms=row["avg_ms"],
        p95_duration_ms=p95_ms,
        input_bytes=row["input_bytes"],
        output_bytes=row["output_bytes"],
    )


def _success_rate(succeeded: int, failed: int) -> float:
    """Percent of what came to an end of its own."""
    ended = succeeded + failed
    return 100.0 * succeeded / ended if ended else 0.0
