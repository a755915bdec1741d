"""Damaged jobs, one at a time: each is ended in a transaction of its own, or left out of the queue.

A statement that meets a damaged row fails as a whole. Its caller then repeats it job by job and
hands the one that fails to `Quarantine.end`. Where SQLite cannot even write the row (an index does
not agree with it), this process leaves it out from then on. Called by the queue.
"""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation
from mediaconvert.backends.sql.endings import quarantine_job
from mediaconvert.backends.sql.values import LAST_MOMENT_US, damaged
from mediaconvert.errors import CatalogDamaged, DamagedRecord
from mediaconvert.model import JobId

DAMAGE = (DamagedRecord, CatalogDamaged)
"""What a damaged row makes a transaction raise."""

_MAX_LEFT_OUT = 1_000
_ENDED_AT_ONCE = 100


class Quarantine:
    """One per process and database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._left_out: set[JobId] = set()

    def leave_out(self, conn: Connection, job_id: JobId, why: str) -> None:
        """No statement of the queue takes the job any more."""
        conn.damage.note(damaged("jobs", job_id, why))
        if len(self._left_out) < _MAX_LEFT_OUT:
            self._left_out.add(job_id)

    def left_out(self, *others: JobId) -> str:
        """The jobs to leave out, and these, as a JSON array."""
        return rows.dumps(sorted({*self._left_out, *others}))

    async def end(self, job_id: JobId, error: DamagedRecord | CatalogDamaged) -> None:
        """Fail the job as damaged. Raises Unavailable, but not for damage."""
        found = damaged("jobs", job_id, _reason(error))

        async def body(conn: Connection) -> None:
            await quarantine_job(conn, job_id, found)

        async def leave(conn: Connection) -> None:
            self.leave_out(conn, job_id, _reason(error))

        try:
            await self._driver.write(body, isolation=Isolation.STATEMENT)
        except DAMAGE:
            await self._driver.read(leave)

    async def end_unreadable(self) -> None:
        """Fail pending jobs that no claim can find: what the queue goes by is damaged."""

        async def body(conn: Connection) -> list[JobId]:
            found = await conn.fetch(
                "jobs_unreadable", LAST_MOMENT_US, self.left_out(), _ENDED_AT_ONCE
            )
            return [row["id"] for row in found]

        for job_id in await self._driver.read(body):
            await self.end(job_id, damaged("jobs", job_id, "its place in the queue is damaged"))


def _reason(error: DamagedRecord | CatalogDamaged) -> str:
    return error.why if isinstance(error, DamagedRecord) else "an index does not agree with it"
