"""Everything at once on a few keys: whatever the order, the catalog's invariants hold.

What the transactions promise each other by their row locks (`Isolation.STATEMENT`) has no other
proof than that: many of them, of all kinds, on the same rows.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from mediaconvert.errors import BucketNotFound, Refusal
from mediaconvert.model import (
    BlobId,
    BucketRef,
    Conditions,
    ListQuery,
    NewObject,
    ObjectHeaders,
    Part,
    Segment,
    Upload,
    VersionId,
)
from tests.conformance.worlds import ANY, World, blob, lease, new_object, outcome

KEYS = ("a", "b", "c")
TASKS = 12
STEPS = 25


class Storm:
    """What the tasks do; each step is one or two calls of the catalog, refused or done."""

    def __init__(self, world: World, ref: BucketRef, pipeline: VersionId, seed: int) -> None:
        self.world = world
        self.catalog = world.catalog
        self.ref = ref
        self.pipeline = pipeline
        self.random = random.Random(seed)
        self.refusals: list[str] = []

    async def task(self) -> None:
        steps: tuple[Callable[[], Awaitable[object]], ...] = (
            self.put,
            self.put_with_job,
            self.put_if_new,
            self.copy,
            self.delete,
            self.multipart,
            self.work,
            self.work,
            self.cancel,
            self.rerun,
            self.sweep,
        )
        for _ in range(STEPS):
            try:
                await self.random.choice(steps)()
            except Refusal as refusal:
                self.refusals.append(type(refusal).__name__)

    def key(self) -> str:
        return self.random.choice(KEYS)

    async def put(self) -> None:
        await self.world.put(self.ref, self.key())

    async def put_with_job(self) -> None:
        await self.world.put(self.ref, self.key(), pipeline=self.pipeline)

    async def put_if_new(self) -> None:
        await self.world.put(self.ref, self.key(), conditions=Conditions(if_none_match=("*",)))

    async def copy(self) -> None:
        await self.catalog.objects.copy(
            self.ref, self.key(), ANY, self.ref, self.key(), None, ANY, None
        )

    async def delete(self) -> None:
        await self.catalog.objects.delete(
            self.ref, [(key, ANY) for key in (self.key(), self.key())]
        )

    async def multipart(self) -> None:
        key = self.key()
        uploads = self.catalog.uploads
        upload = await uploads.create(self.ref, key, ObjectHeaders("t"), None, None, None)
        async with trio.open_nursery() as nursery:
            for number in (1, 1, 2):
                part = Part(number, 5, "m", None, (Segment(blob(), 0, 5),), 0)
                nursery.start_soon(uploads.put_part, self.ref, key, upload.id, part)
        if self.random.random() < 0.3:
            await uploads.abort(self.ref, key, upload.id)
        else:
            await uploads.complete(self.ref, key, upload.id, partial(_assemble, key), ANY)

    async def work(self) -> None:
        """A worker: claims, sometimes loses its lease, finishes on one of the keys."""
        for job in await self.catalog.queue.claim("worker", 2, 15.0):
            if self.random.random() < 0.2:
                await self.catalog.queue.release(lease(job), "stopped")
            else:
                await self.catalog.queue.finish(lease(job), outcome(new_object(self.key())))

    async def cancel(self) -> None:
        page = await self.catalog.jobs.list(self.ref.user_id, None, 0, 5)
        for job in page.jobs:
            await self.catalog.jobs.cancel(self.ref.user_id, job.id)

    async def rerun(self) -> None:
        page = await self.catalog.jobs.list(self.ref.user_id, None, 0, 10)
        if page.jobs:
            job = self.random.choice(page.jobs)
            await self.catalog.jobs.rerun(self.ref.user_id, job.id, latest=False)

    async def sweep(self) -> None:
        await self.catalog.housekeeping.purge_detached(100)


def _assemble(key: str, upload: Upload, parts: object) -> NewObject:
    assert isinstance(parts, tuple | list)
    segments = tuple(segment for part in parts for segment in part.segments)
    return NewObject(key, sum(s.size for s in segments), "e", ObjectHeaders("t"), segments)


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_of_events_loses_a_blob_a_source_or_a_key(world: World, seed: int) -> None:
    ref = await world.owner()
    storm = Storm(world, ref, await world.pipeline(ref.user_id), seed)
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(storm.task)
    assert set(storm.refusals) <= {
        "ObjectNotFound",
        "PreconditionFailed",
        "JobAlreadyEnded",
        "SourceGone",
    }
    await _everything_ends(world)
    used = await _used_blobs(world, ref)
    # What is visible is never handed out as garbage, and nothing else is kept for ever.
    assert not used & await world.garbage()
    named = {BlobId(row) for row in await _all_blobs(world)}
    assert named <= used


async def _everything_ends(world: World) -> None:
    """Every job that waits still has its source, and can be finished."""
    while jobs := await world.catalog.queue.claim("last", 10, 15.0):
        for job in jobs:
            assert job.source.segments
            assert await world.catalog.queue.finish(lease(job), outcome())
    gauges = await world.catalog.housekeeping.gauges()
    assert (gauges.jobs_pending, gauges.jobs_processing) == (0, 0)
    await world.catalog.housekeeping.purge_detached(1000)


async def _used_blobs(world: World, ref: BucketRef) -> set[BlobId]:
    page = await world.catalog.objects.list(ref, ListQuery(limit=100))
    assert len({item.key for item in page.objects}) == len(page.objects) <= len(KEYS)
    stored = [await world.catalog.objects.get(ref, item.key) for item in page.objects]
    return {segment.blob_id for each in stored for segment in each.segments}


async def _all_blobs(world: World) -> tuple[str, ...]:
    return tuple(
        world.execute("select blob_id from object_segments union select blob_id from part_segments")
    )


async def test_a_bucket_is_deleted_empty_or_not_at_all(world: World) -> None:
    user_id = await world.user()
    for number in range(15):
        ref = await world.bucket(user_id, f"bucket-{number}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_attempt, partial(world.put, ref, "key"))
            nursery.start_soon(_attempt, partial(world.catalog.buckets.delete, ref))
            nursery.start_soon(_attempt, partial(world.put, ref, "other"))
        try:
            page = await world.catalog.objects.list(ref, ListQuery(limit=10))
        except BucketNotFound:
            pass
        else:
            assert page.objects
    homeless = "select o.id from objects o where o.is_current = 1 and o.bucket_id not in"
    assert world.execute(f"{homeless} (select id from buckets)") == []


async def _attempt(call: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(Refusal):
        await call()
