"""ports.catalog.Housekeeping: garbage, gauges, meta; and what the outbox is told."""

from __future__ import annotations

import trio

from mediaconvert import events
from mediaconvert.model import FailureKind, JobFailure, TriggeredBy
from tests.conformance.worlds import World, blob, lease, new_object, outcome


async def test_garbage_waits_oldest_first_until_it_is_forgotten(world: World) -> None:
    ref = await world.owner()
    blobs = [blob() for _ in range(4)]
    for name in blobs:
        await world.put(ref, "film.mp4", name)
    housekeeping = world.catalog.housekeeping
    assert await housekeeping.garbage(2) == tuple(blobs[:2])
    await housekeeping.forget_garbage(blobs[:2])
    assert await housekeeping.garbage(10) == (blobs[2],)
    await housekeeping.forget_garbage([])


async def test_a_blob_used_twice_by_one_object_is_garbage_once(world: World) -> None:
    ref = await world.owner()
    twice = blob()
    await world.put(ref, "film.mp4", twice, twice)
    await world.delete(ref, "film.mp4")
    assert await world.catalog.housekeeping.garbage(10) == (twice,)


async def test_unknown_are_blobs_that_no_row_names(world: World) -> None:
    ref = await world.owner()
    used, garbage, unknown = blob(), blob(), blob()
    await world.put(ref, "used", used)
    await world.put(ref, "gone", garbage)
    await world.delete(ref, "gone")
    housekeeping = world.catalog.housekeeping
    assert await housekeeping.unknown_blobs([used, unknown, garbage]) == (unknown,)
    assert await housekeeping.unknown_blobs([]) == ()
    assert [await housekeeping.is_referenced(name) for name in (used, garbage, unknown)] == [
        True,
        False,
        False,
    ]


async def test_what_is_condemned_is_known_at_once_and_garbage_when_it_is_due(
    world: World,
) -> None:
    housekeeping = world.catalog.housekeeping
    late, soon = blob(), blob()
    await housekeeping.condemn([late], 3600)
    await housekeeping.condemn([soon, late], -1)
    await housekeeping.condemn([], 0)
    assert await housekeeping.unknown_blobs([late, soon]) == ()
    assert await housekeeping.garbage(10) == (soon,)
    assert await housekeeping.garbage(10, older_than_seconds=60) == ()
    # An hour later, as far as the row can tell.
    world.execute("update garbage set created_at = created_at - 3601000000")
    assert set(await housekeeping.garbage(10)) == {soon, late}


async def test_what_is_condemned_and_then_used_is_never_handed_out(world: World) -> None:
    housekeeping = world.catalog.housekeeping
    used, unused = blob(), blob()
    await housekeeping.condemn([used, unused], -1)
    await world.put(await world.owner(), "film.mp4", used)
    assert await housekeeping.garbage(10) == (unused,)


async def test_garbage_that_is_due_is_found_behind_any_amount_that_is_not(world: World) -> None:
    housekeeping = world.catalog.housekeeping
    await housekeeping.condemn([blob() for _ in range(1000)], 3600)
    due = [blob() for _ in range(3)]
    for seconds, name in zip((-1000, -3000, -2000), due, strict=True):
        await housekeeping.condemn([name], seconds)
    assert await housekeeping.garbage(10) == (due[1], due[2], due[0])


async def test_of_many_that_ask_at_once_one_has_the_turn(world: World) -> None:
    turns: list[bool] = []

    async def ask() -> None:
        turns.append(await world.catalog.housekeeping.take_turn("orphans", 3600))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(ask)
    assert sorted(turns) == [False] * 7 + [True]


async def test_a_turn_comes_again_when_its_time_is_over(world: World) -> None:
    take_turn = world.catalog.housekeeping.take_turn
    assert await take_turn("orphans", 3600)
    assert await take_turn("uploads", 3600)
    assert not await take_turn("orphans", 3600)
    an_hour_back = "update meta set value = cast(cast(value as bigint) - 3601000000 as text) "
    world.execute(f"{an_hour_back} where name = 'turn_orphans'")
    assert await take_turn("orphans", 3600)
    assert not await take_turn("orphans", 3600)


