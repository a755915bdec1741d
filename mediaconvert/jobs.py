"""What a user may do with jobs: look, cancel, rerun.

Adds to the catalog's transactions the notice that wakes somebody up. Called by the REST side;
knows nothing of HTTP or SQL.
"""

from __future__ import annotations

from mediaconvert.model import Job, JobId, JobPage, JobStatus, Transition, UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic


class JobService:
    """Errors are the catalog's: JobNotFound, JobAlreadyEnded, SourceGone, PipelineNotFound."""

    def __init__(self, catalog: Catalog, notices: Notices) -> None:
        self._jobs = catalog.jobs
        self._notices = notices

    async def get(self, user_id: UserId, job_id: JobId) -> Job:
        return await self._jobs.get(user_id, job_id)

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
