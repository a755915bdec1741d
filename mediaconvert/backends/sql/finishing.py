"""Jobs of one process that come to their end at the same time do so in one transaction.

While one transaction is under way, those that finish meanwhile gather for the next: a commit and
its round trips are shared by as many as there are (group commit). Alone, a job does not wait.
Called by the queue; what the end of a job consists of stands in `endings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.endings import complete_job
from mediaconvert.backends.sql.quarantine import DAMAGE, Quarantine
from mediaconvert.backends.sql.transitions import Change, note_changes
from mediaconvert.errors import DamagedRecord, MediaConvertError, StorageFull, Unavailable
from mediaconvert.model import JobOutcome, JobStatus, Lease

MAX_JOBS = 50
MAX_OUTPUTS = 100
"""Of one transaction, unless a single job has more: an output takes some 60 µs of it (measured on
PostgreSQL, 1,000 of one job), and jobs with few should not wait for those with many."""


@dataclass(eq=False, slots=True)
class _Waiting:
    lease: Lease
    outcome: JobOutcome
    is_done: bool = False
    is_alone: bool = False
    """Finished in a transaction of its own, by itself."""
    result: bool = False
    failures: list[Exception] = field(default_factory=list)


class GroupFinisher:
    """One per process and database."""

    def __init__(self, driver: Driver, quarantine: Quarantine) -> None:
        self._driver = driver
        self._quarantine = quarantine
        self._waiting: list[_Waiting] = []
        self._turn = trio.Lock()

    async def finish(self, lease: Lease, outcome: JobOutcome) -> bool:
        """As Queue.finish. Cancelled before its transaction has begun, nothing has happened."""
        entry = _Waiting(lease, outcome)
        self._waiting.append(entry)
        try:
            while not entry.is_done:
                async with self._turn:
                    if not entry.is_done:
                        await self._finish_group(entry)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        for failure in entry.failures:
            raise failure
        return entry.result

    async def _finish_group(self, leader: _Waiting) -> None:
        group = [leader] if leader.is_alone else self._next_group()
        try:
            await self._commit(group)
        except DAMAGE:
            # Nothing is written; the record of one of them is damaged.
            await self._finish_each(group)
        except (Unavailable, StorageFull) as error:
            _fail(group, error)
        except MediaConvertError as error:
            # What is wrong with one of them is its own matter.
            if len(group) == 1:
                _fail(group, error)
            else:
                await self._finish_each(group)
        except Exception:
            # A fault that nobody reckoned with, of one of them: each then meets its own.
            if len(group) > 1:
                for entry in group:
                    entry.is_alone = True
                return
            raise
        finally:
            # Never "lost" because of such a fault.
            _fail(
                [entry for entry in group if not entry.is_alone],
                Unavailable("it is not known whether the job's end was written"),
            )

    async def _finish_each(self, group: Sequence[_Waiting]) -> None:
        for entry in group:
            try:
                await self._commit([entry])
            except DamagedRecord as error:
                with trio.CancelScope(shield=True):
                    await self._quarantine.end(entry.lease.job_id, error)
                entry.is_done = True
            except MediaConvertError as error:
                _fail([entry], error)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        outputs = 0
        while self._waiting and len(group) < MAX_JOBS:
            outputs += len(self._waiting[0].outcome.outputs)
            if group and outputs > MAX_OUTPUTS:
                break
            group.append(self._waiting.pop(0))
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        async def body(conn: Connection) -> list[bool]:
            # Locked in the order of their ids: groups of several processes never wait in a circle.
            ids = rows.dumps(sorted({entry.lease.job_id for entry in group}))
            found = {row["id"]: row for row in await conn.fetch_first("jobs_to_finish", ids)}
            changes: list[Change] = []
            results = [
                await _finish(conn, found.get(entry.lease.job_id), entry, changes)
                for entry in group
            ]
            await note_changes(conn, changes)
            return results

        # Shielded: whoever leads the group must not take the others along.
        with trio.CancelScope(shield=True):
            results = await self._driver.write(body, isolation=Isolation.STATEMENT)
        for entry, result in zip(group, results, strict=True):
            entry.result, entry.is_done = result, True


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for entry in group:
        if not entry.is_done:
            entry.is_done = True
            entry.failures.append(error)


async def _finish(
    conn: Connection, job: Row | None, entry: _Waiting, changes: list[Change]
) -> bool:
    if job is None or job["lease_token"] != entry.lease.token:
        return False
    if job["status"] == JobStatus.COMPLETED.value:
        # The first answer was not heard.
        return True
    if job["status"] != JobStatus.PROCESSING.value:
        return False
    return await complete_job(conn, job, entry.outcome, changes)
