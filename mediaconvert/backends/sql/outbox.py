"""The outbox on SQL: events that wait, and the one batch of them that is under way.

Events are added by `transitions`, in the transaction of what they describe. Its own writes run
at statement isolation: the batch's single row is the lock between flushers, and no job's
transaction is ever run again because of them.
"""

from __future__ import annotations

import secrets

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.values import readable
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import EventBatch, OutboxEvent

_DROPPED_AT_ONCE = 10_000
"""Events of one transaction, so that dropping many holds up no commit for long."""

_COUNTED_AT_ONCE = 10_000
"""A million take seconds on a busy server, and a transaction has not many."""
_ABOVE_ALL = (1 << 63) - 1


def _is_intact(conn: Connection, batch: Row) -> bool:
    try:
        rows.check_batch(batch)
    except DamagedRecord as error:
        conn.damage.note(error)
        return False
    return True


class SqlOutbox:
    """ports.catalog.Outbox."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open_batch(self, holder: str, limit: int, lease_seconds: float) -> EventBatch | None:
        if not await self._has_work(holder):
            return None
        # Outside of the transaction, which may run again.
        fresh = secrets.token_hex(16)
        lease_us = round(lease_seconds * 1_000_000)

        async def body(conn: Connection) -> tuple[str, str] | None:
            now = await conn.steady_us()
            batch = await conn.fetch_row("outbox_batch_get")
            if batch is not None and not _is_intact(conn, batch):
                # Its events are sent again, in another batch.
                await conn.execute("outbox_batch_clear")
                batch = None
            if batch is not None:
                taken = await conn.execute(
                    "outbox_batch_take", batch["token"], holder, now + lease_us, now
                )
                return (batch["token"], batch["event_ids"]) if taken else None
            # What is visible, in the order of ids: an event with a lower one may be committed
            # later, and goes with a later batch.
            ids = rows.dumps([row["id"] for row in await conn.fetch("outbox_oldest", limit)])
            if ids == "[]" or not await conn.execute(
                "outbox_batch_open", fresh, ids, holder, now + lease_us
            ):
                return None
            return fresh, ids

        opened = await self._driver.write(body, isolation=Isolation.STATEMENT)
        if opened is None:
            return None
        token, ids = opened
        return EventBatch(token, await self._events(ids))

    async def acknowledge(self, token: str) -> None:
        async def body(conn: Connection) -> None:
            batch = await conn.fetch_row("outbox_batch_get")
            if batch is not None and batch["token"] == token:
                await conn.execute("outbox_forget", batch["event_ids"])
                await conn.execute("outbox_batch_close", token)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def trim(self, keep: int) -> int:
        oldest_kept = await self._oldest_of(keep)
        if oldest_kept is None:
            return 0

        async def drop(conn: Connection) -> int:
            return await conn.execute("outbox_drop", oldest_kept, _DROPPED_AT_ONCE)

        dropped = 0
        while count := await self._driver.write(drop, isolation=Isolation.STATEMENT):
            dropped += count
        return dropped

    async def _oldest_of(self, keep: int) -> int | None:
        """The id of the oldest of the `keep` newest events; None when there are no more."""

        async def span(conn: Connection) -> int:
            count: int = (await conn.fetch_one("outbox_span"))["span"]
            return count

        if await self._driver.read(span) <= keep:
            return None
        below = _ABOVE_ALL
        while keep > 0:
            size = min(keep, _COUNTED_AT_ONCE)

            async def page(conn: Connection, below: int = below, size: int = size) -> Row:
                return await conn.fetch_one("outbox_page", below, size)

            found = await self._driver.read(page)
            if found["count"] < size:
                return None
            below = found["lowest"]
            keep -= size
        return below

    async def _has_work(self, holder: str) -> bool:
        """Whether it is worth a write to find out: most of the time nothing waits."""

        async def body(conn: Connection) -> bool:
            batch = await conn.fetch_row("outbox_batch_get")
            if batch is None:
                return await conn.fetch_row("outbox_any") is not None
            if not _is_intact(conn, batch):
                return True
            is_free: bool = batch["lease_until"] <= await conn.steady_us()
            return is_free or batch["holder"] == holder

        return await self._driver.read(body)

    async def _events(self, ids: str) -> tuple[OutboxEvent, ...]:
        # Apart from the write, whose lock on SQLite is everybody's. Nobody else deletes them
        # while the batch is there.
        async def body(conn: Connection) -> tuple[OutboxEvent, ...]:
            return tuple(readable(conn, await conn.fetch("outbox_events", ids), rows.event))

        return await self._driver.read(body)
