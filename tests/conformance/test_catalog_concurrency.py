"""What the catalog promises when much happens at once, or is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import trio

from mediaconvert.errors import (
    BucketTaken,
    ObjectNotFound,
    PreconditionFailed,
    TooManyCredentials,
    Unavailable,
    UserExists,
)
from mediaconvert.model import BucketRef, Conditions, JobId, ListQuery, UserId
from tests.conformance.worlds import PATIENCE_SECONDS, World, lease, new_object, outcome

CREATE = Conditions(if_none_match=("*",))
T = TypeVar("T")


async def _until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Where all want the same at once, some may be told to come again, with nothing changed."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            with suppress(Unavailable):
                return await ask()


async def test_of_forty_conditional_creates_of_one_key_exactly_one_wins(world: World) -> None:
    ref = await world.owner()
    won: list[str] = []
    lost: list[str] = []

    async def create(etag: str) -> None:
        try:
            await world.put(ref, "film.mp4", etag=etag, conditions=CREATE)
            won.append(etag)
        except PreconditionFailed:
            lost.append(etag)

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(create, f"e{number}")
    assert (len(won), len(lost)) == (1, 39)
    assert (await world.catalog.objects.get(ref, "film.mp4")).etag == won[0]


async def test_of_many_compare_and_swaps_none_is_lost(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "counter", etag="0")

    async def add_one() -> None:
        while True:
            current = (await world.catalog.objects.get(ref, "counter")).etag
            try:
                await world.put(
                    ref,
                    "counter",
                    etag=str(int(current) + 1),
                    conditions=Conditions(if_match=(current,)),
                )
            except PreconditionFailed:
                continue
            return

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(add_one)
    assert (await world.catalog.objects.get(ref, "counter")).etag == "12"


async def test_a_name_goes_to_one_of_those_who_ask_at_once(world: World) -> None:
    users = [await world.user(f"user{number}") for number in range(10)]
    owners: list[UserId] = []

    async def ask(user_id: UserId) -> None:
        try:
            ref = BucketRef(user_id, "films")
            await _until_answered(partial(world.catalog.buckets.create, ref, "", limit=5))
            owners.append(user_id)
        except BucketTaken:
            pass

    async with trio.open_nursery() as nursery:
        for user_id in users:
            nursery.start_soon(ask, user_id)
    assert len(owners) == 1
    assert (await world.catalog.buckets.get(BucketRef(owners[0], "films"))).owner_id == owners[0]


async def test_a_limit_holds_when_many_ask_at_once(world: World) -> None:
    user_id = await world.user()
    refused: list[str] = []

    async def ask(name: str) -> None:
        create = partial(world.catalog.credentials.create, existing=False, limit=5, region="")
        try:
            await _until_answered(partial(create, user_id, name, b"", name))
        except TooManyCredentials:
            refused.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, f"bucket-{number}")
    assert len(refused) == 15
    assert len(await world.catalog.credentials.list(user_id)) == 5
    assert len(await world.catalog.buckets.list(user_id)) == 5


async def test_an_address_registers_once(world: World) -> None:
    refused: list[int] = []

    async def ask(number: int) -> None:
        try:
            register = world.catalog.users.register
            await _until_answered(partial(register, "ann@example.org", str(number)))
        except UserExists:
            refused.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, number)
    assert len(refused) == 9


async def test_workers_that_claim_at_once_never_share_a_job(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    submitted = {await world.submit(ref, pipeline, f"{number}") for number in range(40)}
    claimed: list[JobId] = []

    async def work(name: str) -> None:
        while jobs := await world.catalog.queue.claim(name, 3, 15):
            claimed.extend(job.id for job in jobs)
            for job in jobs:
                await world.catalog.queue.finish(lease(job), outcome())

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(work, f"worker-{number}")
    assert len(claimed) == 40
    assert set(claimed) == submitted


async def test_a_cancel_that_races_the_commit_ends_in_one_whole_state(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(20):
        job_id = await world.submit(ref, pipeline, f"{number}")
        job = await world.claim()
        key = f"results/{number}"
        finished: list[bool] = []

        async def finish() -> None:
            finished.append(  # noqa: B023 - the nursery ends within the round
                await world.catalog.queue.finish(lease(job), outcome(new_object(key)))  # noqa: B023
            )

        async def cancel() -> None:
            await trio.lowlevel.checkpoint()
            await world.catalog.jobs.cancel(ref.user_id, job_id)  # noqa: B023

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(finish)
                nursery.start_soon(cancel)
        except* Exception:
            # The cancel came too late: the job had completed.
            assert finished == [True]
        status = (await world.catalog.jobs.get(ref.user_id, job_id)).status.value
        history = await world.catalog.jobs.history(ref.user_id, job_id)
        assert (status, len(history)) == ("completed" if finished[0] else "canceled", 3)
        assert await _exists(world, ref, key) == finished[0]


async def _exists(world: World, ref: BucketRef, key: str) -> bool:
    try:
        await world.catalog.objects.get(ref, key)
    except ObjectNotFound:
        return False
    return True


async def test_a_cancelled_write_happened_whole_or_not_at_all(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    answered: set[str] = set()

    async def put(key: str, patience: int) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, scope, patience)
                await world.put(ref, key, pipeline=pipeline)
                answered.add(key)
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(put, f"k{number:02}", number)
    page = await world.catalog.objects.list(ref, ListQuery())
    visible = {each.key for each in page.objects}
    jobs = await world.catalog.jobs.list(ref.user_id, None, 0, 100)
    assert answered <= visible
    assert {job.source_key for job in jobs.jobs} == visible
    assert jobs.total == len(visible)
    told = await world.told()
    assert len(told) == 2 * len(visible)
    # The catalog serves on.
    await world.put(ref, "after")


async def _cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_readers_see_whole_transactions_only(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "film.mp4", etag="0")
    done = trio.Event()

    async def overwrite() -> None:
        for number in range(60):
            await world.put(ref, "film.mp4", etag=str(number))
        done.set()

    async def read() -> None:
        while not done.is_set():
            stored = await world.catalog.objects.get(ref, "film.mp4")
            assert len(stored.segments) == 1
            page = await world.catalog.objects.list(ref, ListQuery())
            assert [each.key for each in page.objects] == ["film.mp4"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(overwrite)
        for _ in range(6):
            nursery.start_soon(read)
