"""ports.catalog.Queue with several janitors and workers at once: a lease has one end."""

from __future__ import annotations

import trio

from mediaconvert.model import ClaimedJob, JobId, LeaseState, TriggeredBy
from tests.conformance.worlds import World, lease

JOBS = 24
JANITORS = 5


async def _expired(world: World) -> tuple[ClaimedJob, ...]:
    """Running jobs of one worker, whose leases have all run out."""
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(JOBS):
        await world.submit(ref, pipeline, f"{number}")
    claimed = await world.catalog.queue.claim("worker", JOBS, -1)
    assert len(claimed) == JOBS
    return claimed


async def _recover(world: World, taken: list[JobId]) -> None:
    taken += await world.catalog.queue.recover(
        all_running=False, by=TriggeredBy.SYSTEM, message="Lost."
    )


async def test_whether_a_lease_has_run_out_is_told_without_taking_it(world: World) -> None:
    assert not await world.catalog.queue.any_expired()
    await _expired(world)
    assert await world.catalog.queue.any_expired()
    taken: list[JobId] = []
    await _recover(world, taken)
    assert len(taken) == JOBS
    assert not await world.catalog.queue.any_expired()


async def test_janitors_at_once_take_each_job_back_once(world: World) -> None:
    jobs = await _expired(world)
    taken: list[JobId] = []
    async with trio.open_nursery() as nursery:
        for _ in range(JANITORS):
            nursery.start_soon(_recover, world, taken)
    await _recover(world, taken)
    assert sorted(taken) == sorted(job.id for job in jobs)
    again = await world.catalog.queue.claim("worker", JOBS, 15)
    assert {job.attempt for job in again} == {2}
    assert set(world.execute("select worker_deaths from jobs")) == {"1"}
    assert len(again) == JOBS


async def test_a_job_is_renewed_or_taken_back_and_never_both(world: World) -> None:
    jobs = await _expired(world)
    taken: list[JobId] = []
    states: dict[JobId, LeaseState] = {}

    async def renew(job: ClaimedJob) -> None:
        states.update(await world.catalog.queue.renew("worker", [lease(job)], 60))

    async with trio.open_nursery() as nursery:
        for number, job in enumerate(jobs):
            nursery.start_soon(renew, job)
            if number % 6 == 0:
                nursery.start_soon(_recover, world, taken)
    await _recover(world, taken)
    held = {job_id for job_id, state in states.items() if state is LeaseState.HELD}
    assert held | set(taken) == {job.id for job in jobs}
    assert not held & set(taken)
    assert len(taken) == len(set(taken))
