"""Reads the embedded analytics back as the events that they were made of, for another store.

Called by `moving` alone. Batches have the same tokens every time, so that a store which was
given one twice knows it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from mediaconvert.backends.sql.driver import Connection, Driver, Row
from mediaconvert.events import COLUMNS, JOB_METRICS, PIPELINE_EXECUTION, STATUS_HISTORY
from mediaconvert.model import EventBatch, OutboxEvent

_PAGE = 2000
_QUERIES = {
    JOB_METRICS: ("move_job_metrics", "job_id"),
    STATUS_HISTORY: ("move_job_status_history", "event_id"),
    PIPELINE_EXECUTION: ("move_pipeline_execution", "event_id"),
}
"""The query of each kind's pages, and the key that they are in the order of."""
_YES_OR_NO = frozenset(("success",))


async def recorded_events(
    store: Driver, digest: str, first_waiting: int
) -> AsyncIterator[EventBatch]:
    """All that the store of this driver has recorded. `digest` names the source;
    `first_waiting` is the id from which on events still wait in the outbox, which brings them
    itself."""
    for kind, (query, key) in _QUERIES.items():
        after = -1
        while True:

            async def body(
                conn: Connection, query: str = query, after: int = after
            ) -> Sequence[Row]:
                return await conn.fetch(query, after, first_waiting, _PAGE)

            page = await store.read(body)
            if page:
                token = f"{digest[:32]}-{kind}-{after}"
                yield EventBatch(token, tuple(_event(kind, row) for row in page))
                after = page[-1][key]
            if len(page) < _PAGE:
                break


def _event(kind: str, row: Row) -> OutboxEvent:
    payload = {
        column: bool(row[column]) if column in _YES_OR_NO else row[column]
        for column in COLUMNS[kind]
    }
    return OutboxEvent(id=row["event_id"], kind=kind, payload=payload)
