"""What every change of a job's state writes beside it: one history row and its events.

Called in the transaction of the change, after it; decides nothing. Also the one place where a
job comes into being.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaconvert import events
from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Row
from mediaconvert.errors import PipelineNotFound
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    JobId,
    JobStatus,
    ObjectId,
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
    """`note_changes` of one job, whose facts are asked for first."""
    row = await conn.fetch_one("job_facts", job_id)
    facts = rows.job_facts(row, row["pipeline_name"])
    await note_changes(conn, [Change(facts, from_status, by, message, steps)])


@dataclass(frozen=True, slots=True)
class Change:
    """A transition that has just been made."""

    facts: JobFacts
    """As they are after it."""
    from_status: JobStatus | None
    by: TriggeredBy
    message: str
    steps: Sequence[Mapping[str, object]] = ()
    """Those of a job that has ended, for the log of executions."""


async def note_changes(conn: Connection, changes: Sequence[Change]) -> None:
    """Write history and events of transitions, in two round trips."""
    now = await conn.steady_us()
    await conn.execute_many(
        "history_add",
        [
            (
                change.facts.job_id,
                None if change.from_status is None else change.from_status.value,
                change.facts.status.value,
                change.message,
                change.by.value,
                now + change.facts.clock_offset_us,
            )
            for change in changes
        ],
    )
    await conn.execute_many(
        "outbox_add",
        [
            (kind, rows.dumps(payload))
            for change in changes
            for kind, payload in _payloads(change, now + change.facts.clock_offset_us)
        ],
    )


def _payloads(change: Change, at_us: int) -> list[tuple[str, events.Payload]]:
    status = events.status_change(
        change.facts, change.from_status, change.by, change.message, at_us
    )
    executed = events.executed_steps(change.facts, change.steps, at_us)
    return [
        (events.STATUS_HISTORY, status),
        (events.JOB_METRICS, events.job_metrics(change.facts)),
        *((events.PIPELINE_EXECUTION, payload) for payload in executed),
    ]


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


async def require_version(conn: Connection, user_id: UserId, version_id: VersionId) -> Row:
    """The id and name of the pipeline that a text belongs to. Raises PipelineNotFound for a
    text that is not the user's (a pinned one of a deleted pipeline is)."""
    version = await conn.fetch_row("pipeline_version", user_id, version_id)
    if version is None:
        raise PipelineNotFound(version_id)
    return version


async def submit_job(conn: Connection, new: NewJob) -> JobId:
    """A pending job with its first history row and events. Raises PipelineNotFound."""
    version = await require_version(conn, new.user_id, new.version_id)
    now, steady = await conn.now_us(), await conn.steady_us()
    row = await conn.fetch_one(
        "job_add",
        new.user_id,
        new.bucket_id,
        new.bucket_name,
        new.source_id,
        new.source_key,
        new.source_size,
        new.source_content_type,
        version["pipeline_id"],
        new.version_id,
        new.priority,
        new.rerun_of,
        steady,
        now,
        now - steady,
    )
    job_id: JobId = row["id"]
    facts = rows.job_facts(row, version["name"])
    await note_changes(conn, [Change(facts, None, TriggeredBy.USER, new.message)])
    return job_id
