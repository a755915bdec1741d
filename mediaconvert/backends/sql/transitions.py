"""What every change of a job's state writes beside it: one history row and its events.

Called in the transaction of the change, after it; decides nothing. Also the one place where a
job comes into being.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaconvert import events
from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection
from mediaconvert.errors import PipelineNotFound
from mediaconvert.model import (
    JobId,
    JobStatus,
    ObjectId,
    PipelineId,
    TriggeredBy,
    UserId,
    VersionId,
)


async def note_transition(
    conn: Connection,
    job_id: JobId,
    from_status: JobStatus | None,
    by: TriggeredBy,
    message: str,
    steps: Sequence[Mapping[str, object]] = (),
) -> None:
    """Write history and events of the transition into the status that the job now has.
    `steps` are those of a job that has ended, for the log of executions."""
    now = await conn.now_us()
    facts = rows.job_facts(await conn.fetch_one("job_facts", job_id))
    await conn.execute(
        "history_add",
        job_id,
        None if from_status is None else from_status.value,
        facts.status.value,
        message,
        by.value,
        now,
    )
    payloads = [
        (events.STATUS_HISTORY, events.status_change(facts, from_status, by, message, now)),
        (events.JOB_METRICS, events.job_metrics(facts)),
    ]
    payloads += [
        (events.PIPELINE_EXECUTION, payload) for payload in events.executed_steps(facts, steps, now)
    ]
    await conn.execute_many(
        "outbox_add", [(kind, rows.dumps(payload)) for kind, payload in payloads]
    )


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be submitted: what it reads, where its outputs go, what it runs."""

    user_id: UserId
    bucket_id: int
    bucket_name: str
    source_id: ObjectId
    source_key: str
    source_size: int
    source_content_type: str
    version_id: VersionId
    message: str
    """Of the first history row."""
    priority: int = 50
    """Higher runs first."""
    rerun_of: JobId | None = None


async def require_version(conn: Connection, user_id: UserId, version_id: VersionId) -> PipelineId:
    """The pipeline that a text belongs to. Raises PipelineNotFound for a text that is not the
    user's (a pinned one of a deleted pipeline is)."""
    version = await conn.fetch_row("pipeline_version", user_id, version_id)
    if version is None:
        raise PipelineNotFound(version_id)
    pipeline_id: PipelineId = version["pipeline_id"]
    return pipeline_id


async def submit_job(conn: Connection, new: NewJob) -> JobId:
    """A pending job with its first history row and events. Raises PipelineNotFound."""
    pipeline_id = await require_version(conn, new.user_id, new.version_id)
    row = await conn.fetch_one(
        "job_add",
        new.user_id,
        new.bucket_id,
        new.bucket_name,
        new.source_id,
        new.source_key,
        new.source_size,
        new.source_content_type,
        pipeline_id,
        new.version_id,
        new.priority,
        new.rerun_of,
        await conn.now_us(),
    )
    job_id: JobId = row["id"]
    await note_transition(conn, job_id, None, TriggeredBy.USER, new.message)
    return job_id
