"""Moves analytics events from the catalog's outbox to the analytics store, in order.

At least once: an event is forgotten only after the store has it, and the store recognises
repeats. Nothing on a job's path waits for it, and nothing that goes wrong here ends the
process. Called by the supervisor, in a scope of its own that outlives everything else.
"""

from __future__ import annotations

import logging

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.catalog import Housekeeping
from mediaconvert.settings import AnalyticsSettings

log = logging.getLogger("mediaconvert.analytics.flusher")

BATCH = 1000
MAX_BACKOFF_SECONDS = 30.0
LAST_FLUSH_SECONDS = 2.0


class Flusher:
    def __init__(
        self, housekeeping: Housekeeping, store: AnalyticsStore, settings: AnalyticsSettings
    ) -> None:
        self._house = housekeeping
        self._store = store
        self._flush_seconds = settings.flush_seconds
        self._failures = 0

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await trio.sleep(self._wait_seconds())
            await self._attempt()

    async def final_flush(self) -> None:
        """What waits now, within 2 s, also when the caller is being cancelled; what does not
        get through stays in the outbox for the next start."""
        with trio.move_on_after(LAST_FLUSH_SECONDS, shield=True) as scope:
            await self._attempt()
        if scope.cancelled_caught:
            log.warning("analytics events are left for the next start")

    async def flush(self) -> int:
        """Send everything that waits; answers how many events. Raises Unavailable."""
        sent = 0
        while events := await self._house.take_events(BATCH):
            await self._store.record(events)
            await self._house.acknowledge_events([event.id for event in events])
            sent += len(events)
            if len(events) < BATCH:
                break
        return sent

    def _wait_seconds(self) -> float:
        # 2^10 is past any ceiling; the bound keeps the power small.
        return min(self._flush_seconds * 2.0 ** min(self._failures, 10), MAX_BACKOFF_SECONDS)

    async def _attempt(self) -> None:
        try:
            await self.flush()
        except Unavailable as error:
            self._note_failure("analytics events wait: %s", error, is_bug=False)
        except Exception as error:  # the flusher's fence: reports may lag, jobs may not stop
            self._note_failure("analytics events cannot be sent: %r", error, is_bug=True)
        else:
            if self._failures:
                log.info("analytics events are being sent again")
            self._failures = 0

    def _note_failure(self, message: str, error: Exception, *, is_bug: bool) -> None:
        if self._failures == 0:
            level = logging.ERROR if is_bug else logging.WARNING
            log.log(level, message, error, exc_info=error if is_bug else None)
        self._failures += 1
