"""Clears up behind everybody: garbage blobs, detached objects, stale uploads, dead leases.

Each duty is a loop of its own with bounded steps, safe to run in several processes at once; the
slow ones are done by one of them for all. A blob is deleted only when the catalog has named it
garbage, first from the store, then from the list, so that dying in between only repeats it.
Called by the supervisor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.held_folders import tools_folder
from mediaconvert.model import BlobId, TriggeredBy
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.settings import Settings
from mediaconvert.workers.runner import work_folder
from mediaconvert.workers.workspace import sweep_workspaces

log = logging.getLogger("mediaconvert.workers.janitor")

BATCH = 500
GARBAGE_SECONDS = 30.0
DETACHED_SECONDS = 30.0
UPLOADS_SECONDS = 300.0
LEFTOVERS_SECONDS = 120.0
"""By each process: the sweep also shows the others that this one lives (own_staging.py)."""
STALLED_SECONDS = 2.0
STALLED_AFTER_SECONDS = 6.0
"""A live process cuts its own connection at the catalog's deadline, a second before."""
ORPHANS_SECONDS = 3600.0
TURN_SHARE = 0.9
"""Of a period: when somebody's turn at it comes again. Clocks and waits need not be exact."""
SWEEP_SHARE = 0.1
"""Of a lease: how often dead ones are looked for. With 15 s a job whose worker was killed is
back in the queue 16.5 s later at most, and the promise is 20."""
MERCY_SHARE = 1 / 3
MERCY_SECONDS = 3.0
"""After an outage workers have a third of a lease and three seconds to be heard again: 8 s of 15.
One whose packets were dropped may have begun its last vain try just before the catalog came
back (5 s, the catalog's deadline), then waits for its next (1 s), which leaves 2 s for that."""
STANDSTILL_SECONDS = 3.0
"""This process stood still when its own short pause took a third of a lease, or this long."""
PAUSE_SECONDS = 0.1
"""Between two batches: at most 5,000 deletions a second, the rest of the disk is for users."""


