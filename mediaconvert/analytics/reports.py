"""The five reports: from a number of days to what the analytics store says about them.

The room between the REST side and the store; knows neither HTTP nor SQL. Reports lag behind
the jobs by as long as the flusher takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mediaconvert.model import UserId
from mediaconvert.ports.analytics import (
    AnalyticsStore,
    JobPercentiles,
    JobStats,
    OperationStats,
    PipelineStats,
    TimelinePoint,
)

MAX_DAYS = 365
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Reports:
    """Over the jobs that a user made in the last `days` times 24 hours, 1 to MAX_DAYS; the
    caller has checked that. All raise Unavailable while the store is away."""

    store: AnalyticsStore
    clock: Callable[[], float] = time.time

    async def job_stats(self, user_id: UserId, days: int) -> JobStats:
        return await self.store.job_stats(user_id, self._since_us(days))

    async def job_percentiles(self, user_id: UserId, days: int) -> JobPercentiles:
        return await self.store.job_percentiles(user_id, self._since_us(days))

    async def timeline(
        self, user_id: UserId, days: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """`interval` is `hour` or `day`; oldest first."""
        return await self.store.timeline(user_id, self._since_us(days), interval)

    async def pipeline_stats(self, user_id: UserId, days: int) -> tuple[PipelineStats, ...]:
        return await self.store.pipeline_stats(user_id, self._since_us(days))

    async def operation_stats(self, user_id: UserId, days: int) -> tuple[OperationStats, ...]:
        """Of jobs that ended in the window."""
        return await self.store.operation_stats(user_id, self._since_us(days))

    def _since_us(self, days: int) -> int:
        return int(self.clock() * 1_000_000) - days * _DAY_US
