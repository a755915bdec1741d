"""ports.catalog.Buckets."""

from __future__ import annotations

import pytest

from mediaconvert.errors import (
    BucketAlreadyOwned,
    BucketForbidden,
    BucketNotEmpty,
    BucketNotFound,
    BucketTaken,
    TooManyBuckets,
)
from mediaconvert.model import BucketRef, JobStatus, ObjectHeaders
from tests.conformance.worlds import World


async def test_a_bucket_is_there_for_its_owner_and_forbidden_to_others(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    made = await world.catalog.buckets.create(BucketRef(ann, "films"), "eu-1", limit=1)
    assert (made.name, made.owner_id, made.region) == ("films", ann, "eu-1")
    assert await world.catalog.buckets.get(BucketRef(ann, "films")) == made
    with pytest.raises(BucketForbidden):
        await world.catalog.buckets.get(BucketRef(bob, "films"))
    with pytest.raises(BucketNotFound):
        await world.catalog.buckets.get(BucketRef(ann, "none"))


async def test_names_are_global(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await world.bucket(ann, "films")
    assert await world.catalog.buckets.exists("films")
    assert not await world.catalog.buckets.exists("Films")
    with pytest.raises(BucketAlreadyOwned):
        await world.bucket(ann, "films")
    with pytest.raises(BucketTaken):
        await world.bucket(bob, "films")


async def test_the_limit_of_a_user_leaves_no_bucket_behind(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await world.catalog.buckets.create(BucketRef(ann, "one"), "", limit=1)
    with pytest.raises(TooManyBuckets):
        await world.catalog.buckets.create(BucketRef(ann, "two"), "", limit=1)
    assert not await world.catalog.buckets.exists("two")
    await world.catalog.buckets.create(BucketRef(bob, "two"), "", limit=1)


async def test_buckets_are_listed_by_name_and_only_the_owners(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    for name in ("b.b", "b-b", "a"):
        await world.bucket(ann, name)
    await world.bucket(bob, "c")
    assert [each.name for each in await world.catalog.buckets.list(ann)] == ["a", "b-b", "b.b"]


async def test_only_an_empty_bucket_of_ones_own_is_deleted(world: World) -> None:
    ref = await world.owner("ann")
    bob = await world.user("bob")
    await world.put(ref, "film.mp4")
    with pytest.raises(BucketNotEmpty):
        await world.catalog.buckets.delete(ref)
    await world.delete(ref, "film.mp4")
    with pytest.raises(BucketForbidden):
        await world.catalog.buckets.delete(BucketRef(bob, ref.name))
    await world.catalog.buckets.delete(ref)
    with pytest.raises(BucketNotFound):
        await world.catalog.buckets.delete(ref)


async def test_a_bucket_with_an_upload_under_way_is_not_empty(world: World) -> None:
    ref = await world.owner()
    uploads = world.catalog.uploads
    upload = await uploads.create(ref, "big", ObjectHeaders(), None, None, None)
    with pytest.raises(BucketNotEmpty):
        await world.catalog.buckets.delete(ref)
    await uploads.abort(ref, "big", upload.id)
    await world.catalog.buckets.delete(ref)


async def test_jobs_and_their_history_outlive_their_bucket(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    await world.delete(ref, "film.mp4")
    await world.catalog.buckets.delete(ref)
    job = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (job.status, job.bucket_name, job.source_key) == (
        JobStatus.PENDING,
        ref.name,
        "film.mp4",
    )
    assert len(await world.catalog.jobs.history(ref.user_id, job_id)) == 1


async def test_a_bucket_made_again_is_another_one(world: World) -> None:
    ref = await world.owner()
    before = await world.catalog.buckets.get(ref)
    await world.catalog.buckets.delete(ref)
    after = await world.catalog.buckets.create(ref, "us-east-1", limit=1)
    assert after.id != before.id
