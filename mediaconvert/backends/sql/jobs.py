"""The owner's side of jobs, on SQL: look, cancel, rerun."""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.pipelines import live_pipeline
from mediaconvert.backends.sql.transitions import NewJob, note_transition, submit_job
from mediaconvert.backends.sql.values import readable
from mediaconvert.backends.sql.versions import purge_unread
from mediaconvert.errors import JobAlreadyEnded, JobNotFound, SourceGone
from mediaconvert.model import (
    Job,
    JobId,
    JobPage,
    JobStatus,
    Transition,
    TriggeredBy,
    UserId,
    VersionId,
)


class SqlJobs:
    """ports.catalog.Jobs."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def get(self, user_id: UserId, job_id: JobId) -> Job:
        async def body(conn: Connection) -> Job:
            return rows.job(await _job_row(conn, user_id, job_id))

        return await self._driver.read(body)

    async def list(
        self, user_id: UserId, status: JobStatus | None, offset: int, limit: int
    ) -> JobPage:
        async def body(conn: Connection) -> JobPage:
            if status is None:
                total = await conn.fetch_one("jobs_count", user_id)
                found = await conn.fetch("jobs_page", user_id, limit, offset)
            else:
                total = await conn.fetch_one("jobs_count_of_status", user_id, status.value)
                found = await conn.fetch(
                    "jobs_page_of_status", user_id, limit, offset, status.value
                )
            return JobPage(tuple(readable(conn, found, rows.job)), total["total"])

        return await self._driver.read(body)

    async def history(self, user_id: UserId, job_id: JobId) -> tuple[Transition, ...]:
        async def body(conn: Connection) -> tuple[Transition, ...]:
            found = await conn.fetch("job_history", user_id, job_id)
            if not found:  # every job has its first row
                raise JobNotFound(job_id)
            return tuple(readable(conn, found, rows.transition))

        return await self._driver.read(body)

    async def cancel(self, user_id: UserId, job_id: JobId) -> JobStatus:
        async def body(conn: Connection) -> JobStatus:
            row = await conn.fetch_row("job_lock", user_id, job_id)
            if row is None:
                raise JobNotFound(job_id)
            before = rows.job_status(row)
            if before.has_ended:
                raise JobAlreadyEnded(job_id, before.value)
            await conn.execute("job_cancel", user_id, job_id, before.value, await conn.steady_us())
            await note_transition(conn, job_id, before, TriggeredBy.USER, "Canceled by its owner.")
            await purge_unread(conn, [row["source_id"]])
            return before

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def rerun(self, user_id: UserId, job_id: JobId, *, latest: bool) -> Job:
        """As the port says; also SourceGone where the bucket that would take the outputs has
        been deleted."""

        async def body(conn: Connection) -> Job:
            row = await _job_row(conn, user_id, job_id)
            version_id: VersionId = row["version_id"]
            if latest:
                version_id = (await live_pipeline(conn, user_id, row["pipeline_id"])).version_id
            source = await conn.fetch_row("object_share", row["source_id"])
            bucket = await conn.fetch_row("bucket_by_id", row["bucket_id"], user_id)
            if source is None or bucket is None:
                raise SourceGone(job_id)
            new_id = await submit_job(
                conn,
                NewJob(
                    user_id=user_id,
                    bucket_id=row["bucket_id"],
                    bucket_name=row["bucket_name"],
                    source_id=row["source_id"],
                    source_key=row["source_key"],
                    source_size=row["source_size"],
                    source_content_type=row["source_content_type"],
                    version_id=version_id,
                    message=f"Rerun of job {job_id}.",
                    priority=row["priority"],
                    rerun_of=job_id,
                ),
            )
            return rows.job(await _job_row(conn, user_id, new_id))

        return await self._driver.write(body, isolation=Isolation.STATEMENT)


async def _job_row(conn: Connection, user_id: UserId, job_id: JobId) -> Row:
    row = await conn.fetch_row("job_get", user_id, job_id)
    if row is None:
        raise JobNotFound(job_id)
    return row
