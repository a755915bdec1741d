"""Processes that stand still in the midst of a transaction, as PostgreSQL sees them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import trio_asyncio

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.postgres_errors import CONNECTION_ERRORS
from mediaconvert.backends.sql.postgres_session import Session, open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from tests.servers.proxy import open_proxy

PATIENCE_SECONDS = 60.0
MUCH = 64 << 20
"""Bytes of an answer, more than what lies between two processes can hold."""


class Stalled:
    """A connection with an open transaction, in a loop of its own."""

    def __init__(self, loop: trio_asyncio.BaseTrioEventLoop, session: Session) -> None:
        self._loop = loop
        self._session = session

    async def goes_on(self) -> bool:
        """Whether it can, now that its process does."""

        async def ask() -> bool:
            try:
                return bool(await self._session.raw.fetchval("select true"))
            except CONNECTION_ERRORS:
                return False

        answer: bool = await self._loop.run_aio_coroutine(ask())
        return answer


@contextlib.asynccontextmanager
async def stalled_transaction(url: str, *statements: str) -> AsyncIterator[Stalled]:
    """A process that has run these in a transaction and then said what its next statement is,
    but not yet that it be run."""

    async def stall() -> Session:
        session = await open_session(parse_postgres_uri(url), PATIENCE_SECONDS)
        await session.raw.execute("begin")
        for statement in statements:
            await session.raw.execute(statement)
        await session.raw.prepare("select 1 as is_never_run")
        return session

    async with open_asyncio_loop() as loop:
        session: Session = await loop.run_aio_coroutine(stall())
        try:
            yield Stalled(loop, session)
        finally:
            await loop.run_aio_coroutine(_end(session))


@contextlib.asynccontextmanager
async def unread_answer(url: str) -> AsyncIterator[None]:
    """A process that has asked for more, in a transaction, than it takes in."""
    parts = urlsplit(url)
    with open_proxy(parts.port or 5432) as proxy:
        near = parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}")

        async def stall() -> tuple[Session, asyncio.Task[str]]:
            session = await open_session(parse_postgres_uri(urlunsplit(near)), PATIENCE_SECONDS)
            await session.raw.execute("begin")
            proxy.when_sent(b"repeat", proxy.silence)
            asking = session.raw.execute(f"select repeat('x', {MUCH})")
            return session, asyncio.ensure_future(asking)

        async def end(session: Session, asking: asyncio.Task[str]) -> None:
            await _end(session)
            await asyncio.gather(asking, return_exceptions=True)

        async with open_asyncio_loop() as loop:
            session, asking = await loop.run_aio_coroutine(stall())
            try:
                yield
            finally:
                await loop.run_aio_coroutine(end(session, asking))


async def _end(session: Session) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):
        session.end()
    # The loop closes the connection when it comes to it.
    await asyncio.sleep(0)