async def test_a_clock_that_was_set_back_takes_nobodys_turn_away(world: World) -> None:
    take_turn = world.catalog.housekeeping.take_turn
    assert await take_turn("orphans", 3600)
    ahead = "update meta set value = cast(cast(value as bigint) + 7200000000 as text) "
    world.execute(f"{ahead} where name = 'turn_orphans'")
    assert await take_turn("orphans", 3600)


async def test_purging_takes_what_no_unended_job_reads(world: World) -> None:
    ref = await world.owner()
    read, unread = blob(), blob()
    await world.put(ref, "read", read, pipeline=await world.pipeline(ref.user_id))
    await world.put(ref, "unread", unread)
    # As a crash of another version of this program might have left them.
    world.execute("update objects set is_current = 0, detached_at = 1")
    assert await world.catalog.housekeeping.purge_detached(10) == 1
    assert await world.garbage() == {unread}


async def test_every_transition_makes_its_events(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    steps = (
        {"id": "a", "operation": "transcode", "status": "completed", "duration_ms": 5},
        {"id": "b", "operation": "resize", "status": "completed"},
    )
    job = await world.claim()
    done = outcome(new_object("results/a"), steps=steps)
    await world.catalog.queue.finish(lease(job), done)
    told = await world.told()
    assert [event.kind for event in told] == [
        *([events.STATUS_HISTORY, events.JOB_METRICS] * 3),
        *([events.PIPELINE_EXECUTION] * 2),
    ]
    assert [event.id for event in told] == sorted({event.id for event in told})
    last = told[5].payload
    assert (last["job_id"], last["status"], last["output_bytes"]) == (job_id, "completed", 10)
    assert (last["pipeline_name"], last["content_type"]) == ("small", "video/mp4")
    assert isinstance(last["processing_ms"], int)
    assert told[2].payload["from_status"] == "pending"
    assert [event.payload["operation"] for event in told[6:]] == ["transcode", "resize"]


async def test_a_failed_jobs_steps_are_told_too_and_a_retrys_are_not(world: World) -> None:
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id))
    failure = JobFailure(
        FailureKind.CRASH, "tool_crashed", "died", (), ({"id": "a", "status": "failed"},)
    )
    await world.catalog.queue.fail(lease(await world.claim()), failure, 0)
    await world.catalog.queue.fail(lease(await world.claim()), failure, None)
    told = await world.told()
    steps = [event for event in told if event.kind == events.PIPELINE_EXECUTION]
    assert [step.payload["success"] for step in steps] == [False]


async def test_gauges_count_what_waits(world: World) -> None:
    empty = await world.catalog.housekeeping.gauges()
    assert (empty.jobs_pending, empty.outbox_events, empty.garbage_blobs) == (0, 0, 0)
    assert empty.oldest_pending_seconds == 0
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(3):
        await world.submit(ref, pipeline, f"{number}")
    await world.claim()
    await world.put(ref, "x")
    await world.delete(ref, "x")
    world.execute("update jobs set available_at = available_at - 30000000")
    gauges = await world.catalog.housekeeping.gauges()
    assert (gauges.jobs_pending, gauges.jobs_processing) == (2, 1)
    assert gauges.oldest_pending_seconds >= 30
    assert (gauges.outbox_events, gauges.garbage_blobs) == (8, 1)


async def test_meta_keeps_the_first_value(world: World) -> None:
    meta = world.catalog.housekeeping.meta
    find_meta = world.catalog.housekeeping.find_meta
    assert await find_meta("master_key_check") is None
    assert await meta("master_key_check", "first") == "first"
    assert await find_meta("master_key_check") == "first"
    assert await meta("master_key_check", "second") == "first"
    assert await meta("other", "second") == "second"


async def test_check_passes_on_a_catalog_that_can_be_written(world: World) -> None:
    for _ in range(2):
        await world.catalog.housekeeping.check()


async def test_recovery_tells_the_analytics(world: World) -> None:
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id))
    await world.claim()
    await world.catalog.queue.recover(
        all_running=True, by=TriggeredBy.SYSTEM, message="The service was restarted."
    )
    told = await world.told()
    assert told[-2].payload["message"] == "The service was restarted."
    assert told[-1].payload["status"] == "pending"


async def test_the_blob_that_nodes_recognise_their_store_by_is_no_orphan(world: World) -> None:
    marker, orphan = blob(), blob()
    await world.catalog.housekeeping.meta("blob_store_marker", marker)
    assert await world.catalog.housekeeping.unknown_blobs([marker, orphan]) == (orphan,)
