"""How a running job ends: completed with its outputs, failed, or given up after crashes.

Called inside the queue's transactions, on a job that was read in the same one. Each ending is
one guarded update, its history and events, and the purge of a source that nobody reads any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Row
from mediaconvert.backends.sql.suspects import (
    Standing,
    after_death,
    explain_poison,
    explain_requeue,
    wait_seconds,
)
from mediaconvert.backends.sql.transitions import Change, note_changes, note_transition
from mediaconvert.backends.sql.values import flag, record, whole
from mediaconvert.backends.sql.versions import place_outputs, purge_unread
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import (
    FailureKind,
    JobFailure,
    JobId,
    JobOutcome,
    JobStatus,
    TriggeredBy,
)

_MAX_ERROR = 2_000
"""Characters of a job's error (REST contract)."""

_BUCKET_GONE = "the bucket '{name}' was deleted while the job ran; its outputs have no place"


@dataclass(frozen=True, slots=True)
class Death:
    """Why running jobs are taken from a worker."""

    by: TriggeredBy
    message: str
    is_crash: bool
    """The process died, for all that is known; otherwise it is known to live."""
    retry_base_seconds: float


async def complete_job(
    conn: Connection, job: Row, outcome: JobOutcome, changes: list[Change]
) -> bool:
    """Outputs visible and job completed; its change is added to `changes`, which the caller
    notes. False where the bucket is gone and it failed. `job` is a locked row of
    `jobs_to_finish`, still processing."""
    if not await _has_place(conn, job, outcome):
        message = _BUCKET_GONE.format(name=job["bucket_name"])
        failure = JobFailure(FailureKind.INPUT, "bucket_gone", message, steps=outcome.steps)
        await end_as_failed(conn, job, failure)
        return False
    if outcome.outputs:
        await place_outputs(conn, job["bucket_id"], outcome.outputs)
    ended = await conn.fetch_one(
        "job_complete",
        job["id"],
        job["lease_token"],
        rows.mappings(outcome.steps),
        rows.dumps(dict(outcome.result)),
        outcome.output_bytes,
        await conn.steady_us(),
    )
    count = len(outcome.outputs)
    message = f"Completed with {count} output {'file' if count == 1 else 'files'}."
    facts = rows.job_facts(ended, job["pipeline_name"])
    changes.append(Change(facts, JobStatus.PROCESSING, TriggeredBy.WORKER, message, outcome.steps))
    if not job["source_is_current"]:
        # One that is being replaced just now is left to the sweep of detached objects.
        await purge_unread(conn, [job["source_id"]])
    return True


async def _has_place(conn: Connection, job: Row, outcome: JobOutcome) -> bool:
    """Whether its bucket is there; with outputs, and stays until they are in it."""
    if not outcome.outputs:
        return job["live_bucket_id"] is not None
    return await conn.fetch_row("bucket_by_id", job["bucket_id"], job["user_id"]) is not None


async def end_as_failed(conn: Connection, job: Row, failure: JobFailure) -> None:
    """Failed for good, with the tool's last lines in `result.log`."""
    message = failure.message[:_MAX_ERROR]
    ended = await conn.fetch_one(
        "job_fail",
        job["id"],
        job["lease_token"],
        rows.mappings(failure.steps),
        rows.dumps({"log": list(failure.log)} if failure.log else {}),
        message,
        failure.code,
        int(failure.kind is FailureKind.INFRA),
        int(failure.kind is FailureKind.CRASH),
        await conn.steady_us(),
    )
    await _note_end(conn, ended, job["pipeline_name"], message, failure.steps)
    await purge_unread(conn, [job["source_id"]])


async def quarantine_job(conn: Connection, job_id: JobId, error: DamagedRecord) -> None:
    """End a job whose record cannot be read, so that it holds up no others. Analytics are not
    told: what they would be told is what cannot be read."""
    conn.damage.note(error)
    message = "The job's record in the catalog is damaged; upload the file again."
    row = await conn.fetch_row("job_quarantine", job_id, message, await conn.steady_us())
    if row is not None:
        # Its status before that is not read either.
        before, after = JobStatus.PROCESSING.value, JobStatus.FAILED.value
        by, at = TriggeredBy.SYSTEM.value, row["finished_at"]
        await conn.execute("history_add", job_id, before, after, message, by, at)


async def _note_end(
    conn: Connection,
    ended: Row,
    pipeline_name: str,
    message: str,
    steps: Sequence[Mapping[str, object]],
) -> None:
    facts = rows.job_facts(ended, pipeline_name)
    change = Change(facts, JobStatus.PROCESSING, TriggeredBy.WORKER, message, steps)
    await note_changes(conn, [change])


async def give_up_or_requeue(
    conn: Connection, job: Row, death: Death, *, is_innocent: bool
) -> bool:
    """After its worker died, or lost it: back to pending, or failed as `poison` where it ended
    too many workers alone. `is_innocent`: another process has died without it. Whether it is
    pending again."""
    before, ran_alone = _standing(job)
    if is_innocent:
        before = Standing(before.worker_deaths)
    after = after_death(before, ran_alone=ran_alone) if death.is_crash else before
    by, deaths = death.by, (after.worker_deaths, after.lone_deaths)
    if not after.is_poison:
        waits = None if after == before else wait_seconds(after, death.retry_base_seconds)
        due = None if waits is None else await conn.steady_us() + round(waits * 1_000_000)
        if not await conn.execute("job_recover", job["id"], due, *deaths, int(after.is_suspect)):
            return False
        message = explain_requeue(death.message, before, after, waits)
        await note_transition(conn, job["id"], JobStatus.PROCESSING, by, message)
        return True
    error = explain_poison(after)
    if not await conn.execute("job_give_up", job["id"], error, await conn.steady_us(), *deaths):
        return False
    await note_transition(conn, job["id"], JobStatus.PROCESSING, by, f"Given up: {error}.")
    await purge_unread(conn, [job["source_id"]])
    return False


@record("jobs")
def _standing(job: Row) -> tuple[Standing, bool]:
    """With whether it ran alone."""
    standing = Standing(whole(job, "worker_deaths"), whole(job, "lone_deaths"))
    return standing, flag(job, "runs_alone")
