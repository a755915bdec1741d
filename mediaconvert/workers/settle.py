"""Ends an attempt in the catalog: commit, fail, put back, or throw away what it made.

Runs shielded from the job's cancellation, under one deadline: what the catalog has not
answered by then is left to the lease, which runs out. Never deletes a blob that the catalog
may have accepted. Called by the runner.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import assert_never

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.model import FailureKind, JobFailure, JobOutcome
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.settings import WorkerSettings
from mediaconvert.workers.leases import HeldJob, Stop
from mediaconvert.workers.publish import Adopted
from mediaconvert.workers.retries import explain_last_failure, retry_after_seconds

log = logging.getLogger("mediaconvert.workers.runner")

SETTLE_SECONDS = 10.0
"""Less than a lease: nobody else may have the job while we still try to write."""
ASK_AGAIN_SECONDS = 0.5


class Ending(StrEnum):
    """How an attempt ended, for the counters."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    CANCELED = "canceled"
    LOST = "lost"
    RELEASED = "released"


class Settler:
    def __init__(
        self, catalog: Catalog, blobs: BlobStore, notices: Notices, settings: WorkerSettings
    ) -> None:
        self._queue = catalog.queue
        self._house = catalog.housekeeping
        self._blobs = blobs
        self._notices = notices
        self._settings = settings

    async def settle(
        self, held: HeldJob, verdict: JobOutcome | JobFailure | None, adopted: Adopted
    ) -> Ending:
        """`verdict` None: the attempt was stopped before it came to one. A verdict counts
        even when the process is ending, but not when the job is no longer ours."""
        ending = Ending.LOST
        with trio.move_on_after(SETTLE_SECONDS, shield=True) as scope:
            if held.stopped is Stop.UNRENEWED:
                # The lease keeper gives the job back as soon as the catalog answers.
                _say(held, "discarded an attempt: its lease could not be renewed", warn=True)
            elif held.stopped in (Stop.CANCELED, Stop.LOST):
                ending = Ending(held.stopped.value)
                _say(held, f"discarded an attempt: the job was {ending}")
            else:
                ending = await self._write(held, verdict)
            if ending is not Ending.COMPLETED:
                await self._discard(adopted)
        if scope.cancelled_caught:
            # Whatever has been written, the lease keeper's fenced release does no harm.
            held.stop(Stop.UNRENEWED)
            _say(held, "an attempt could not be settled; it is given back later", warn=True)
        # Whoever waits for the job looks again, however the attempt ended.
        await self._notices.publish(Notice(Topic.JOB_PROGRESS, str(held.job.id)))
        return ending

    async def _write(self, held: HeldJob, verdict: JobOutcome | JobFailure | None) -> Ending:
        match verdict:
            case JobOutcome():
                return await self._commit(held, verdict)
            case JobFailure(kind=FailureKind.CRASH | FailureKind.INFRA) if held.is_process_ending:
                # A service manager may signal the tools together with us: no fault of theirs.
                return await self._release(held)
            case JobFailure():
                return await self._fail(held, verdict)
            case None:
                return await self._release(held)
            case _:
                assert_never(verdict)

    async def _commit(self, held: HeldJob, outcome: JobOutcome) -> Ending:
        is_done, is_certain = await self._insist(partial(self._queue.finish, held.lease, outcome))
        if not is_done and not is_certain:
            # An earlier try may have committed although its answer was lost.
            manifest_blob = outcome.outputs[-1].segments[0].blob_id
            is_done = await self._patiently(partial(self._house.is_referenced, manifest_blob))
        if is_done:
            _say(held, "completed a job", outputs=len(outcome.outputs))
            return Ending.COMPLETED
        _say(held, "discarded a finished attempt: its lease is gone", warn=True)
        return Ending.LOST

    async def _fail(self, held: HeldJob, failure: JobFailure) -> Ending:
        job = held.job
        wait = retry_after_seconds(
            failure.kind,
            infra_failures=job.infra_failures,
            crashes=job.crashes,
            age_seconds=held.age_seconds(),
            chance=random.random(),
            settings=self._settings,
        )
        if wait is None:
            message = explain_last_failure(
                failure.kind,
                failure.message,
                infra_failures=job.infra_failures,
                crashes=job.crashes,
            )
            failure = JobFailure(failure.kind, failure.code, message, failure.log, failure.steps)
        is_done, is_certain = await self._insist(
            partial(self._queue.fail, held.lease, failure, wait)
        )
        if not is_done and is_certain:
            _say(held, "discarded a failed attempt: its lease is gone", warn=True)
            return Ending.LOST
        _say(held, "a job failed", code=failure.code, error=failure.message, retry_in=wait)
        return Ending.FAILED if wait is None else Ending.RETRIED

    async def _release(self, held: HeldJob) -> Ending:
        why = "the service is stopping"
        if held.stopped is Stop.BUSY:
            why = "its worker process is busy with other jobs"
        await self._insist(partial(self._queue.release, held.lease, why))
        await self._notices.publish(Notice(Topic.JOB_READY, str(held.job.id)))
        _say(held, f"put a job back: {why}")
        return Ending.RELEASED

    async def _discard(self, adopted: Adopted) -> None:
        """Asked for each blob: it is cheap, and what the catalog has is never deleted."""
        try:
            for blob_id in adopted.blob_ids:
                if not await self._patiently(partial(self._house.is_referenced, blob_id)):
                    await self._blobs.delete([blob_id])
        except Unavailable as error:
            log.warning("left the outputs of a discarded attempt to the sweep: %s", error)
        adopted.blob_ids.clear()

    async def _insist(self, write: Callable[[], Awaitable[bool]]) -> tuple[bool, bool]:
        """Until the catalog answers; with whether no earlier try may have succeeded."""
        is_certain = True
        while True:
            try:
                return await write(), is_certain
            except Unavailable as error:
                log.warning("the catalog did not answer: %s", error)
                is_certain = False
                await trio.sleep(ASK_AGAIN_SECONDS)

    async def _patiently(self, question: Callable[[], Awaitable[bool]]) -> bool:
        answer, _ = await self._insist(question)
        return answer


def _say(held: HeldJob, message: str, *, warn: bool = False, **fields: object) -> None:
    told = {"job": held.job.id, "attempt": held.job.attempt} | {
        k: v for k, v in fields.items() if v is not None
    }
    log.log(logging.WARNING if warn else logging.INFO, message, extra={"fields": told})
