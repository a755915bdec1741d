"""Leases on PostgreSQL while somebody else is just writing to one of the jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation
from mediaconvert.model import ClaimedJob, LeaseState, TriggeredBy
from mediaconvert.settings import WorkerSettings
from mediaconvert.workers.leases import HeldJob, LeaseKeeper, Stop
from tests.conformance.worlds import PATIENCE_SECONDS, World, lease
from tests.recovery.worker_rig import until
from tests.servers.postgres import Databases


@pytest.fixture
async def driver(databases: Databases, catalog_template: str) -> AsyncIterator[Driver]:
    with databases.database(catalog_template) as url:
        async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as opened:
            yield opened


@pytest.fixture
def world(driver: Driver) -> World:
    return World(sql_catalog(driver), lambda statement: [])


@asynccontextmanager
async def _writing_to(driver: Driver, job: ClaimedJob) -> AsyncIterator[None]:
    """A transaction that has locked the job's row and takes its time. The driver ends it at its
    deadline; the body has to be done by then."""
    is_locked, may_end = trio.Event(), trio.Event()

    async def body(conn: Connection) -> None:
        assert await conn.fetch_row("job_of_lease", job.id, job.token) is not None
        is_locked.set()
        while not may_end.is_set():
            # A statement now and then, so that it counts as a transaction at work.
            await conn.now_us()
            await conn.fetch_one("gauges")

    async with trio.open_nursery() as nursery:

        async def write() -> None:
            await driver.write(body, isolation=Isolation.STATEMENT)

        nursery.start_soon(write)
        await is_locked.wait()
        try:
            yield
        finally:
            may_end.set()


async def _two_jobs(world: World, lease_seconds: float) -> tuple[ClaimedJob, ClaimedJob]:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(2):
        await world.submit(ref, pipeline, f"{number}")
    busy, free = await world.catalog.queue.claim("worker", 2, lease_seconds)
    return busy, free


async def _is_renewed(held: HeldJob) -> None:
    before = held.scope.deadline

    async def is_later() -> bool:
        return held.scope.deadline > before

    await until(is_later)


async def _is_given_back(held: HeldJob) -> None:
    async def is_back() -> bool:
        return held.is_given_back

    await until(is_back)


async def test_a_job_that_is_being_written_to_keeps_no_other_from_being_renewed(
    world: World, driver: Driver
) -> None:
    busy, free = await _two_jobs(world, -1)
    queue = world.catalog.queue
    async with _writing_to(driver, busy):
        assert await queue.renew("worker", [lease(busy), lease(free)], 60) == {
            busy.id: LeaseState.BUSY,
            free.id: LeaseState.HELD,
        }
        # Another's is lost, whoever writes to it.
        assert await queue.renew("other", [lease(busy)], 60) == {busy.id: LeaseState.LOST}
    assert await queue.renew("worker", [lease(busy)], -1) == {busy.id: LeaseState.HELD}
    taken = await queue.recover(all_running=False, by=TriggeredBy.SYSTEM, message="Lost.")
    assert taken == (busy.id,)


async def test_a_busy_lease_is_trusted_as_long_as_before_and_no_longer(
    world: World, driver: Driver
) -> None:
    busy_job, free_job = await _two_jobs(world, 60)
    settings = WorkerSettings(lease_seconds=60.0, renew_seconds=0.05)
    keeper = LeaseKeeper(world.catalog.queue, "worker", settings)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        with keeper.hold(busy_job, began) as busy, keeper.hold(free_job, began) as free:
            before = busy.scope.deadline
            async with _writing_to(driver, busy_job):
                nursery.start_soon(keeper.run)
                await _is_renewed(free)
                assert busy.scope.deadline == before
                assert busy.stopped is free.stopped is None
            await _is_renewed(busy)
        nursery.cancel_scope.cancel()


async def test_a_job_that_cannot_be_given_back_keeps_no_other_from_being_renewed(
    world: World, driver: Driver
) -> None:
    busy_job, free_job = await _two_jobs(world, 60)
    settings = WorkerSettings(lease_seconds=60.0, renew_seconds=0.05)
    keeper = LeaseKeeper(world.catalog.queue, "worker", settings)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        with keeper.hold(busy_job, began) as busy, keeper.hold(free_job, began) as free:
            busy.stop(Stop.UNRENEWED)
            async with _writing_to(driver, busy_job):
                nursery.start_soon(keeper.run)
                for _ in range(3):
                    await _is_renewed(free)
                assert not busy.is_given_back
            await _is_given_back(busy)
        nursery.cancel_scope.cancel()
