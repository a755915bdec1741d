"""PostgreSQL as a Driver, over a pool of connections in an asyncio loop of its own.

Knows no table of the catalog. Opened by `catalog.py` and by `mediaconvert migrate`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

import trio

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.clock import CatalogClock
from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.backends.sql.driver import Body, Isolation
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres_pool import START_SECONDS, Begin, PostgresPool
from mediaconvert.backends.sql.postgres_uri import PostgresAddress
from mediaconvert.errors import CatalogDamaged, DamagedRecord

T = TypeVar("T")


class PostgresDriver:
    """A Driver over one database; made by `open_postgres`."""

    def __init__(self, pool: PostgresPool, queries: Mapping[str, str]) -> None:
        self.pool = pool
        self.clock = CatalogClock()
        self._queries = queries

    @property
    def version(self) -> str:
        return self.pool.version

    async def write(self, body: Body[T], *, isolation: Isolation = Isolation.SERIALIZABLE) -> T:
        """As Driver.write. Waiting for a connection of the pool can be cancelled; from then on
        it is shielded, and ends at the deadline (twice it, with the wait) as Unavailable."""
        begin = Begin.SERIALIZABLE if isolation is Isolation.SERIALIZABLE else Begin.STATEMENT
        return await self._transact(body, begin)

    async def read(self, body: Body[T]) -> T:
        """As Driver.read: one snapshot, which no write waits for, nor waits for a write."""
        return await self._transact(body, Begin.READ)

    async def _transact(self, body: Body[T], begin: Begin) -> T:
        try:
            return await self.clock.guard(
                self, lambda: self.pool.transact(body, begin, self._queries, self.clock)
            )
        except (DamagedRecord, CatalogDamaged) as error:
            self.damage.note(error)
            raise

    @property
    def damage(self) -> DamageLog:
        return self.pool.damage

    async def check_file(self) -> None:
        """As Driver.check_file. Its server's own matter (data checksums, amcheck)."""
        await trio.lowlevel.checkpoint()

    async def settle(self) -> None:
        await self.pool.settle()


@contextlib.asynccontextmanager
async def open_postgres(
    address: PostgresAddress,
    queries: Mapping[str, str],
    migrations: Sequence[Migration],
    *,
    pool_size: int = 10,
    deadline_seconds: float = 5.0,
) -> AsyncIterator[PostgresDriver]:
    """The database, its schema brought up to date. Raises StartupError where it cannot be
    reached or used, or is newer than the program."""
    async with open_asyncio_loop() as loop:
        pool = PostgresPool(loop, address, size=pool_size, deadline_seconds=deadline_seconds)
        try:
            await pool.prepare(migrations)
            yield PostgresDriver(pool, queries)
        finally:
            await pool.close()


@contextlib.asynccontextmanager
async def look_into_postgres(
    address: PostgresAddress, queries: Mapping[str, str], migrations: Sequence[Migration]
) -> AsyncIterator[tuple[int, PostgresDriver]]:
    """The version of the schema, and the database as it is, to be read only. Raises StartupError
    as `open_postgres` does."""
    async with open_asyncio_loop() as loop:
        pool = PostgresPool(loop, address, size=1, deadline_seconds=START_SECONDS)
        try:
            version = await pool.prepare(migrations, only_look=True)
            yield version, PostgresDriver(pool, queries)
        finally:
            await pool.close()


async def visit_postgres(
    address: PostgresAddress, migrations: Sequence[Migration], *, only_look: bool
) -> int:
    """The version of the database's schema, which is then brought up to date unless it is only
    looked at. Raises StartupError as `open_postgres` does."""
    async with open_asyncio_loop() as loop:
        pool = PostgresPool(loop, address, size=1, deadline_seconds=START_SECONDS)
        try:
            return await pool.prepare(migrations, only_look=only_look)
        finally:
            await pool.close()
