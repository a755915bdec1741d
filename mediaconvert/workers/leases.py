"""The leases of this process: held by running jobs, renewed together, obeyed at once.

Every running job has one cancel scope. Its deadline is the moment until which the lease is
certain; each renewal moves it on, so a process that cannot renew stops its own jobs before
anybody else may take them, without a further clock; when the catalog answers again it gives
them back. Called by the pool and the runner.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.model import ClaimedJob, JobId, Lease, LeaseState
from mediaconvert.ports.catalog import Queue
from mediaconvert.settings import WorkerSettings

log = logging.getLogger("mediaconvert.workers.leases")

TRUSTED_SHARE = 2 / 3
"""A job is stopped when this share of its lease has passed without a renewal: 10 s of 15."""
RETRY_SECONDS = 1.0
REMEMBERED_CANCELS = 10_000


class Stop(StrEnum):
    """Why a running job was stopped."""

    CANCELED = "canceled"
    """By its owner; the catalog has ended it already."""
    LOST = "lost"
    """Its lease is somebody else's."""
    UNRENEWED = "unrenewed"
    """Its lease could not be renewed in time: whose it is by now, only the catalog knows."""
    SHUTDOWN = "shutdown"
    """The process is ending; the job goes back to the queue."""
    BUSY = "busy"
    """A suspect, whose process did not become idle in time; it goes back to the queue."""


class HeldJob:
    """A claimed job with its lease and the scope that everything done for it runs in."""

    def __init__(self, job: ClaimedJob, deadline: float) -> None:
        self.job = job
        self.lease = Lease(job.id, job.token)
        self.scope = trio.CancelScope(deadline=deadline)
        self.is_process_ending = False
        """Whoever stops the process may be stopping its children by the same signal."""
        self.is_given_back = False
        """After UNRENEWED: the catalog was asked to put it back."""
        self._stopped: Stop | None = None
        self._held_since = trio.current_time()

    def stop(self, why: Stop) -> None:
        """Cancel the scope; the first reason counts."""
        if self._stopped is None:
            self._stopped = why
            self.scope.cancel()

    @property
    def stopped(self) -> Stop | None:
        """UNRENEWED where the scope's deadline has passed."""
        if self._stopped is None and self.scope.cancel_called:
            self._stopped = Stop.UNRENEWED
        return self._stopped

    @property
    def waits_to_be_given_back(self) -> bool:
        return self.stopped is Stop.UNRENEWED and not self.is_given_back

    def age_seconds(self) -> float:
        """How long ago the job was made, give or take a transaction: by the catalog's clock up
        to the claim, from there on by ours, which may be set to anything."""
        waited_us = self.job.started_at_us - self.job.created_at_us
        return waited_us / 1e6 + trio.current_time() - self._held_since


