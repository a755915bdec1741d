"""ports.catalog.Outbox: one batch at a time, the same one until it is acknowledged."""

from __future__ import annotations

import json

import trio

from mediaconvert.model import EventBatch, OutboxEvent
from tests.conformance.worlds import World

MINUTE = 60.0


async def _tell(world: World, count: int) -> None:
    """So many events wait."""
    for number in range(count):
        payload = json.dumps({"number": number})
        world.execute(f"insert into outbox (kind, payload) values ('job_metrics', '{payload}')")


def _numbers(batch: EventBatch | None) -> list[object]:
    assert batch is not None
    return [event.payload["number"] for event in batch.events]


async def test_a_batch_holds_the_oldest_events_in_order(world: World) -> None:
    await _tell(world, 5)
    batch = await world.catalog.outbox.open_batch("a", 3, MINUTE)
    assert _numbers(batch) == [0, 1, 2]
    assert batch is not None and isinstance(batch.events[0], OutboxEvent)
    assert [event.id for event in batch.events] == sorted(event.id for event in batch.events)


async def test_no_batch_is_opened_when_nothing_waits(world: World) -> None:
    assert await world.catalog.outbox.open_batch("a", 3, MINUTE) is None
    await world.catalog.outbox.acknowledge("no such token")


async def test_a_batch_is_one_flushers_until_its_lease_runs_out(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 2)
    assert await outbox.open_batch("a", 10, MINUTE) is not None
    await _tell(world, 1)
    assert await outbox.open_batch("b", 10, MINUTE) is None


async def test_its_holder_gets_it_again_unchanged(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 2)
    first = await outbox.open_batch("a", 10, MINUTE)
    await _tell(world, 3)
    assert await outbox.open_batch("a", 1, MINUTE) == first


async def test_a_batch_whose_flusher_is_gone_is_taken_over_unchanged(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 2)
    first = await outbox.open_batch("a", 10, 0.0)
    await _tell(world, 3)
    assert await outbox.open_batch("b", 10, MINUTE) == first
    # It is b's now, and a's late word is as good as b's own: the store has the batch.
    assert await outbox.open_batch("a", 10, MINUTE) is None
    assert first is not None
    await outbox.acknowledge(first.token)
    assert _numbers(await outbox.open_batch("a", 10, MINUTE)) == [0, 1, 2]


async def test_an_acknowledged_batch_is_forgotten_with_its_events_alone(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 5)
    first = await outbox.open_batch("a", 3, MINUTE)
    assert first is not None
    await outbox.acknowledge("another token")
    assert await outbox.open_batch("a", 3, MINUTE) == first
    for _ in range(2):
        await outbox.acknowledge(first.token)
    second = await outbox.open_batch("b", 3, MINUTE)
    assert _numbers(second) == [3, 4]
    assert second is not None and second.token != first.token


async def test_events_that_become_visible_later_are_in_a_later_batch(world: World) -> None:
    """Ids are given before a commit: one that is lower may become visible last."""
    outbox = world.catalog.outbox
    world.execute("""insert into outbox (id, kind, payload) values (7, 'k', '{"number": 7}')""")
    first = await outbox.open_batch("a", 10, MINUTE)
    assert first is not None
    world.execute("""insert into outbox (id, kind, payload) values (5, 'k', '{"number": 5}')""")
    assert _numbers(await outbox.open_batch("a", 10, MINUTE)) == [7]
    await outbox.acknowledge(first.token)
    assert _numbers(await outbox.open_batch("a", 10, MINUTE)) == [5]


async def test_of_many_flushers_at_once_one_gets_the_batch(world: World) -> None:
    await _tell(world, 4)
    opened: list[EventBatch] = []

    async def flush(holder: str) -> None:
        batch = await world.catalog.outbox.open_batch(holder, 2, MINUTE)
        if batch is not None:
            opened.append(batch)

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(flush, f"flusher {number}")
    assert [_numbers(batch) for batch in opened] == [[0, 1]]


async def test_many_flushers_send_every_event_once(world: World) -> None:
    await _tell(world, 60)
    sent: list[object] = []

    async def flush(holder: str) -> None:
        for _ in range(20):
            batch = await world.catalog.outbox.open_batch(holder, 4, MINUTE)
            if batch is not None:
                sent.extend(_numbers(batch))
                await world.catalog.outbox.acknowledge(batch.token)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(flush, f"flusher {number}")
    while batch := await world.catalog.outbox.open_batch("last", 4, MINUTE):
        sent.extend(_numbers(batch))
        await world.catalog.outbox.acknowledge(batch.token)
    assert sent == list(range(60))


async def test_ids_of_events_are_never_used_twice(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    await world.submit(ref, pipeline)
    told = await world.told()
    await world.submit(ref, pipeline)
    assert min(event.id for event in await world.told()) > max(event.id for event in told)


async def test_trimming_drops_the_oldest_beyond_what_is_kept(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 10)
    assert await outbox.trim(10) == 0
    assert await outbox.trim(7) == 3
    assert await outbox.trim(7) == 0
    assert _numbers(await outbox.open_batch("a", 100, MINUTE)) == list(range(3, 10))


async def test_many_more_are_counted_and_dropped_than_fit_one_transaction(world: World) -> None:
    await _tell(world, 1)
    for _ in range(15):
        world.execute("insert into outbox (kind, payload) select kind, payload from outbox")
    outbox = world.catalog.outbox
    for keep, dropped in ((32_768, 0), (32_766, 2), (10_000, 22_766)):
        assert await outbox.trim(keep) == dropped
        assert await outbox.trim(keep) == 0


async def test_unused_ids_are_not_taken_for_waiting_events(world: World) -> None:
    await _tell(world, 2)
    world.execute("""insert into outbox (id, kind, payload) values (9999, 'k', '{"number": 2}')""")
    assert await world.catalog.outbox.trim(3) == 0
    assert await world.catalog.outbox.trim(2) == 1
    assert _numbers(await world.catalog.outbox.open_batch("a", 100, MINUTE)) == [1, 2]


async def test_trimming_leaves_the_batch_that_is_under_way(world: World) -> None:
    outbox = world.catalog.outbox
    await _tell(world, 10)
    batch = await outbox.open_batch("a", 4, MINUTE)
    assert await outbox.trim(2) == 4
    assert await outbox.open_batch("a", 4, MINUTE) == batch
    assert batch is not None
    await outbox.acknowledge(batch.token)
    assert _numbers(await outbox.open_batch("a", 100, MINUTE)) == [8, 9]
