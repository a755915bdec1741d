"""A process that stands still in the midst of a transaction, as PostgreSQL sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.postgres_session import Session, open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri

PATIENCE_SECONDS = 60.0


@contextlib.asynccontextmanager
async def stalled_transaction(url: str, *statements: str) -> AsyncIterator[Session]:
    """A process that has run these in a transaction and then said what its next statement is,
    but not yet that it be run."""

    async def stall() -> Session:
        session = await open_session(parse_postgres_uri(url), PATIENCE_SECONDS)
        await session.raw.execute("begin")
        for statement in statements:
            await session.raw.execute(statement)
        await session.raw.prepare("select 1 as is_never_run")
        return session

    async def end(session: Session) -> None:
        session.end()
        await asyncio.sleep(0)

    async with open_asyncio_loop() as loop:
        session: Session = await loop.run_aio_coroutine(stall())
        try:
            yield session
        finally:
            await loop.run_aio_coroutine(end(session))