def _boot_seconds() -> float:
    """By a clock that nobody can set and that, unlike trio's, goes on while the machine is
    suspended, as the leases do."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def mercy_seconds(lease_seconds: float) -> float:
    """How long after an outage nobody is taken for dead."""
    return lease_seconds * MERCY_SHARE + MERCY_SECONDS


class Janitor:
    """`run` works until cancelled. Each `sweep_…` does one duty to its end and answers how
    many things it dealt with; they raise Unavailable."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        notices: Notices,
        settings: Settings,
        *,
        embedded: bool = False,
    ) -> None:
        """`embedded`: this process alone holds the catalog, so no lease is a dead worker's."""
        self._embedded = embedded
        self._queue = catalog.queue
        self._house = catalog.housekeeping
        self._blobs = blobs
        self._notices = notices
        self._settings = settings
        self._more_garbage = trio.Event()
        self._waiting: set[str] = set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat_leases)
            nursery.start_soon(self._repeat_garbage)
            nursery.start_soon(self._repeat_stalled)
            nursery.start_soon(self._repeat_leftovers)
            nursery.start_soon(self._attempt, "check", self._house.check_file)
            nursery.start_soon(self._repeat, "detached", DETACHED_SECONDS, self.sweep_detached)
            nursery.start_soon(self._repeat, "uploads", UPLOADS_SECONDS, self.sweep_uploads)
            nursery.start_soon(self._repeat, "orphans", self._orphan_seconds, self.sweep_orphans)

    @property
    def _orphan_seconds(self) -> float:
        return min(ORPHANS_SECONDS, self._settings.storage.orphan_hours * 3600.0)

    async def sweep_leases(self) -> int:
        """Jobs whose worker fell silent go back to the queue."""
        if not await self._queue.any_expired():
            return 0
        back = await self._queue.recover(
            all_running=False,
            by=TriggeredBy.SYSTEM,
            message="the worker's lease ran out",
            # This very process was suspended, or could not write: no fault of the job's.
            is_crash=not self._embedded,
            retry_base_seconds=self._settings.workers.retry_base_seconds,
        )
        for job_id in back:
            log.warning("took back a job whose lease ran out", extra={"fields": {"job": job_id}})
            await self._notices.publish(Notice(Topic.JOB_READY, str(job_id)))
        return len(back)

    async def sweep_stalled(self) -> int:
        """What a process has locked that stands still in the midst of a transaction is free
        again."""
        ended = await self._house.end_stalled(STALLED_AFTER_SECONDS)
        if ended:
            log.warning(
                "ended transactions of processes that stand still",
                extra={"fields": {"transactions": ended}},
            )
        return ended

    async def sweep_garbage(self) -> int:
        """Delete what nothing refers to any more."""
        swept = 0
        # Readers in this process are known to the blob store; those in others are given time.
        minutes = 0.0 if self._embedded else self._settings.storage.garbage_minutes
        while batch := await self._house.garbage(BATCH, older_than_seconds=minutes * 60.0):
            swept += await self._delete(batch)
            await self._house.forget_garbage(batch)
            if len(batch) < BATCH:
                break
            await trio.sleep(PAUSE_SECONDS)
        return swept

    async def _delete(self, batch: Sequence[BlobId]) -> int:
        """One that cannot be deleted must not keep all behind it: when others could be, it is
        forgotten too, and the sweep of orphans goes on trying. Raises Unavailable when none
        could."""
        try:
            await self._blobs.delete(batch)
        except Unavailable:
            deleted = 0
            for blob_id in batch:
                try:
                    await self._blobs.delete([blob_id])
                    deleted += 1
                except Unavailable as error:
                    log.warning("blob %s cannot be deleted: %s", blob_id, error)
            if not deleted:
                raise
            return deleted
        return len(batch)

    async def sweep_detached(self) -> int:
        """Objects that were overwritten or deleted while a job read them."""
        return await self._to_the_end(partial(self._house.purge_detached, BATCH))

    async def sweep_uploads(self) -> int:
        """Multipart uploads that were begun and forgotten."""
        age = self._settings.storage.upload_expiry_days * 86_400.0
        return await self._to_the_end(partial(self._house.expire_uploads, age, BATCH))

    async def sweep_leftovers(self) -> int:
        """Remove what killed processes left: unfinished uploads, and the folders of their jobs
        and tools in the data directory."""
        swept = await self._blobs.sweep_unfinished(is_alone=False)
        data_dir = self._settings.server.data_dir
        for folder in (work_folder(self._settings), tools_folder(data_dir)):
            swept += await sweep_workspaces(folder)
        if swept:
            log.info("removed what a killed process left", extra={"fields": {"items": swept}})
        return swept

    async def sweep_orphans(self) -> int:
        """Note old blobs that no row knows: what dead attempts and torn uploads left. They are
        garbage after as long again, and not at once: it may be the catalog that is wrong, one
        that was restored from an old copy, and its operator is given time to see that."""
        noted = 0
        hours = self._settings.storage.orphan_hours
        async for batch in self._blobs.older_than(hours * 3600.0):
            unknown = await self._house.unknown_blobs(batch)
            if unknown:
                await self._house.condemn(unknown, after_seconds=hours * 3600.0)
            noted += len(unknown)
            await trio.sleep(PAUSE_SECONDS)
        if noted:
            log.warning(
                "the catalog knows nothing of some blobs; they are deleted in %g hours",
                hours,
                extra={"fields": {"blobs": noted}},
            )
        return noted

    async def _to_the_end(self, step: Callable[[], Awaitable[int]]) -> int:
        done = 0
        while count := await step():
            done += count
            if count < BATCH:
                break
            await trio.sleep(PAUSE_SECONDS)
        if done:
            # What they held has become garbage.
            self._more_garbage.set()
        return done

    async def _repeat_leases(self) -> None:
        """Often, so that a lease that runs out is noticed within a tenth of it. But where the
        catalog has been away (or this process has stood still, for all it knows together with
        the machine), all leases may have run out while all workers live: they are given time
        to renew them, or to give their jobs back, before anybody is taken for dead."""
        lease_seconds = self._settings.workers.lease_seconds
        every = lease_seconds * SWEEP_SHARE
        mercy = mercy_seconds(lease_seconds)
        standstill = max(lease_seconds / 3, STANDSTILL_SECONDS)
        reachable_since = trio.current_time()
        last = _boot_seconds()
        while True:
            await trio.sleep(every)
            now = trio.current_time()
            if _boot_seconds() - last > standstill:
                reachable_since = now
            last = _boot_seconds()
            is_merciful = now - reachable_since < mercy
            look = self._queue.any_expired if is_merciful else self.sweep_leases
            if not await self._attempt("leases", partial(self._look_after_clock, look)):
                reachable_since = trio.current_time()

    async def _look_after_clock(self, look: Callable[[], Awaitable[object]]) -> None:
        """Before anybody's lease is judged. Also the place from which the clock is watched while
        nothing else happens."""
        await self._house.watch_clock()
        await look()

    async def _repeat_garbage(self) -> None:
        while True:
            self._more_garbage = trio.Event()
            await self._attempt("garbage", self.sweep_garbage)
            # A burst of deletions is one sweep, not a sweep each.
            await trio.sleep(PAUSE_SECONDS)
            with trio.move_on_after(min(GARBAGE_SECONDS, self._orphan_seconds)):
                await self._more_garbage.wait()

    async def _repeat_stalled(self) -> None:
        """By each process: whose turn it is stands in a row, which may be what is locked."""
        while not self._embedded:
            await trio.sleep(STALLED_SECONDS)
            await self._attempt("stalled", self.sweep_stalled)

    async def _repeat_leftovers(self) -> None:
        while True:
            await self._attempt("leftovers", self.sweep_leftovers)
            await trio.sleep(LEFTOVERS_SECONDS)

    async def _repeat(
        self, duty: str, every_seconds: float, sweep: Callable[[], Awaitable[int]]
    ) -> None:
        while True:
            # First a wait: at a start there are more urgent things than sweeping.
            await trio.sleep(every_seconds)
            await self._attempt(duty, partial(self.in_turn, duty, every_seconds, sweep))

    async def in_turn(
        self, duty: str, every_seconds: float, sweep: Callable[[], Awaitable[int]]
    ) -> None:
        """Sweep, unless another process has had the turn at this duty within the period: what
        they would find is the same for each. Raises Unavailable."""
        if await self._house.take_turn(duty, every_seconds * TURN_SHARE):
            await sweep()

    async def _attempt(self, duty: str, sweep: Callable[[], Awaitable[object]]) -> bool:
        """Whether it could be done. The first failure of several in a row is told."""
        try:
            await sweep()
        except Unavailable as error:
            if duty not in self._waiting:
                fields = {"duty": duty}
                log.warning("housekeeping has to wait: %s", error.reason, extra={"fields": fields})
            self._waiting.add(duty)
            return False
        self._waiting.discard(duty)
        return True
