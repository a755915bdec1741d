"""Writes a running job's progress to the catalog, at most twice a second.

Takes every snapshot of the engine and keeps only the newest: what GET answers is at most a
second old, and a tool that reports often costs no more than one that does not. Announces what
it wrote to whoever waits for the job. Called by the runner, in the job's own scope.
"""

from __future__ import annotations

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.ports.catalog import Queue
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.workers.leases import HeldJob, Stop
from mediaconvert.workers.progress import EngineProgress

REPORT_SECONDS = 0.5
ALMOST_DONE_PERCENT = 99.9
"""100 is written by the transaction that makes the outputs visible, and by nothing else."""


class Reporter:
    def __init__(self, queue: Queue, notices: Notices, held: HeldJob) -> None:
        self._queue = queue
        self._notices = notices
        self._held = held
        self._fresh = trio.Event()
        self.latest: EngineProgress | None = None

    def update(self, progress: EngineProgress) -> None:
        """Called by the engine; returns at once."""
        self.latest = progress
        self._fresh.set()

    async def run(self) -> None:
        """Write until cancelled, or until the lease turns out to be gone."""
        # The claim has made the job a running one.
        await self._announce()
        while True:
            # The wait comes first: a job of 50 ms needs no progress.
            await trio.sleep(REPORT_SECONDS)
            await self._fresh.wait()
            self._fresh = trio.Event()
            if self.latest is not None and not await self._write(self.latest):
                self._held.stop(Stop.LOST)
                return
            await self._announce()

    async def _announce(self) -> None:
        await self._notices.publish(Notice(Topic.JOB_PROGRESS, str(self._held.job.id)))

    async def _write(self, progress: EngineProgress) -> bool:
        percent = min(progress.percent, ALMOST_DONE_PERCENT)
        try:
            return await self._queue.progress(
                self._held.lease, percent, progress.eta_seconds, progress.steps
            )
        except Unavailable:
            # Not worth a word: the lease keeper says what is away, and the next one is due.
            return True
