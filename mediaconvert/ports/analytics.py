"""The analytics store: fed from the outbox, asked by the three reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mediaconvert.model import OutboxEvent, PipelineId, UserId


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


class AnalyticsStore(Protocol):
    """All reports are of one user's jobs, by time of creation, from `since_us` on."""

    async def record(self, events: Sequence[OutboxEvent]) -> None:
        """Store a batch, atomically and idempotently: events are told apart by their outbox
        id, and an event that is stored already changes nothing. Of several `job_metrics` of
        one job the one with the highest outbox id counts, whatever the order of arrival.
        Raises Unavailable; then nothing of the batch may be taken as stored."""

    async def job_stats(self, user_id: UserId, since_us: int) -> JobStats: ...

    async def timeline(
        self, user_id: UserId, since_us: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """`interval` is `hour` or `day`; oldest first; buckets without jobs are left out."""

    async def pipeline_stats(self, user_id: UserId, since_us: int) -> tuple[PipelineStats, ...]:
        """Most jobs first, then by id; the name is the newest one seen."""

    async def check(self) -> str:
        """What stands behind, with its version (`ClickHouse 26.5.1`). Raises Unavailable when
        the store cannot be reached."""
