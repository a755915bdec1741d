"""The workers' side of jobs, on SQL: claim, renew, finish, fail, give back, recover.

Every write asks for its lease token and the status `processing` in its WHERE clause: whoever
has lost the lease changes nothing and is told so. None is serializable: those that look
further (outputs, the last reader of a source) lock the rows that they go by first.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from typing import TypeVar

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.claiming import claim_jobs, claim_one, claim_suspect
from mediaconvert.backends.sql.driver import Body, Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.endings import (
    Death,
    end_as_failed,
    give_up_or_requeue,
)
from mediaconvert.backends.sql.finishing import GroupFinisher
from mediaconvert.backends.sql.quarantine import DAMAGE, Quarantine
from mediaconvert.backends.sql.transitions import note_transition
from mediaconvert.errors import Unavailable
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

T = TypeVar("T")

_WORKER_PROCESS = "worker_process"
"""Of an embedded catalog's `meta`: `running` from a start to the next clean stop."""

# A transaction's worth: a dead node may have left hundreds.
_RECOVERED_AT_ONCE = 100

_CANDIDATES = 100
"""Looked at beyond those that are wanted, after a claim has met a damaged row."""
_UNREADABLE_SECONDS = 60.0
"""Between two looks, of a queue with nothing due, for jobs that no claim can find."""


