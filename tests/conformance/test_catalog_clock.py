"""ports.catalog.Housekeeping.watch_clock: a clock that was set back while nobody looked.

Steps under a running process are tried on real clocks, in tests/recovery and tests/cluster.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import trio

from mediaconvert.backends.sql.housekeeping import SqlHousekeeping
from mediaconvert.model import JobStatus, TriggeredBy
from tests.conformance.worlds import World, lease, outcome

HOUR_US = 3_600_000_000
YEAR_US = 365 * 24 * HOUR_US
SLACK_US = 60_000_000


def _live_an_hour_ahead(world: World) -> None:
    """All that is there was written by a clock that has since been set back by an hour."""
    world.execute(
        f"update jobs set created_at = created_at + {HOUR_US},"
        f" available_at = available_at + {HOUR_US}"
    )
    world.execute(f"update job_history set created_at = created_at + {HOUR_US}")


async def _offset_us(world: World) -> int:
    return int((await world.catalog.housekeeping.find_meta("clock_offset")) or 0)


async def test_a_clock_that_goes_as_expected_changes_nothing(world: World) -> None:
    house = world.catalog.housekeeping
    for _ in range(3):
        assert await house.watch_clock() == 0.0
    assert await _offset_us(world) == 0


async def test_jobs_of_before_a_step_back_start_at_once_and_their_dates_stay_in_order(
    world: World,
) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    assert len(await world.told()) == 2
    _live_an_hour_ahead(world)
    # Nothing but the newest job shows it: the clock was seen last before that was made.
    assert await world.catalog.queue.claim("worker", 1, 15.0) == ()
    step = await world.catalog.housekeeping.watch_clock()
    assert -3601 < step < -3599
    assert await world.catalog.housekeeping.watch_clock() == 0.0
    job = await world.claim()
    assert job.id == job_id
    assert 0 <= job.started_at_us - job.created_at_us < SLACK_US
    assert await world.catalog.queue.finish(lease(job), outcome())
    ended = await world.catalog.jobs.get(ref.user_id, job_id)
    assert ended.status is JobStatus.COMPLETED
    assert ended.started_at_us is not None and ended.finished_at_us is not None
    assert 0 <= ended.finished_at_us - ended.started_at_us < SLACK_US
    history = await world.catalog.jobs.history(ref.user_id, job_id)
    times = [row.created_at_us for row in history]
    assert times == sorted(times) and times[-1] - times[0] < SLACK_US
    told = [e.payload["created_at"] for e in await world.told() if "to_status" in e.payload]
    assert told == times[1:]


async def test_new_jobs_have_the_walls_date_and_are_due_at_once(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    old = await world.submit(ref, pipeline, "old.mp4")
    _live_an_hour_ahead(world)
    await world.catalog.housekeeping.watch_clock()
    new = await world.submit(ref, pipeline, "new.mp4")
    dates = [(await world.catalog.jobs.get(ref.user_id, each)).created_at_us for each in (old, new)]
    assert HOUR_US - SLACK_US < dates[0] - dates[1] < HOUR_US
    # By steady time the old one has waited for longer.
    claimed = await world.catalog.queue.claim("worker", 2, 15.0)
    assert [job.id for job in claimed] == [old, new]
    assert all(0 <= job.started_at_us - job.created_at_us < SLACK_US for job in claimed)
    assert await world.catalog.queue.recover(
        all_running=True, by=TriggeredBy.SYSTEM, message="Restart."
    ) == (old, new)
    again = await world.catalog.queue.claim("worker", 2, 15.0)
    assert [job.id for job in again] == [old, new]


async def test_the_clock_as_it_was_last_seen_is_enough(world: World) -> None:
    house = world.catalog.housekeeping
    ahead = time.time_ns() // 1000 + YEAR_US
    await house.set_meta("clock_seen", str(ahead))
    assert await house.watch_clock() < 0
    seen = int((await house.find_meta("clock_seen")) or 0)
    assert abs(seen - ahead) < SLACK_US
    # Ages go on from there: nothing is taken for younger or older than it is.
    await house.condemn([], 0)
    assert await house.take_turn("orphans", 3600)
    assert not await house.take_turn("orphans", 3600)


async def test_of_processes_that_see_a_step_at_once_one_writes_it_down(world: World) -> None:
    steps: list[float] = []
    ahead = time.time_ns() // 1000 + YEAR_US
    await world.catalog.housekeeping.set_meta("clock_seen", str(ahead))

    async def watch() -> None:
        steps.append(await world.catalog.housekeeping.watch_clock())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(watch)
    assert len([step for step in steps if step]) == 1


async def test_a_step_that_another_process_wrote_down_is_taken_over_and_not_undone(
    world: World,
) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    await world.catalog.housekeeping.watch_clock()
    for offset in (-HOUR_US, HOUR_US):
        world.execute(f"update meta set value = '{offset}' where name = 'clock_offset'")
        # The first that asks for the time finds out, and does what it was asked for.
        job_id = await world.submit(ref, pipeline, f"{offset}")
        job = await world.claim()
        assert job.id == job_id
        assert 0 <= job.started_at_us - job.created_at_us < SLACK_US
        assert await world.catalog.queue.finish(lease(job), outcome())
        assert await world.catalog.housekeeping.watch_clock() == 0.0
        assert await _offset_us(world) == offset


async def test_the_time_that_was_last_seen_is_kept_up_to_date(world: World) -> None:
    house = world.catalog.housekeeping
    await house.watch_clock()
    seen = await house.find_meta("clock_seen")
    assert seen is not None
    await house.watch_clock()
    assert await house.find_meta("clock_seen") == seen, "nothing is written at each look"
    world.execute(f"update meta set value = '{int(seen) - HOUR_US}' where name = 'clock_seen'")
    await house.watch_clock()
    assert int(await house.find_meta("clock_seen") or 0) >= int(seen)


async def test_a_pause_of_this_machine_is_not_written_down_as_a_step(world: World) -> None:
    house = world.catalog.housekeeping
    assert isinstance(house, SqlHousekeeping)
    await house.watch_clock()
    clock = house._driver.clock
    known = clock._known
    assert known is not None
    # As if the boot clock had stood still for the last hour.
    clock._known = replace(
        known, sent_us=known.sent_us + HOUR_US, received_us=known.received_us + HOUR_US
    )
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    assert (await world.claim()).id == job_id
    assert await house.watch_clock() == 0.0
    assert await _offset_us(world) == 0


DAMAGE = (
    "update meta set value = '9790000000000000' where name = 'clock_seen'",
    "update meta set value = '-9790000000000000' where name = 'clock_seen'",
    f"update job_history set created_at = created_at + {HOUR_US}",
    f"update job_history set created_at = created_at + {20 * YEAR_US}",
    f"update jobs set clock_offset = -{HOUR_US}",
    f"update jobs set clock_offset = -{20 * YEAR_US}",
)


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_time_in_the_catalog_is_no_step(world: World, damage: str) -> None:
    house = world.catalog.housekeeping
    assert isinstance(house, SqlHousekeeping)
    await house.watch_clock()
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id))
    world.execute(damage)
    # As after a restart.
    house._driver.clock._known = None
    assert await house.watch_clock() == 0.0
    await house.watch_clock()
    assert await _offset_us(world) == 0
    seen = int(await house.find_meta("clock_seen") or 0)
    assert abs(seen - time.time_ns() // 1000) < SLACK_US


async def test_a_quarantined_job_has_its_own_dates_and_moves_no_clock(world: World) -> None:
    house = world.catalog.housekeeping
    assert isinstance(house, SqlHousekeeping)
    await house.watch_clock()
    world.execute(f"update meta set value = '{-HOUR_US}' where name = 'clock_offset'")
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    world.execute(f"update meta set value = '{HOUR_US}' where name = 'clock_offset'")
    world.execute("update jobs set bucket_name = '', source_size = -1, available_at = 0")
    assert await world.catalog.queue.claim("worker", 1, 15.0) == ()
    (ended,) = world.execute("select finished_at - created_at from jobs")
    (noted,) = world.execute(
        f"select max(created_at) - min(created_at) from job_history where job_id = {job_id}"
    )
    # Steady time went back by two hours between the two.
    for passed in (ended, noted):
        assert abs(abs(int(passed)) - 2 * HOUR_US) < SLACK_US
    world.execute("delete from meta where name = 'clock_seen'")
    world.execute("update job_history set created_at = created_at + 7200000000000")
    house._driver.clock._known = None
    assert await house.watch_clock() == 0.0
