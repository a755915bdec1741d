"""N slots that claim jobs and run them; the part of the process tree that does the work.

Claims only what it has free slots for, wakes for a notice, a freed slot or a due retry, and
polls because notices are only hints. A suspect (a job that may have ended its worker processes)
runs only while nothing else does, by turns with the others. Drains on request: first no new
claim, then time for what runs, then everything unfinished goes back to the queue. Called by the
supervisor.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.model import ClaimedJob, JobId, TriggeredBy
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import Settings
from mediaconvert.workers.leases import HeldJob, LeaseKeeper, Stop
from mediaconvert.workers.runner import Runner, work_folder
from mediaconvert.workers.workspace import sweep_workspaces

T = TypeVar("T")

log = logging.getLogger("mediaconvert.workers.pool")

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 5.0
SUSPECT_PATIENCE_SECONDS = 30.0
"""How long a due suspect waits for an idle process. After that a busy one stops claiming and
lets its other jobs end; it claims others again before it takes another suspect."""
SUSPECT_WAIT_SECONDS = 120.0
"""For how long. A process that has not become idle by then puts the suspect back, and works on
other jobs for twice as long, then four times, until it is idle: then the suspect runs at once.
Jobs of hours thus cost a process 120 s of idle slots at first, and 3 % of its time in the end."""
MAX_SUSPECT_PAUSE_SECONDS = 3600.0
SUSPECT_LOOK_SECONDS = 5.0
"""Between two looks of a busy process for suspects, each a small read."""
CLEAN_STOP_SECONDS = 2.0
SHORTEST_WAIT_SECONDS = 0.02
"""Between two claims that found nothing: a job that is due this instant is not worth a spin."""


class Pool:
    """One per process. `slots` is how many jobs run at once, `slots_busy` how many do now."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        notices: Notices,
        tools: Tools,
        settings: Settings,
        *,
        embedded: bool,
        suspect_wait_seconds: float = SUSPECT_WAIT_SECONDS,
    ) -> None:
        """`embedded`: this process alone holds the catalog, so at its start whatever is
        marked as running belongs to a dead one."""
        self.slots = settings.workers.slots or os.cpu_count() or 1
        self.slots_busy = 0
        self.worker_id = secrets.token_hex(8)
        self._settings = settings
        self._queue = catalog.queue
        self._notices = notices
        self._embedded = embedded
        self._keeper = LeaseKeeper(catalog.queue, self.worker_id, settings.workers)
        self._runner = Runner(catalog, blobs, notices, tools, settings)
        self._wake = trio.Event()
        self._freed = trio.Event()
        self._draining = trio.Event()
        self._ended = trio.Event()
        self._failures = 0
        self._has_begun = False
        """An embedded pool has taken over from the last process."""
        self._has_suspect = False
        """One runs, or waits until it is alone: nothing is claimed meanwhile."""
        self._is_others_turn = False
        """After a suspect, before the next one."""
        self._look_for_suspects_at = -math.inf
        self._suspect_wait_seconds = suspect_wait_seconds
        self._suspect_pause_seconds = suspect_wait_seconds
        """Before the last suspect that was put back, while the process is busy."""
        self._tell: Callable[[str, float], None] = lambda _ending, _seconds: None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until drained or cancelled. Started when the dead process's jobs are back in
        the queue. Cancelled: the children die, and the jobs are put back, in a few seconds at
        most."""
        try:
            await self._take_back()
            await sweep_workspaces(work_folder(self._settings))
            async with trio.open_nursery() as around:
                around.start_soon(self._keeper.run)
                await around.start(self._listen)
                # Jobs in the catalog name their worker by this id.
                fields = {"worker": self.worker_id, "slots": self.slots}
                log.info("working", extra={"fields": fields})
                task_status.started()
                async with trio.open_nursery() as jobs:
                    await self._claim_until_drained(jobs)
                    with trio.move_on_after(self._settings.server.drain_jobs_seconds):
                        await self._until_idle()
                    self._keeper.stop_all(Stop.SHUTDOWN)
                around.cancel_scope.cancel()
        finally:
            await self._note_clean_stop()
            self._ended.set()

    def observe(self, tell: Callable[[str, float], None]) -> None:
        """Have every ended attempt told: how it ended (`Ending`) and its seconds."""
        self._tell = tell

    def begin_drain(self) -> None:
        """No new claim from here on."""
        self._keeper.begin_drain()
        self._draining.set()
        self._wake.set()
        self._note_freed()

    async def drain(self) -> None:
        """`begin_drain`, and wait until `run` has ended: at most the time that running jobs
        get (`server.drain_jobs_seconds`) and a few seconds for putting them back."""
        self.begin_drain()
        await self._ended.wait()

    async def _take_back(self) -> None:
        while self._embedded and not self._draining.is_set():
            try:
                back = await self._queue.recover(
                    all_running=True,
                    by=TriggeredBy.SYSTEM,
                    message="the service was stopped while the job ran",
                    retry_base_seconds=self._settings.workers.retry_base_seconds,
                )
            except Unavailable as error:
                await self._back_off(error)
            else:
                self._note_available()
                if back:
                    fields = {"jobs": len(back)}
                    log.info("took back the jobs of a stopped process", extra={"fields": fields})
                self._has_begun = True
                return

    async def _note_clean_stop(self) -> None:
        """The next start must not take this end for a death. Where the catalog is unavailable it
        will, which only spares suspects."""
        if not self._has_begun:
            return
        with trio.move_on_after(CLEAN_STOP_SECONDS, shield=True):
            try:
                await self._queue.note_clean_stop()
            except Unavailable as error:
                log.debug("the end of the workers could not be noted: %s", error)

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with self._notices.subscribe(Topic.JOB_READY, Topic.JOB_CANCELED) as subscription:
            task_status.started()
            while True:
                self._hear(await subscription.receive())

    def _hear(self, notice: Notice) -> None:
        if notice.topic is Topic.JOB_READY:
            self._wake.set()
        elif notice.value.isdecimal():
            self._keeper.cancel(JobId(int(notice.value)))

    async def _claim_until_drained(self, jobs: trio.Nursery) -> None:
        while not self._draining.is_set():
            # Replaced before the claim: what is announced while it is under way wakes us.
            self._wake = trio.Event()
            timeout = math.inf
            if self.slots_busy < self.slots and not self._has_suspect:
                timeout = await self._fill(jobs)
            with trio.move_on_after(timeout):
                await self._wake.wait()

    async def _fill(self, jobs: trio.Nursery) -> float:
        """Claim for the free slots; how long to wait for more. A suspect goes first where it has
        waited for long, and last where it has not."""
        if not self._is_others_turn and trio.current_time() >= self._look_for_suspects_at:
            await self._begin_suspect(jobs, SUSPECT_PATIENCE_SECONDS)
            if self._has_suspect:
                return math.inf
        free = self.slots - self.slots_busy
        lease_seconds = self._settings.workers.lease_seconds
        nothing: tuple[ClaimedJob, ...] = ()
        asked_at, claimed = await self._claim(
            lambda: self._queue.claim(self.worker_id, free, lease_seconds), nothing
        )
        self._is_others_turn = False
        for job in claimed:
            self._begin(jobs, job, asked_at)
        if len(claimed) == free:
            return math.inf
        if self.slots_busy == 0:
            await self._begin_suspect(jobs, 0.0)
            if self._has_suspect:
                return math.inf
        return await self._idle_seconds()

    async def _begin_suspect(self, jobs: trio.Nursery, overdue_seconds: float) -> None:
        """Where one has been due for so long."""
        next_look = trio.current_time() + SUSPECT_LOOK_SECONDS
        self._look_for_suspects_at = max(self._look_for_suspects_at, next_look)
        due = await self._seconds_until(self._queue.suspect_due_seconds)
        if due is None or due > -overdue_seconds:
            return
        lease_seconds = self._settings.workers.lease_seconds
        nothing: ClaimedJob | None = None
        asked_at, job = await self._claim(
            lambda: self._queue.claim_suspect(self.worker_id, lease_seconds, overdue_seconds),
            nothing,
        )
        if job is not None:
            self._has_suspect = True
            self._begin(jobs, job, asked_at)

    def _begin(self, jobs: trio.Nursery, job: ClaimedJob, asked_at: float) -> None:
        self.slots_busy += 1
        work = self._work_alone if self._has_suspect else self._work
        jobs.start_soon(work, job, asked_at, name=f"job {job.id}")

    async def _claim(self, ask: Callable[[], Awaitable[T]], nothing: T) -> tuple[float, T]:
        """With the time before it was asked for: no lease can have begun earlier."""
        try:
            await self._runner.store.require()
            asked_at = trio.current_time()
            # Shielded: a claim that was made and not received would be a job that nobody
            # works on until its lease runs out. The catalog ends it within its own deadline.
            with trio.CancelScope(shield=True):
                claimed = await ask()
        except Unavailable as error:
            await self._back_off(error)
            return trio.current_time(), nothing
        if not self._runner.store.is_in_doubt:
            self._note_available()
        return asked_at, claimed

    async def _idle_seconds(self) -> float:
        # A process without jobs looks for suspects at each poll as well.
        poll = self._settings.workers.poll_seconds
        due = await self._seconds_until(self._queue.next_due_seconds)
        return poll if due is None else min(poll, max(due, SHORTEST_WAIT_SECONDS))

    async def _seconds_until(self, ask: Callable[[], Awaitable[float | None]]) -> float | None:
        try:
            return await ask()
        except Unavailable:
            return None

    async def _work_alone(self, job: ClaimedJob, asked_at: float) -> None:
        """A suspect: it waits until nothing else runs here."""
        try:
            await self._work(job, asked_at, self._wait_to_be_alone)
        finally:
            self._has_suspect = False
            self._is_others_turn = True
            self._wake.set()

    async def _wait_to_be_alone(self, held: HeldJob) -> None:
        """Returns when the job may begin; its lease is renewed meanwhile. Stops it where the
        process is ending or stays busy, or the lease is no longer ours."""
        with trio.move_on_after(self._suspect_wait_seconds):
            while self.slots_busy > 1 and not self._draining.is_set():
                await self._freed.wait()
        if self.slots_busy > 1 and not self._draining.is_set():
            pause = min(2 * self._suspect_pause_seconds, MAX_SUSPECT_PAUSE_SECONDS)
            self._suspect_pause_seconds = pause
            self._look_for_suspects_at = trio.current_time() + pause
            held.stop(Stop.BUSY)
            await trio.lowlevel.checkpoint()
            return
        self._suspect_pause_seconds = self._suspect_wait_seconds
        self._look_for_suspects_at = -math.inf
        while not self._draining.is_set():
            try:
                if not await self._queue.run_alone(held.lease):
                    held.stop(Stop.LOST)
                break
            except Unavailable:
                await trio.sleep(FIRST_BACKOFF_SECONDS)
        else:
            held.stop(Stop.SHUTDOWN)
        await trio.lowlevel.checkpoint()

    async def _work(
        self,
        job: ClaimedJob,
        asked_at: float,
        first: Callable[[HeldJob], Awaitable[None]] | None = None,
    ) -> None:
        began = trio.current_time()
        fields = {"job": job.id, "attempt": job.attempt, "worker": self.worker_id}
        log.info("began a job" if first is None else "began a suspect", extra={"fields": fields})
        try:
            with self._keeper.hold(job, asked_at) as held:
                ending = await self._runner.run(held, first)
            self._tell(ending.value, trio.current_time() - began)
        finally:
            self.slots_busy -= 1
            self._wake.set()
            self._note_freed()

    async def _until_idle(self) -> None:
        while self.slots_busy:
            await self._freed.wait()

    def _note_freed(self) -> None:
        """Wake all that wait; each of them looks at what it waits for."""
        self._freed.set()
        self._freed = trio.Event()

    async def _back_off(self, error: Unavailable) -> None:
        if self._failures == 0:
            log.warning("no job can be claimed: %s", error)
        wait = min(FIRST_BACKOFF_SECONDS * 2.0**self._failures, MAX_BACKOFF_SECONDS)
        self._failures = min(self._failures + 1, 10)
        with trio.move_on_after(wait):
            await self._draining.wait()

    def _note_available(self) -> None:
        if self._failures:
            log.info("jobs can be claimed again")
        self._failures = 0
