"""Which pending jobs are next: by priority, then the user with the fewest running jobs, then age.

Costs one index seek for each user who waits, not for each job. Called by the queue's claim,
inside its transaction. "Age" is how long a job has been due: a retry queues up at its time.
"""

from __future__ import annotations

import heapq
import secrets
from dataclasses import dataclass

from mediaconvert.backends.sql.driver import Connection
from mediaconvert.backends.sql.transitions import note_transition
from mediaconvert.backends.sql.versions import load_object
from mediaconvert.model import (
    BucketRef,
    ClaimedJob,
    JobId,
    JobStatus,
    LeaseToken,
    TriggeredBy,
    UserId,
)

# Any priority is below it.
_ABOVE_ALL = 1 << 62


@dataclass(order=True, slots=True)
class _Waiting:
    """A user's place in the queue: fewest running jobs first, then who has waited longest."""

    running: int
    oldest_us: int
    user_id: UserId


async def claim_jobs(
    conn: Connection, worker_id: str, limit: int, lease_us: int
) -> tuple[ClaimedJob, ...]:
    """Make at most `limit` due jobs this worker's, each under a token of its own."""
    claimed: list[ClaimedJob] = []
    running = {row["user_id"]: int(row["running"]) for row in await conn.fetch("running_of_users")}
    priority = _ABOVE_ALL
    while len(claimed) < limit:
        row = await conn.fetch_one("claim_priority", priority)
        if row["priority"] is None:
            break
        priority = row["priority"]
        queue = await _users_waiting(conn, priority, running)
        while queue and len(claimed) < limit:
            first = heapq.heappop(queue)
            job_id = await _take(conn, worker_id, priority, first.user_id, lease_us)
            if job_id is None:
                continue
            claimed.append(await _claimed(conn, job_id))
            running[first.user_id] = first.running + 1
            await _requeue(conn, queue, priority, first)
    return tuple(claimed)


async def _users_waiting(
    conn: Connection, priority: int, running: dict[UserId, int]
) -> list[_Waiting]:
    found = await conn.fetch("claim_users", priority, await conn.now_us())
    queue = [
        _Waiting(running.get(row["user_id"], 0), row["oldest"], row["user_id"]) for row in found
    ]
    heapq.heapify(queue)
    return queue


async def _requeue(
    conn: Connection, queue: list[_Waiting], priority: int, served: _Waiting
) -> None:
    """The user who just got a job waits with the next one, if that is due."""
    row = await conn.fetch_one("claim_oldest", priority, served.user_id)
    if row["oldest"] is not None and row["oldest"] <= await conn.now_us():
        heapq.heappush(queue, _Waiting(served.running + 1, row["oldest"], served.user_id))


async def _take(
    conn: Connection, worker_id: str, priority: int, user_id: UserId, lease_us: int
) -> JobId | None:
    now = await conn.now_us()
    token = secrets.token_hex(16)
    row = await conn.fetch_row("claim", priority, user_id, now, worker_id, token, now + lease_us)
    return None if row is None else row["id"]


async def _claimed(conn: Connection, job_id: JobId) -> ClaimedJob:
    row = await conn.fetch_one("claimed", job_id)
    await note_transition(
        conn, job_id, JobStatus.PENDING, TriggeredBy.WORKER, f"Attempt {row['attempt']} started."
    )
    # There for certain: a job that has not ended keeps its source from being purged.
    source = await conn.fetch_one("object_by_id", row["source_id"])
    token: LeaseToken = row["lease_token"]
    return ClaimedJob(
        id=job_id,
        token=token,
        user_id=row["user_id"],
        attempt=row["attempt"],
        infra_failures=row["infra_failures"],
        crashes=row["crashes"],
        bucket=BucketRef(row["user_id"], row["bucket_name"]),
        source=await load_object(conn, source, with_job=False),
        pipeline_id=row["pipeline_id"],
        pipeline_name=row["pipeline_name"],
        pipeline_format=row["pipeline_format"],
        pipeline_content=row["pipeline_content"],
        pipeline_digest=row["pipeline_digest"],
        created_at_us=row["created_at"],
        started_at_us=row["started_at"],
    )
