"""The analytics store: fed from the outbox, asked by the five reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mediaconvert.model import EventBatch, PipelineId, UserId


@dataclass(frozen=True, slots=True)
class JobStats:
    """Rates are percent, 0 to 100: completed / (completed + failed), 0 where there is none.
    Times are milliseconds from the claim to the end, over completed jobs, 0 where none."""

    total_jobs: int
    completed_jobs: int
    failed_jobs: int
    pending_jobs: int
    processing_jobs: int
    success_rate: float
    avg_processing_time_ms: float
    total_data_processed_bytes: int
    """Input bytes of completed jobs."""


@dataclass(frozen=True, slots=True)
class JobPercentiles:
    """Of the milliseconds from the claim to the end, over completed jobs; 0 where none. Between
    two jobs the value lies on the line between theirs (PostgreSQL's percentile_cont)."""

    completed_jobs: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    time_us: int
    """Start of the hour or day, UTC."""
    job_count: int
    avg_processing_time_ms: float
    success_rate: float


@dataclass(frozen=True, slots=True)
class PipelineStats:
    pipeline_id: PipelineId
    pipeline_name: str
    total_jobs: int
    successful_jobs: int
    failed_jobs: int
    success_rate: float
    avg_processing_time_ms: float


@dataclass(frozen=True, slots=True)
class OperationStats:
    """Steps that ran, by what they do. Durations (milliseconds) and bytes are those of
    successful runs, 0 where there is none; the 95th percentile as in JobPercentiles."""

    operation: str
    runs: int
    successes: int
    failures: int
    success_rate: float
    """Percent of the runs."""
    avg_duration_ms: float
    p95_duration_ms: float
    input_bytes: int
    output_bytes: int


class AnalyticsStore(Protocol):
    """All reports are of one user's jobs, by time of creation, from `since_us` on; that of
    operations by the end of the job that a step belongs to."""

    async def record(self, batch: EventBatch) -> None:
        """Store a batch. The same batch again (its token, its events), from whatever process,
        changes nothing, also when an earlier delivery was cut off half-way: what was missing
        is added. Of several `job_metrics` of one job the one with the highest outbox id counts,
        whatever the order of arrival. Raises Unavailable; then nothing of the batch may be
        taken as stored. `is_lasting` where the store answers and does not take it."""

    async def job_stats(self, user_id: UserId, since_us: int) -> JobStats: ...

    async def job_percentiles(self, user_id: UserId, since_us: int) -> JobPercentiles: ...

    async def timeline(
        self, user_id: UserId, since_us: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """`interval` is `hour` or `day`; oldest first; buckets without jobs are left out."""

    async def pipeline_stats(self, user_id: UserId, since_us: int) -> tuple[PipelineStats, ...]:
        """Most jobs first, then by id; the name is the newest one seen."""

    async def operation_stats(self, user_id: UserId, since_us: int) -> tuple[OperationStats, ...]:
        """Most runs first, then by name."""

    async def check(self) -> str:
        """What stands behind, with its version (`ClickHouse 26.5.1`). Prepares the store where
        that has not been done yet. Raises Unavailable when it cannot be reached or used; with
        `is_lasting` also while it refuses what `record` is given."""