class LeaseKeeper:
    """All running jobs of one process."""

    def __init__(self, queue: Queue, worker_id: str, settings: WorkerSettings) -> None:
        self._queue = queue
        self._worker_id = worker_id
        self._lease_seconds = settings.lease_seconds
        # Two renewals may fail before a job is stopped, whatever the settings say.
        self._renew_seconds = min(settings.renew_seconds, settings.lease_seconds / 3)
        self._retry_seconds = min(RETRY_SECONDS, self._renew_seconds)
        self._held: list[HeldJob] = []
        self._left: list[HeldJob] = []
        """Over, and not given back yet. At most one a slot: without the catalog none is claimed."""
        self._is_process_ending = False
        self._stop_all: Stop | None = None
        self._canceled: deque[JobId] = deque(maxlen=REMEMBERED_CANCELS)

    @contextmanager
    def hold(self, job: ClaimedJob, asked_at: float) -> Iterator[HeldJob]:
        """Renew the job's lease while the body runs. `asked_at` is the time (trio's clock)
        before the claim was sent: the lease cannot have begun earlier."""
        held = HeldJob(job, asked_at + self._lease_seconds * TRUSTED_SHARE)
        for other in self._held:
            if other.job.id == job.id:
                # We could claim it again, so the attempt that still runs has lost it.
                other.stop(Stop.LOST)
        self._held.append(held)
        held.is_process_ending = self._is_process_ending
        if job.id in self._canceled:
            # The notice came while the claim's answer was under way. An id that has been
            # canceled never runs again: a rerun is a new job.
            held.stop(Stop.CANCELED)
        if self._stop_all is not None:
            held.stop(self._stop_all)
        try:
            yield held
        finally:
            self._held.remove(held)
            if held.waits_to_be_given_back:
                self._left.append(held)

    def cancel(self, job_id: JobId) -> None:
        """Stop the job if it runs here."""
        self._canceled.append(job_id)
        for held in self._held:
            if held.job.id == job_id:
                held.stop(Stop.CANCELED)

    def begin_drain(self) -> None:
        """The process is going to end; what runs may still come to its own end."""
        self._is_process_ending = True
        for held in self._held:
            held.is_process_ending = True

    def stop_all(self, why: Stop) -> None:
        """Stop what runs, and whatever is held from now on."""
        self._stop_all = why
        for held in self._held:
            held.stop(why)

    async def run(self) -> None:
        """Renew and give back until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat_renewal)
            # By itself: one that cannot be given back now must not keep the others waiting.
            nursery.start_soon(self._repeat_giving_back)

    async def _repeat_renewal(self) -> None:
        is_away = is_urgent = False
        while True:
            await trio.sleep(self._retry_seconds if is_urgent else self._renew_seconds)
            try:
                is_urgent = not await self._renew(asks_in_any_case=is_away)
            except Unavailable as error:
                if not is_away:
                    log.warning("leases cannot be renewed: %s", error)
                is_away = is_urgent = True
            else:
                if is_away:
                    log.info("leases can be renewed again")
                is_away = False

    async def _repeat_giving_back(self) -> None:
        while True:
            await trio.sleep(self._retry_seconds)
            for held in self._unrenewed():
                try:
                    await self._give_back(held)
                except Unavailable as error:
                    log.debug("a job cannot be given back yet: %s", error)

    def _unrenewed(self) -> list[HeldJob]:
        return [held for held in (*self._left, *self._held) if held.waits_to_be_given_back]

    async def _give_back(self, held: HeldJob) -> None:
        """Release what was stopped for want of a renewal, so that it is not taken for the job
        of a dead worker when its lease runs out. Refused where that has happened."""
        is_released = await self._queue.release(
            held.lease, "its lease could not be renewed in time"
        )
        held.is_given_back = True
        if held in self._left:
            self._left.remove(held)
        log.info(
            "gave back a job whose lease could not be renewed"
            if is_released
            else "a job whose lease could not be renewed is no longer ours",
            extra={"fields": {"job": held.job.id}},
        )

    async def _renew(self, *, asks_in_any_case: bool = False) -> bool:
        """Whether the state of every lease is known. A catalog that was away is asked in any
        case: it is not back because there is nothing left to ask it."""
        # A job that is being put back still needs its lease; a lost one has none.
        asked = {
            held.job.id: held
            for held in self._held
            if held.stopped in (None, Stop.SHUTDOWN, Stop.BUSY)
        }
        if not asked and not asks_in_any_case:
            return True
        asked_at = trio.current_time()
        answers = await self._queue.renew(
            self._worker_id, [held.lease for held in asked.values()], self._lease_seconds
        )
        for job_id, held in asked.items():
            # BUSY neither lengthens what was certain before nor ends it.
            match answers.get(job_id, LeaseState.LOST):
                case LeaseState.HELD:
                    held.scope.deadline = asked_at + self._lease_seconds * TRUSTED_SHARE
                case LeaseState.CANCEL:
                    held.stop(Stop.CANCELED)
                case LeaseState.LOST:
                    held.stop(Stop.LOST)
        return LeaseState.BUSY not in answers.values()
