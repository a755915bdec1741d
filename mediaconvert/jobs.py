"""What a user may do with jobs: look, wait, cancel, rerun.

Adds to the catalog's transactions the notice that wakes somebody up. Called by the REST side;
knows nothing of HTTP or SQL.
"""

from __future__ import annotations

from enum import StrEnum

import trio

from mediaconvert.job_watch import JobWatch
from mediaconvert.model import Job, JobId, JobPage, JobStatus, Transition, UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic

ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED})


class Until(StrEnum):
    """What somebody waits for."""

    CHANGED = "changed"
    """Its status, its progress or a step is another than when the wait began; or it has
    ended."""
    ENDED = "ended"


class JobService:
    """Errors are the catalog's: JobNotFound, JobAlreadyEnded, SourceGone, PipelineNotFound."""

    def __init__(self, catalog: Catalog, notices: Notices) -> None:
        self._jobs = catalog.jobs
        self._notices = notices
        self._watch = JobWatch(notices)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have those who wait woken by notices, until cancelled. Without it they look once a
        second."""
        await self._watch.run(task_status=task_status)

    def end_waits(self) -> None:
        """From here on `wait` answers at once: the process drains."""
        self._watch.end()

    async def get(self, user_id: UserId, job_id: JobId) -> Job:
        return await self._jobs.get(user_id, job_id)

    async def wait(self, user_id: UserId, job_id: JobId, *, seconds: float, until: Until) -> Job:
        """The job as soon as it is so, and after that time in any case. A job that has ended
        is answered at once."""
        deadline = trio.current_time() + seconds
        # Watching comes before the first look: nothing falls between the two.
        with self._watch.watching(job_id) as watcher:
            first = job = await self.get(user_id, job_id)
            while not _is_reached(until, first, job) and not self._watch.is_ending:
                left = deadline - trio.current_time()
                if left <= 0:
                    break
                await watcher.wait(left)
                job = await self.get(user_id, job_id)
        return job

    async def list(
        self, user_id: UserId, status: JobStatus | None, *, page: int, limit: int
    ) -> JobPage:
        """`page` counts from 1."""
        return await self._jobs.list(user_id, status, (page - 1) * limit, limit)

    async def history(self, user_id: UserId, job_id: JobId) -> tuple[Transition, ...]:
        return await self._jobs.history(user_id, job_id)

    async def cancel(self, user_id: UserId, job_id: JobId) -> JobStatus:
        """The job is canceled when this returns; its processes die within a second."""
        before = await self._jobs.cancel(user_id, job_id)
        await self._notices.publish(Notice(Topic.JOB_CANCELED, str(job_id)))
        return before

    async def rerun(self, user_id: UserId, job_id: JobId, *, latest: bool) -> Job:
        job = await self._jobs.rerun(user_id, job_id, latest=latest)
        await self._notices.publish(Notice(Topic.JOB_READY, str(job.id)))
        return job


def _is_reached(until: Until, first: Job, job: Job) -> bool:
    if job.status in ENDED:
        return True
    # A retry's new attempt begins at nothing again, with the same status.
    return until is Until.CHANGED and _position(job) != _position(first)


def _position(job: Job) -> tuple[object, ...]:
    return job.status, job.attempt, job.progress, job.steps
