"""Moves analytics events from the catalog's outbox to the analytics store, batch by batch.

At least once: a batch is forgotten only after the store has it, and the store recognises
repeats by the batch's token. Any number of flushers, one a process, share one outbox: its
batch is leased. Nothing on a job's path waits for it, and nothing that goes wrong here ends the
process. Called by the supervisor, in a scope of its own that outlives everything else.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import trio

from mediaconvert import events
from mediaconvert.errors import Unavailable
from mediaconvert.model import EventBatch, OutboxEvent
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.catalog import Outbox
from mediaconvert.settings import AnalyticsSettings

log = logging.getLogger("mediaconvert.analytics.flusher")

BATCH = 5000
"""Events at once. Some 3 MiB of JSON, so that a backlog costs memory for one batch only."""
LEASE_SECONDS = 30.0
"""How long a batch belongs to a flusher that is not heard of any more."""
_SENDING_SHARE = 2 / 3
"""Of the lease, from opening a batch to the store's answer: what would be sent later than that
is not sent at all."""
MAX_BACKOFF_SECONDS = 10.0
REMIND_SECONDS = 300.0
"""Between two errors in the log about a batch that the store refuses."""
LAST_FLUSH_SECONDS = 2.0


def _ignore(_count: int) -> None:
    """Nobody counts."""


class Flusher:
    def __init__(
        self,
        outbox: Outbox,
        store: AnalyticsStore,
        settings: AnalyticsSettings,
        *,
        is_alone: bool = False,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`is_alone`: no other process has this outbox, so a batch that an earlier process
        left open need not be waited for."""
        self._outbox = outbox
        self._store = store
        self._flush_seconds = settings.flush_seconds
        self._keep = settings.max_waiting_events
        self._lease_seconds = 0.0 if is_alone else lease_seconds
        self._send_seconds = lease_seconds * _SENDING_SHARE
        self._holder = secrets.token_hex(8)
        self._failures = 0
        self._remind_at = float("-inf")
        # Not before it has answered once: so it is asked at start, also when nothing waits.
        self._is_store_known_good = False
        self._count_dropped: Callable[[int], None] = _ignore
        self._dropped_ids: set[int] = set()

    def observe(self, dropped: Callable[[int], None]) -> None:
        """Be told how many events were dropped, each time that some were."""
        self._count_dropped = dropped

    async def run(self) -> None:
        """Flush until cancelled, the first time at once."""
        while True:
            await self._attempt()
            await trio.sleep(self._wait_seconds())

    async def final_flush(self) -> None:
        """What waits now, within 2 s, also when the caller is being cancelled; what does not
        get through stays in the outbox for the next start."""
        with trio.move_on_after(LAST_FLUSH_SECONDS, shield=True) as scope:
            await self._attempt()
        if scope.cancelled_caught:
            log.warning("analytics events are left for the next start")

    async def flush(self) -> int:
        """Send what waits, unless another flusher is at it; answers how many events. Raises
        Unavailable."""
        sent = 0
        while True:
            # From before the batch is ours: a process that was suspended since then lets go of
            # it here, for by now it may be another's.
            deadline = trio.current_time() + self._send_seconds
            batch = await self._outbox.open_batch(self._holder, BATCH, self._lease_seconds)
            if batch is None:
                return sent
            await self._send(self._intact(batch), deadline)
            await self._outbox.acknowledge(batch.token)
            self._dropped_ids.clear()
            sent += len(batch.events)
            if len(batch.events) < BATCH:
                return sent
            await self._trim()

    def _intact(self, batch: EventBatch) -> EventBatch:
        """The batch without events that no store could take: they must not hold up the rest."""
        kept: list[OutboxEvent] = []
        for event in batch.events:
            problem = events.problem_of(event.kind, event.payload)
            if not problem:
                kept.append(event)
            elif event.id not in self._dropped_ids:
                self._dropped_ids.add(event.id)
                self._count_dropped(1)
                fields = {"event": event.id, "why": problem}
                log.error("dropped a damaged analytics event", extra={"fields": fields})
        return EventBatch(batch.token, tuple(kept))

    async def _send(self, batch: EventBatch, deadline: float) -> None:
        with trio.CancelScope(deadline=deadline):
            try:
                await self._store.record(batch)
            except Unavailable as error:
                if error.is_lasting:
                    self._remind(batch.token, error)
                raise
            self._remind_at = float("-inf")
            return
        raise Unavailable(f"the analytics store took longer than {self._send_seconds:g} s")

    def _wait_seconds(self) -> float:
        # 2^10 is past any ceiling; the bound keeps the power small.
        return min(self._flush_seconds * 2.0 ** min(self._failures, 10), MAX_BACKOFF_SECONDS)

    async def _attempt(self) -> None:
        try:
            if not self._is_store_known_good:
                await self._find_store()
            await self.flush()
        except Unavailable as error:
            await self._note_failure("analytics events wait: %s", error, is_bug=False)
        except Exception as error:  # the flusher's fence: reports may lag, jobs may not stop
            await self._note_failure("analytics events cannot be sent: %r", error, is_bug=True)
        else:
            if self._failures:
                log.info("analytics events are being sent again")
            self._failures = 0

    async def _find_store(self) -> None:
        try:
            await self._store.check()
        except Unavailable as error:
            # It is there. Whether it has been mended is found out by sending.
            if not error.is_lasting:
                raise
        self._is_store_known_good = True

    def _remind(self, token: str, error: Unavailable) -> None:
        """Nothing gets past a batch that is refused, and it does not pass by itself."""
        if trio.current_time() >= self._remind_at:
            self._remind_at = trio.current_time() + REMIND_SECONDS
            log.error(
                "analytics batch %s is refused, and all events wait behind it: %s; "
                "what to do stands in CLUSTER.md",
                token,
                error.reason,
            )

    async def _note_failure(self, message: str, error: Exception, *, is_bug: bool) -> None:
        is_said = isinstance(error, Unavailable) and error.is_lasting
        if self._failures == 0 and not is_said:
            level = logging.ERROR if is_bug else logging.WARNING
            told = error.reason if isinstance(error, Unavailable) else error
            log.log(level, message, told, exc_info=error if is_bug else None)
        self._failures += 1
        self._is_store_known_good = False
        try:
            await self._trim()
        except Unavailable:
            log.debug("the outbox could not be trimmed", exc_info=True)

    async def _trim(self) -> None:
        dropped = await self._outbox.trim(self._keep)
        if dropped:
            self._count_dropped(dropped)
            log.warning(
                "%d of the oldest analytics events were dropped: more than %d waited "
                "(analytics.max_waiting_events)",
                dropped,
                self._keep,
            )
