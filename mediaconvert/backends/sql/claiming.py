"""Which pending jobs are next: by priority, then the user with the fewest running jobs, then age.

Costs some index seeks for each user who waits, not for each job, and a fixed number of round
trips however many jobs are taken. Called by the queue's claim, inside its transaction. "Age" is
how long a job has been due: a retry queues up at its time.
"""

from __future__ import annotations

import heapq
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Row
from mediaconvert.backends.sql.endings import end_as_failed, quarantine_job
from mediaconvert.backends.sql.quarantine import Quarantine
from mediaconvert.backends.sql.transitions import Change, note_changes
from mediaconvert.backends.sql.values import damaged
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import (
    ClaimedJob,
    FailureKind,
    JobFailure,
    JobId,
    JobStatus,
    TriggeredBy,
    UserId,
)

_ROUNDS = 3
"""How often what other workers took from under us is made up for, in one claim."""

_STARTED = "Attempt {} started."
_STARTS_ALONE = "Attempt {} starts as soon as its worker process runs no other job."

_SOURCE_GONE = JobFailure(
    FailureKind.INPUT, "source_gone", "the job's source is no longer stored; upload it again"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where jobs are taken from: a user's part of the queue."""

    priority: int
    user_id: UserId


@dataclass(order=True, slots=True)
class _Waiting:
    """A user's turn: fewest running jobs first, then who has waited longest."""

    running: int
    oldest_us: int
    user_id: UserId
    due: int


async def claim_jobs(
    conn: Connection, worker_id: str, limit: int, lease_us: int, quarantine: Quarantine
) -> tuple[ClaimedJob, ...]:
    """Make at most `limit` due jobs this worker's, each under a token of its own."""
    claim = _Claim(conn, worker_id, lease_us, quarantine)
    taken: list[JobId] = []
    for _ in range(_ROUNDS):
        wanted = limit - len(taken)
        if wanted <= 0:
            break
        waiting = await conn.fetch_first("claim_users", wanted, quarantine.left_out())
        turns = _turns(waiting, wanted)
        found = await claim.take(turns)
        taken += found
        if len(found) == len(turns) or not (found or await claim.has_left_out_phantoms(turns)):
            break
    return await _claimed(conn, taken, _STARTED) if taken else ()


async def claim_suspect(
    conn: Connection, worker_id: str, lease_us: int, overdue_us: int, quarantine: Quarantine
) -> ClaimedJob | None:
    """Make the suspect that has been due for longest this worker's, if that is at least
    `overdue_us`. It is not running yet."""
    now = await conn.steady_us()
    secret = secrets.token_hex(16)
    left_out = quarantine.left_out()
    found = await conn.fetch(
        "claim_suspect", now, now - overdue_us, worker_id, secret, now + lease_us, left_out
    )
    claimed = await _claimed(conn, [row["id"] for row in found], _STARTS_ALONE)
    return claimed[0] if claimed else None


async def claim_one(
    conn: Connection, job_id: JobId, worker_id: str, lease_us: int, *, is_suspect: bool
) -> tuple[ClaimedJob, ...]:
    """Make a single job this worker's, if it still waits."""
    now = await conn.steady_us()
    secret = secrets.token_hex(16)
    found = await conn.fetch(
        "claim_one", job_id, now, worker_id, secret, now + lease_us, int(is_suspect)
    )
    message = _STARTS_ALONE if is_suspect else _STARTED
    return await _claimed(conn, [row["id"] for row in found], message)


def _turns(found: Sequence[Row], limit: int) -> list[_Place]:
    """Whose job is taken first, second, …: at most `limit`, no more than are due."""
    keys = ("priority", "user_id", "oldest")
    found = [row for row in found if row["due"] and all(type(row[key]) is int for key in keys)]
    running = {row["user_id"]: int(row["running"]) for row in found}
    turns: list[_Place] = []
    for priority in sorted({row["priority"] for row in found}, reverse=True):
        queue = [
            _Waiting(running[row["user_id"]], row["oldest"], row["user_id"], row["due"])
            for row in found
            if row["priority"] == priority
        ]
        heapq.heapify(queue)
        while queue and len(turns) < limit:
            first = heapq.heappop(queue)
            turns.append(_Place(priority, first.user_id))
            running[first.user_id] = first.running + 1
            if first.due > 1:
                again = _Waiting(first.running + 1, first.oldest_us, first.user_id, first.due - 1)
                heapq.heappush(queue, again)
    return turns


class _Claim:
    """One claim's statements."""

    def __init__(
        self, conn: Connection, worker_id: str, lease_us: int, quarantine: Quarantine
    ) -> None:
        self._conn = conn
        self._worker_id = worker_id
        self._lease_us = lease_us
        self._quarantine = quarantine

    async def take(self, turns: Sequence[_Place]) -> list[JobId]:
        """In the order of the turns; those that somebody else just takes are left out."""
        now = await self._conn.steady_us()
        secret = secrets.token_hex(16)
        left_out = self._quarantine.left_out()
        got: dict[_Place, Iterator[Row]] = {}
        for place, count in Counter(turns).items():
            lease = (now, self._worker_id, secret, now + self._lease_us)
            found = await self._conn.fetch(
                "claim", place.priority, place.user_id, *lease, count, left_out
            )
            got[place] = iter(sorted(found, key=lambda row: (row["available_at"], row["id"])))
        in_order = [next(got[place], None) for place in turns]
        return [row["id"] for row in in_order if row is not None]

    async def has_left_out_phantoms(self, turns: Sequence[_Place]) -> bool:
        """Whether there are jobs that only a damaged index has as due: they would have every
        turn. They are left out from now on."""
        now = await self._conn.steady_us()
        has_any = False
        for place in set(turns):
            where = (place.priority, place.user_id, now, self._quarantine.left_out())
            for row in await self._conn.fetch("claim_phantoms", *where):
                why = "the index of the queue does not agree with it"
                self._quarantine.leave_out(self._conn, row["id"], why)
                has_any = True
        return has_any


async def _claimed(
    conn: Connection, job_ids: Sequence[JobId], message: str
) -> tuple[ClaimedJob, ...]:
    """`message` for the history, with a place for the number of the attempt."""
    wanted = rows.dumps(list(job_ids))
    found = {row["job_id"]: row for row in await conn.fetch("claimed", wanted)}
    claimed: list[ClaimedJob] = []
    changes: list[Change] = []
    sourceless: list[Row] = []
    for job_id in job_ids:
        try:
            row = found.get(job_id)
            if row is None:
                raise damaged("jobs", job_id, "its pipeline's text is missing")
            changes.append(_started(row, message))
            if row["id"] is None:
                sourceless.append(row)
            else:
                claimed.append(rows.claimed_job(row))
        except DamagedRecord as error:
            changes = [change for change in changes if change.facts.job_id != job_id]
            await quarantine_job(conn, job_id, error)
    await note_changes(conn, changes)
    for row in sourceless:
        await _end_without_source(conn, row)
    return tuple(claimed)


def _started(row: Row, message: str) -> Change:
    facts = rows.claimed_facts(row)
    return Change(facts, JobStatus.PENDING, TriggeredBy.WORKER, message.format(facts.attempt))


async def _end_without_source(conn: Connection, row: Row) -> None:
    job = await conn.fetch_one("job_of_lease", row["job_id"], row["lease_token"])
    await end_as_failed(conn, job, _SOURCE_GONE)
