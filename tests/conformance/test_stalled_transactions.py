"""Transactions on PostgreSQL whose process stands still in the midst of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.backends.sql.postgres_session import Session, open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import Unavailable
from mediaconvert.model import TriggeredBy
from tests.conformance.worlds import PATIENCE_SECONDS, World
from tests.recovery.worker_rig import until
from tests.servers.postgres import USER, Databases, Postgres
from tests.servers.stalled import stalled_transaction, unread_answer

LONG = 3600.0


@pytest.fixture
def url(databases: Databases, catalog_template: str) -> Iterator[str]:
    with databases.database(catalog_template) as url:
        yield url


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as driver:
        yield World(sql_catalog(driver), lambda statement: [])


async def ends_one(world: World) -> None:
    """When the server has come to wait for its client."""

    async def has_ended() -> bool:
        ended = await world.catalog.housekeeping.end_stalled(0)
        assert ended <= 1
        return ended == 1

    await until(has_ended)


async def test_a_job_that_it_has_locked_is_free_again(world: World, url: str) -> None:
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id), "film.mp4")
    queue, housekeeping = world.catalog.queue, world.catalog.housekeeping
    (job,) = await queue.claim("worker", 1, -1)

    async def taken_back() -> tuple[int, ...]:
        return await queue.recover(all_running=False, by=TriggeredBy.SYSTEM, message="Lost.")

    lock = f"select 1 from jobs where id = {job.id} for update"
    async with stalled_transaction(url, lock) as stalled:
        assert await queue.any_expired()
        assert await taken_back() == ()
        assert await housekeeping.end_stalled(LONG) == 0
        await ends_one(world)
        found: list[int] = []

        async def is_taken_back() -> bool:
            found.extend(await taken_back())
            return bool(found)

        # The server's process ends soon after it is told to.
        await until(is_taken_back)
        assert found == [job.id]
        assert await housekeeping.end_stalled(0) == 0
        assert not await stalled.goes_on()


async def test_one_that_does_not_take_its_answer_is_ended(world: World, url: str) -> None:
    async with unread_answer(url):
        await ends_one(world)


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
        async with stalled_transaction(url):
            await ends_one(world)
        assert await loop.run_aio_coroutine(ask(session)) == 1


async def test_another_application_of_the_same_user_is_left_alone(world: World, url: str) -> None:
    async with stalled_transaction(f"{url}?application_name=reports") as reports:
        async with stalled_transaction(url) as ours:
            await ends_one(world)
            assert not await ours.goes_on()
        assert await reports.goes_on()


async def test_a_slow_copy_under_our_own_name_is_left_alone(
    world: World, url: str, databases: Databases
) -> None:
    """pg_dump and pg_restore, given DATABASE_URL, may have it."""
    with databases.copying_into("pipelines", f"{url}?application_name=mediaconvert") as copying:
        async with stalled_transaction(url):
            await ends_one(world)
        assert copying.poll() is None
        assert copying.stdin is not None
        copying.stdin.close()
        assert copying.wait(PATIENCE_SECONDS) == 0


async def test_a_database_that_forbids_it_is_told_of_and_breaks_nothing(
    postgres: Postgres, catalog_template: str
) -> None:
    # A superuser may do it whatever is revoked.
    function = "function pg_terminate_backend(integer, bigint)"
    with postgres.database() as url:
        postgres.execute(url, f"create role guest login; revoke execute on {function} from public")
        postgres.execute(url, f"alter database {url.rpartition('/')[2]} owner to guest")
        postgres.execute(url, "alter schema public owner to guest")
        guest = url.replace(f"{USER}@", "guest@")
        try:
            async with open_postgres_driver(guest, deadline_seconds=PATIENCE_SECONDS) as driver:
                housekeeping = sql_catalog(driver).housekeeping
                with pytest.raises(Unavailable) as refused:
                    await housekeeping.end_stalled(0)
                assert "pg_terminate_backend" in refused.value.reason
                assert "pg_terminate_backend" not in str(refused.value)
                assert await housekeeping.check()
        finally:
            postgres.execute(url, f"reassign owned by guest to {USER}; drop owned by guest")
            postgres.execute(url, "drop role guest")
