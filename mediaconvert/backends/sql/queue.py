"""The workers' side of jobs, on SQL: claim, renew, finish, fail, give back, recover.

Every write asks for its lease token and the status `processing` in its WHERE clause: whoever
has lost the lease changes nothing and is told so. None is serializable: those that look
further (outputs, the last reader of a source) lock the rows that they go by first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.claiming import claim_jobs, claim_suspect
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.endings import (
    Death,
    end_as_failed,
    give_up_or_requeue,
    quarantine_job,
)
from mediaconvert.backends.sql.finishing import GroupFinisher
from mediaconvert.backends.sql.transitions import note_transition
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import (
    ClaimedJob,
    FailureKind,
    JobFailure,
    JobId,
    JobOutcome,
    JobStatus,
    Lease,
    LeaseState,
    TriggeredBy,
)

_WORKER_PROCESS = "worker_process"
"""Of an embedded catalog's `meta`: `running` from a start to the next clean stop."""

# A transaction's worth: a dead node may have left hundreds.
_RECOVERED_AT_ONCE = 100


class SqlQueue:
    """ports.catalog.Queue."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._finisher = GroupFinisher(driver)

    async def claim(
        self, worker_id: str, limit: int, lease_seconds: float
    ) -> tuple[ClaimedJob, ...]:
        async def body(conn: Connection) -> tuple[ClaimedJob, ...]:
            return await claim_jobs(conn, worker_id, limit, _microseconds(lease_seconds))

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def next_due_seconds(self) -> float | None:
        async def body(conn: Connection) -> float | None:
            row = await conn.fetch_row("next_due")
            return None if row is None else max(0.0, (row["due"] - await conn.steady_us()) / 1e6)

        return await self._driver.read(body)

    async def suspect_due_seconds(self) -> float | None:
        async def body(conn: Connection) -> float | None:
            due = (await conn.fetch_one("next_suspect_due"))["due"]
            return None if due is None else (due - await conn.steady_us()) / 1e6

        return await self._driver.read(body)

    async def claim_suspect(
        self, worker_id: str, lease_seconds: float, overdue_seconds: float
    ) -> ClaimedJob | None:
        async def body(conn: Connection) -> ClaimedJob | None:
            lease_us, overdue_us = _microseconds(lease_seconds), _microseconds(overdue_seconds)
            return await claim_suspect(conn, worker_id, lease_us, overdue_us)

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def run_alone(self, lease: Lease) -> bool:
        async def body(conn: Connection) -> bool:
            return await conn.execute("job_run_alone", *_fence(lease)) > 0

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def renew(
        self, worker_id: str, leases: Sequence[Lease], lease_seconds: float
    ) -> dict[JobId, LeaseState]:
        async def body(conn: Connection) -> dict[JobId, LeaseState]:
            until = await conn.steady_us() + _microseconds(lease_seconds)
            tokens = rows.dumps([lease.token for lease in leases])
            held = {row["id"] for row in await conn.fetch("renew", tokens, worker_id, until)}
            return {
                lease.job_id: LeaseState.HELD
                if lease.job_id in held
                else await _unrenewed_state(conn, worker_id, lease)
                for lease in leases
            }

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def progress(
        self,
        lease: Lease,
        progress: float,
        eta_seconds: float | None,
        steps: Sequence[dict[str, object]],
    ) -> bool:
        async def body(conn: Connection) -> bool:
            percent = min(100.0, max(0.0, progress))
            eta = eta_seconds if eta_seconds is not None and math.isfinite(eta_seconds) else None
            changed = await conn.execute(
                "job_progress", *_fence(lease), percent, eta, rows.mappings(steps)
            )
            return changed > 0

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def finish(self, lease: Lease, outcome: JobOutcome) -> bool:
        """As the port says. Finishing once more under the lease that finished the job changes
        nothing and answers True, for a worker that did not hear the first answer."""

        return await self._finisher.finish(lease, outcome)

    async def fail(
        self, lease: Lease, failure: JobFailure, retry_after_seconds: float | None
    ) -> bool:
        async def body(conn: Connection) -> bool:
            job = await _running(conn, lease)
            if job is None:
                return False
            try:
                if retry_after_seconds is None:
                    await end_as_failed(conn, job, failure)
                else:
                    await _retry(conn, lease, job["attempt"], failure, retry_after_seconds)
            except DamagedRecord as error:
                await quarantine_job(conn, lease.job_id, error)
            return True

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def release(self, lease: Lease, reason: str) -> bool:
        async def body(conn: Connection) -> bool:
            if not await conn.execute("job_release", *_fence(lease)):
                return False
            try:
                await note_transition(
                    conn, lease.job_id, JobStatus.PROCESSING, TriggeredBy.SYSTEM, reason
                )
            except DamagedRecord as error:
                await quarantine_job(conn, lease.job_id, error)
            return True

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def any_expired(self) -> bool:
        async def body(conn: Connection) -> bool:
            return await conn.fetch_row("job_expired", await conn.steady_us()) is not None

        return await self._driver.read(body)

    async def recover(
        self,
        *,
        all_running: bool,
        by: TriggeredBy,
        message: str,
        is_crash: bool = True,
        retry_base_seconds: float = 5.0,
    ) -> tuple[JobId, ...]:
        """As the port says; answers those that are pending again. Several janitors may do it at
        once: each takes those that no other is just taking."""
        death = Death(by, message, is_crash, retry_base_seconds)

        async def body(conn: Connection) -> tuple[int, list[JobId]]:
            found = (
                await conn.fetch("jobs_running", _RECOVERED_AT_ONCE)
                if all_running
                else await conn.fetch("jobs_expired", await conn.steady_us(), _RECOVERED_AT_ONCE)
            )
            is_unexplained = is_crash and await _is_unexplained(conn, found, all_running)
            if is_unexplained:
                await conn.execute("suspects_cleared")
                await conn.execute("lone_suspects_cleared")
            back = []
            for row in found:
                try:
                    if await give_up_or_requeue(conn, row, death, is_innocent=is_unexplained):
                        back.append(row["id"])
                except DamagedRecord as error:
                    await quarantine_job(conn, row["id"], error)
            return len(found), back

        recovered: list[JobId] = []
        while True:
            count, back = await self._driver.write(body, isolation=Isolation.STATEMENT)
            recovered += back
            if count < _RECOVERED_AT_ONCE:
                return tuple(recovered)

    async def note_clean_stop(self) -> None:
        async def body(conn: Connection) -> None:
            await conn.execute("meta_set", _WORKER_PROCESS, "stopped")

        await self._driver.write(body, isolation=Isolation.STATEMENT)


async def _is_unexplained(conn: Connection, found: Sequence[Row], all_running: bool) -> bool:
    """Whether a process has died that did not run a suspect alone. An embedded one notes its
    life, so that its death shows where it ran no job either."""
    is_seen = any(not row["runs_alone"] for row in found)
    if not all_running:
        return is_seen
    mark = await conn.fetch_row("meta_get", _WORKER_PROCESS)
    await conn.execute("meta_set", _WORKER_PROCESS, "running")
    return is_seen or (not found and mark is not None and mark["value"] == "running")


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _fence(lease: Lease) -> tuple[int, str]:
    return (lease.job_id, lease.token)


async def _running(conn: Connection, lease: Lease) -> Row | None:
    job = await conn.fetch_row("job_of_lease", *_fence(lease))
    return None if job is None or job["status"] != JobStatus.PROCESSING.value else job


async def _unrenewed_state(conn: Connection, worker_id: str, lease: Lease) -> LeaseState:
    row = await conn.fetch_row("lease_state", *_fence(lease), worker_id)
    if row is not None and row["status"] == JobStatus.CANCELED.value:
        return LeaseState.CANCEL
    # Still ours, but it was not renewed: somebody was just writing to it.
    return LeaseState.BUSY if row is not None and row["is_held"] else LeaseState.LOST


async def _retry(
    conn: Connection, lease: Lease, attempt: int, failure: JobFailure, after_seconds: float
) -> None:
    await conn.execute(
        "job_retry",
        *_fence(lease),
        await conn.steady_us() + _microseconds(after_seconds),
        int(failure.kind is FailureKind.INFRA),
        int(failure.kind is FailureKind.CRASH),
    )
    await note_transition(
        conn,
        lease.job_id,
        JobStatus.PROCESSING,
        TriggeredBy.WORKER,
        f"Attempt {attempt} failed and is tried again in {after_seconds:.3g} s: {failure.message}",
    )
