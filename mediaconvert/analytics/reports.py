"""The five reports: from a number of days to what the analytics store says about them.

The room between the REST side and the store; knows neither HTTP nor SQL. Reports lag behind
the jobs by as long as the flusher takes. Where the store is, and why it is away, is the log's
business and no user's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from mediaconvert.errors import Unavailable
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
AGAIN_SECONDS = 60.0
"""Reports that come and go, as where one user's take too long, are in the log no more often."""
_DAY_US = 86_400_000_000

T = TypeVar("T")

log = logging.getLogger("mediaconvert.analytics.reports")


class Reports:
    """Over the jobs that a user made in the last `days` times 24 hours, 1 to MAX_DAYS; the
    caller has checked that. All raise Unavailable while the store is away."""

    def __init__(self, store: AnalyticsStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._is_away = False
        self._told_at = float("-inf")
        self._made = 0

    async def job_stats(self, user_id: UserId, days: int) -> JobStats:
        return await self._told(self._store.job_stats(user_id, self._since_us(days)))

    async def job_percentiles(self, user_id: UserId, days: int) -> JobPercentiles:
        return await self._told(self._store.job_percentiles(user_id, self._since_us(days)))

    async def timeline(
        self, user_id: UserId, days: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """`interval` is `hour` or `day`; oldest first."""
        return await self._told(self._store.timeline(user_id, self._since_us(days), interval))

    async def pipeline_stats(self, user_id: UserId, days: int) -> tuple[PipelineStats, ...]:
        return await self._told(self._store.pipeline_stats(user_id, self._since_us(days)))

    async def operation_stats(self, user_id: UserId, days: int) -> tuple[OperationStats, ...]:
        """Of jobs that ended in the window."""
        return await self._told(self._store.operation_stats(user_id, self._since_us(days)))

    async def _told(self, answer: Awaitable[T]) -> T:
        made_before = self._made
        try:
            found = await answer
        except Unavailable as error:
            # Where others were made meanwhile, it is not the store.
            if self._made == made_before:
                self._tell_loss(error.reason)
            raise Unavailable(
                "reports are not available just now; nothing is lost: what happens meanwhile is "
                "in them when they are back",
                error.retry_after_seconds,
                is_lasting=error.is_lasting,
                reason=error.reason,
            ) from error
        self._made += 1
        if self._is_away:
            self._is_away = False
            log.info("reports are available again")
        return found

    def _tell_loss(self, reason: str) -> None:
        now = trio.current_time()
        if not self._is_away and now - self._told_at >= AGAIN_SECONDS:
            self._is_away = True
            self._told_at = now
            log.warning("reports are not available: %s", reason)

    def _since_us(self, days: int) -> int:
        return int(self._clock() * 1_000_000) - days * _DAY_US
