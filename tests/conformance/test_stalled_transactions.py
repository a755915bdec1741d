"""Transactions on PostgreSQL whose process stands still in the midst of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.backends.sql.postgres_session import Session, open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.model import TriggeredBy
from tests.conformance.worlds import PATIENCE_SECONDS, World
from tests.recovery.worker_rig import until
from tests.servers.postgres import Databases
from tests.servers.stalled import stalled_transaction

LONG = 3600.0


@pytest.fixture
def url(databases: Databases, catalog_template: str) -> Iterator[str]:
    with databases.database(catalog_template) as url:
        yield url


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as driver:
        yield World(sql_catalog(driver), lambda statement: [])


async def test_a_job_that_it_has_locked_is_free_again(world: World, url: str) -> None:
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id), "film.mp4")
    queue, housekeeping = world.catalog.queue, world.catalog.housekeeping
    (job,) = await queue.claim("worker", 1, -1)

    async def taken_back() -> tuple[int, ...]:
        return await queue.recover(all_running=False, by=TriggeredBy.SYSTEM, message="Lost.")

    async with stalled_transaction(url, f"select 1 from jobs where id = {job.id} for update"):
        assert await queue.any_expired()
        assert await taken_back() == ()
        assert await housekeeping.end_stalled(LONG) == 0
        assert await taken_back() == ()
        assert await housekeeping.end_stalled(0) == 1
        found: list[int] = []

        async def is_taken_back() -> bool:
            found.extend(await taken_back())
            return bool(found)

        # The server's process ends soon after it is told to.
        await until(is_taken_back)
        assert found == [job.id]
        assert await housekeeping.end_stalled(0) == 0


@pytest.mark.parametrize("statement", ["select 1", "begin"])
async def test_a_connection_between_two_statements_is_left_alone(
    world: World, url: str, statement: str
) -> None:
    """How long a transaction may be idle is bounded by a setting of its own."""

    async def open_idle() -> Session:
        session = await open_session(parse_postgres_uri(url), PATIENCE_SECONDS)
        await session.raw.execute(statement)
        return session

    async def ask(session: Session) -> object:
        try:
            return await session.raw.fetchval("select 1")
        finally:
            session.end()

    async with open_asyncio_loop() as loop:
        session: Session = await loop.run_aio_coroutine(open_idle())
        assert await world.catalog.housekeeping.end_stalled(0) == 0
        assert await loop.run_aio_coroutine(ask(session)) == 1


async def test_another_application_of_the_same_user_is_left_alone(world: World, url: str) -> None:
    async with stalled_transaction(f"{url}?application_name=reports"):
        assert await world.catalog.housekeeping.end_stalled(0) == 0