class SqlQueue:
    """ports.catalog.Queue."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._quarantine = Quarantine(driver)
        self._finisher = GroupFinisher(driver, self._quarantine)
        self._look_for_unreadable_at = -math.inf

    async def claim(
        self, worker_id: str, limit: int, lease_seconds: float
    ) -> tuple[ClaimedJob, ...]:
        lease_us = _microseconds(lease_seconds)

        async def body(conn: Connection) -> tuple[ClaimedJob, ...]:
            return await claim_jobs(conn, worker_id, limit, lease_us, self._quarantine)

        try:
            claimed = await self._driver.write(body, isolation=Isolation.STATEMENT)
        except DAMAGE:
            claimed = await self._claim_each(worker_id, limit, lease_us)
        if not claimed and time.monotonic() >= self._look_for_unreadable_at:
            self._look_for_unreadable_at = time.monotonic() + _UNREADABLE_SECONDS
            await self._quarantine.end_unreadable()
        return claimed

    async def _claim_each(
        self, worker_id: str, limit: int, lease_us: int, overdue_us: int | None = None
    ) -> tuple[ClaimedJob, ...]:
        """Claim job by job, after a damaged row has spoilt a claim of several: it is found, and
        ended. `overdue_us`: of suspects."""
        is_suspect = overdue_us is not None

        async def candidates(conn: Connection) -> list[JobId]:
            due = await conn.steady_us() - (overdue_us or 0)
            where = (int(is_suspect), due, self._quarantine.left_out())
            found = await conn.fetch("claim_candidates", *where, limit + _CANDIDATES)
            return [row["id"] for row in found]

        claimed: list[ClaimedJob] = []
        for job_id in await self._driver.read(candidates):
            if len(claimed) == limit:
                break

            async def body(conn: Connection, job_id: JobId = job_id) -> tuple[ClaimedJob, ...]:
                return await claim_one(conn, job_id, worker_id, lease_us, is_suspect=is_suspect)

            try:
                claimed += await self._or_quarantine(job_id, body, ())
            except Unavailable:
                if not claimed:
                    raise
                break
        return tuple(claimed)

    async def _or_quarantine(self, job_id: JobId, body: Body[T], otherwise: T) -> T:
        """What a transaction on one job answers. If its record is damaged, the job is ended."""
        try:
            return await self._driver.write(body, isolation=Isolation.STATEMENT)
        except DAMAGE as error:
            await self._quarantine.end(job_id, error)
            return otherwise

    async def next_due_seconds(self) -> float | None:
        async def body(conn: Connection) -> float | None:
            row = await conn.fetch_row("next_due", self._quarantine.left_out())
            seconds = await _seconds_until(conn, row)
            return None if seconds is None else max(0.0, seconds)

        return await self._driver.read(body)

    async def suspect_due_seconds(self) -> float | None:
        async def body(conn: Connection) -> float | None:
            left_out = self._quarantine.left_out()
            return await _seconds_until(conn, await conn.fetch_one("next_suspect_due", left_out))

        return await self._driver.read(body)

    async def claim_suspect(
        self, worker_id: str, lease_seconds: float, overdue_seconds: float
    ) -> ClaimedJob | None:
        lease_us, overdue_us = _microseconds(lease_seconds), _microseconds(overdue_seconds)

        async def body(conn: Connection) -> ClaimedJob | None:
            return await claim_suspect(conn, worker_id, lease_us, overdue_us, self._quarantine)

        try:
            return await self._driver.write(body, isolation=Isolation.STATEMENT)
        except DAMAGE:
            claimed = await self._claim_each(worker_id, 1, lease_us, overdue_us)
            return claimed[0] if claimed else None

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
            if retry_after_seconds is None:
                await end_as_failed(conn, job, failure)
            else:
                await _retry(conn, lease, job["attempt"], failure, retry_after_seconds)
            return True

        return await self._or_quarantine(lease.job_id, body, True)

    async def release(self, lease: Lease, reason: str) -> bool:
        async def body(conn: Connection) -> bool:
            if not await conn.execute("job_release", *_fence(lease)):
                return False
            await note_transition(
                conn, lease.job_id, JobStatus.PROCESSING, TriggeredBy.SYSTEM, reason
            )
            return True

        return await self._or_quarantine(lease.job_id, body, True)

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
        recovered: list[JobId] = []
        seen: set[JobId] = set()
        at_once = _RECOVERED_AT_ONCE
        while True:
            left_out = self._quarantine.left_out(*seen)
            batch = _Recovery(death, all_running, at_once, left_out, is_first=not seen)
            try:
                await self._driver.write(batch.run, isolation=Isolation.STATEMENT)
            except DAMAGE as error:
                if at_once > 1:
                    at_once = 1
                    continue
                await self._driver.read(batch.find)
                for row in batch.found:
                    await self._quarantine.end(row["id"], error)
                if not batch.found:
                    raise
                at_once = _RECOVERED_AT_ONCE
            else:
                recovered += batch.back
                if batch.is_unexplained:
                    await self._clear_suspects()
                if len(batch.found) < at_once:
                    return tuple(recovered)
            seen.update(row["id"] for row in batch.found)

    async def _clear_suspects(self) -> None:
        """In a transaction of its own: a damaged suspect must not keep jobs from going back."""

        async def body(conn: Connection) -> None:
            await conn.execute("suspects_cleared")
            await conn.execute("lone_suspects_cleared")

        with contextlib.suppress(*DAMAGE):
            await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def note_clean_stop(self) -> None:
        async def body(conn: Connection) -> None:
            await conn.execute("meta_set", _WORKER_PROCESS, "stopped")

        await self._driver.write(body, isolation=Isolation.STATEMENT)


class _Recovery:
    """Jobs whose worker died, as many as one transaction takes back."""

    def __init__(
        self, death: Death, all_running: bool, at_once: int, left_out: str, *, is_first: bool
    ) -> None:
        self._death = death
        self._all_running = all_running
        self._at_once = at_once
        self._left_out = left_out
        self._is_first = is_first
        self.found: Sequence[Row] = ()
        self.back: list[JobId] = []
        """Those that are pending again."""
        self.is_unexplained = False

    async def find(self, conn: Connection) -> None:
        if self._all_running:
            self.found = await conn.fetch("jobs_running", self._at_once, self._left_out)
            return
        now = await conn.steady_us()
        self.found = await conn.fetch("jobs_expired", now, self._at_once, self._left_out)

    async def run(self, conn: Connection) -> None:
        await self.find(conn)
        self.back = []
        self.is_unexplained = self._death.is_crash and await self._is_unexplained(conn)
        for row in self.found:
            is_innocent = self.is_unexplained
            if await give_up_or_requeue(conn, row, self._death, is_innocent=is_innocent):
                self.back.append(row["id"])

    async def _is_unexplained(self, conn: Connection) -> bool:
        """Whether a process has died that did not run a suspect alone. An embedded one notes its
        life, so that its death shows where it ran no job either."""
        is_seen = any(not row["runs_alone"] for row in self.found)
        if not self._all_running:
            return is_seen
        mark = await conn.fetch_row("meta_get", _WORKER_PROCESS)
        await conn.execute("meta_set", _WORKER_PROCESS, "running")
        is_idle = not self.found and self._is_first
        return is_seen or (is_idle and mark is not None and mark["value"] == "running")


async def _seconds_until(conn: Connection, row: Row | None) -> float | None:
    """None for a time that is damaged."""
    due = None if row is None else row["due"]
    return (due - await conn.steady_us()) / 1e6 if type(due) is int else None


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
