"""ports.catalog.Uploads, but for listing uploads."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from mediaconvert.errors import (
    BucketForbidden,
    InvalidPartOrder,
    ObjectNotFound,
    PipelineNotFound,
    PreconditionFailed,
    UploadNotFound,
)
from mediaconvert.model import (
    BlobId,
    BucketRef,
    Checksum,
    Committed,
    Conditions,
    JobStatus,
    ListQuery,
    NewObject,
    ObjectHeaders,
    Part,
    PartInfo,
    Segment,
    Upload,
    VersionId,
)
from tests.conformance.worlds import ANY, World, blob, new_object

HEADERS = ObjectHeaders("video/mp4", user={"a": "b"})


def _part(number: int, *blobs: BlobId, size: int = 10) -> Part:
    segments = tuple(Segment(name, 0, size) for name in blobs)
    return Part(number, size * len(blobs), f"md5-{number}", None, segments)


def _assemble(upload: Upload, parts: Sequence[Part]) -> NewObject:
    return NewObject(
        key=upload.key,
        size=sum(part.size for part in parts),
        etag=f"all-{len(parts)}",
        headers=upload.headers,
        segments=tuple(segment for part in parts for segment in part.segments),
        parts=tuple(PartInfo(part.number, part.size) for part in parts),
    )


async def _begin(
    world: World, ref: BucketRef, key: str = "big.mp4", pipeline: VersionId | None = None
) -> str:
    return (await world.catalog.uploads.create(ref, key, HEADERS, pipeline, None, None)).id


async def _complete(
    world: World,
    ref: BucketRef,
    upload_id: str,
    conditions: Conditions = ANY,
    key: str = "big.mp4",
) -> Committed:
    return await world.catalog.uploads.complete(ref, key, upload_id, _assemble, conditions)


async def test_an_upload_keeps_what_it_was_begun_with(world: World) -> None:
    ref = await world.owner()
    made = await world.catalog.uploads.create(
        ref, "big.mp4", HEADERS, None, "CRC64NVME", "FULL_OBJECT"
    )
    assert (made.key, made.headers) == ("big.mp4", HEADERS)
    assert (made.checksum_algorithm, made.checksum_type) == ("CRC64NVME", "FULL_OBJECT")
    assert await world.catalog.uploads.get(ref, "big.mp4", made.id) == made


async def test_an_upload_is_reached_only_with_its_bucket_key_and_owner(world: World) -> None:
    ref = await world.owner("ann")
    other = await world.bucket(ref.user_id, "others")
    stranger = BucketRef(await world.user("bob"), ref.name)
    upload_id = await _begin(world, ref)
    uploads = world.catalog.uploads
    for wrong, key, number in ((other, "big.mp4", upload_id), (ref, "big", upload_id)):
        with pytest.raises(UploadNotFound):
            await uploads.get(wrong, key, number)
        with pytest.raises(UploadNotFound):
            await uploads.put_part(wrong, key, number, _part(1, blob()))
        with pytest.raises(UploadNotFound):
            await uploads.list_parts(wrong, key, number, 0, 10)
        with pytest.raises(UploadNotFound):
            await uploads.abort(wrong, key, number)
        with pytest.raises(UploadNotFound):
            await uploads.complete(wrong, key, number, _assemble, ANY)
    with pytest.raises(BucketForbidden):
        await uploads.abort(stranger, "big.mp4", upload_id)
    with pytest.raises(UploadNotFound):
        await uploads.get(ref, "big.mp4", "0" * 48)


async def test_parts_come_back_by_number_page_by_page(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    uploads = world.catalog.uploads
    checked = dataclasses.replace(_part(7, blob()), checksum=Checksum("SHA256", "AAA="))
    parts = {number: _part(number, blob(), blob()) for number in (2, 1, 10_000)} | {7: checked}
    for part in parts.values():
        await uploads.put_part(ref, "big.mp4", upload_id, part)
    first = await uploads.list_parts(ref, "big.mp4", upload_id, 0, 2)
    rest = await uploads.list_parts(ref, "big.mp4", upload_id, 2, 10)
    listed = [*first, *rest]
    assert [part.number for part in listed] == [1, 2, 7, 10_000]
    for part in listed:
        assert part.created_at_us > 0
        assert dataclasses.replace(part, created_at_us=0) == parts[part.number]


async def test_a_part_sent_again_replaces_the_first(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    old, new = blob(), blob()
    uploads = world.catalog.uploads
    await uploads.put_part(ref, "big.mp4", upload_id, _part(1, old))
    await uploads.put_part(ref, "big.mp4", upload_id, _part(1, new))
    (part,) = await uploads.list_parts(ref, "big.mp4", upload_id, 0, 10)
    assert part.segments[0].blob_id == new
    assert await world.garbage() == {old}


async def test_the_same_part_committed_twice_keeps_its_bytes(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    part = _part(1, blob())
    for _ in range(2):
        await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, part)
    assert await world.garbage() == set()
    assert await world.catalog.housekeeping.is_referenced(part.segments[0].blob_id)


async def test_completing_makes_one_object_of_the_parts(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    one, two = blob(), blob()
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(2, two))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, one))
    with pytest.raises(ObjectNotFound):
        await world.catalog.objects.get(ref, "big.mp4")
    committed = await _complete(world, ref, upload_id)
    stored = await world.catalog.objects.get(ref, "big.mp4")
    assert stored == committed.object
    assert [segment.blob_id for segment in stored.segments] == [one, two]
    assert (stored.size, stored.etag, stored.headers) == (20, "all-2", HEADERS)
    assert stored.parts == (PartInfo(1, 10), PartInfo(2, 10))
    assert await world.garbage() == set()
    with pytest.raises(UploadNotFound):
        await world.catalog.uploads.get(ref, "big.mp4", upload_id)


async def test_parts_that_the_object_leaves_out_are_garbage(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    used, unused = blob(), blob()
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, used))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(2, unused))
    await world.catalog.uploads.complete(
        ref, "big.mp4", upload_id, lambda upload, parts: _assemble(upload, parts[:1]), ANY
    )
    assert await world.garbage() == {unused}


async def test_what_assembling_refuses_changes_nothing(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, blob()))

    def refuse(upload: Upload, parts: Sequence[Part]) -> NewObject:
        raise InvalidPartOrder

    with pytest.raises(InvalidPartOrder):
        await world.catalog.uploads.complete(ref, "big.mp4", upload_id, refuse, ANY)
    assert len(await world.catalog.uploads.list_parts(ref, "big.mp4", upload_id, 0, 10)) == 1
    await _complete(world, ref, upload_id)


async def test_completing_obeys_conditions_and_can_be_tried_again(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "big.mp4", etag="e1")
    upload_id = await _begin(world, ref)
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, blob()))
    with pytest.raises(PreconditionFailed):
        await _complete(world, ref, upload_id, Conditions(if_none_match=("*",)))
    await _complete(world, ref, upload_id, Conditions(if_match=("e1",)))
    assert (await world.catalog.objects.get(ref, "big.mp4")).etag == "all-1"


async def test_an_upload_with_somebody_elses_pipeline_is_not_begun(world: World) -> None:
    ref = await world.owner("ann")
    foreign = await world.pipeline(await world.user("bob"))
    for version in (foreign, VersionId(99)):
        with pytest.raises(PipelineNotFound):
            await _begin(world, ref, pipeline=version)
    assert (await world.catalog.uploads.list(ref, ListQuery(), "")).uploads == ()


async def test_completing_starts_the_job_that_the_upload_was_begun_with(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref, pipeline=await world.pipeline(ref.user_id))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, blob()))
    assert await world.catalog.queue.next_due_seconds() is None
    committed = await _complete(world, ref, upload_id)
    assert committed.job_id is not None
    job = await world.catalog.jobs.get(ref.user_id, committed.job_id)
    assert (job.source_id, job.status) == (committed.object.id, JobStatus.PENDING)


async def test_a_repeated_completion_answers_the_same_for_a_week(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref, pipeline=await world.pipeline(ref.user_id))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, blob()))
    first = await _complete(world, ref, upload_id)
    assert await _complete(world, ref, upload_id) == first
    assert await world.catalog.uploads.complete(ref, "big.mp4", upload_id, _assemble, ANY) == first
    week_us = 7 * 24 * 3600 * 1_000_000
    world.execute(f"update uploads set completed_at = completed_at - {week_us}")
    with pytest.raises(UploadNotFound):
        await _complete(world, ref, upload_id)


@pytest.mark.parametrize("change", ["overwrite", "delete"])
async def test_a_repeated_completion_is_refused_once_the_object_is_another(
    world: World, change: str
) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, blob()))
    await _complete(world, ref, upload_id)
    if change == "overwrite":
        await world.put(ref, "big.mp4")
    else:
        await world.delete(ref, "big.mp4")
    with pytest.raises(UploadNotFound):
        await _complete(world, ref, upload_id)


async def test_aborting_gives_up_the_parts(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    one, two = blob(), blob()
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(1, one))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, _part(2, two))
    await world.catalog.uploads.abort(ref, "big.mp4", upload_id)
    assert await world.garbage() == {one, two}
    for again in (world.catalog.uploads.abort, world.catalog.uploads.get):
        with pytest.raises(UploadNotFound):
            await again(ref, "big.mp4", upload_id)


async def test_aborting_may_depend_on_the_time_of_initiation(world: World) -> None:
    ref = await world.owner()
    upload_id = await _begin(world, ref)
    uploads = world.catalog.uploads
    made_us = (await uploads.get(ref, "big.mp4", upload_id)).created_at_us
    with pytest.raises(PreconditionFailed) as failed:
        await uploads.abort(ref, "big.mp4", upload_id, made_us + 1)
    assert failed.value.condition == "x-amz-if-match-initiated-time"
    await uploads.get(ref, "big.mp4", upload_id)
    await uploads.abort(ref, "big.mp4", upload_id, made_us // 1_000_000 * 1_000_000)
    with pytest.raises(UploadNotFound):
        await uploads.get(ref, "big.mp4", upload_id)


async def test_a_part_copied_from_an_object_shares_its_bytes(world: World) -> None:
    ref = await world.owner()
    shared = blob()
    await world.put(ref, "source", shared)
    upload_id = await _begin(world, ref)
    copied = Part(1, 4, "md5", None, (Segment(shared, 3, 4),))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, copied)
    await world.delete(ref, "source")
    assert await world.garbage() == set()
    await world.catalog.uploads.abort(ref, "big.mp4", upload_id)
    assert await world.garbage() == {shared}


async def test_aborting_leaves_bytes_that_an_object_uses(world: World) -> None:
    ref = await world.owner()
    shared = blob()
    await world.put(ref, "source", shared)
    upload_id = await _begin(world, ref)
    copied = Part(1, 4, "md5", None, (Segment(shared, 3, 4),))
    await world.catalog.uploads.put_part(ref, "big.mp4", upload_id, copied)
    await world.catalog.uploads.abort(ref, "big.mp4", upload_id)
    assert await world.garbage() == set()


async def test_stale_uploads_expire_and_completed_ones_are_forgotten_after_a_week(
    world: World,
) -> None:
    ref = await world.owner()
    stale_blob = blob()
    stale = await _begin(world, ref)
    await world.catalog.uploads.put_part(ref, "big.mp4", stale, _part(1, stale_blob))
    completed = await _begin(world, ref, "done")
    an_age_later = "insert into meta (name, value) values ('clock_offset', '-100000000000000')"
    world.execute(an_age_later)
    await world.catalog.uploads.complete(
        ref, "done", completed, lambda upload, parts: new_object("done"), ANY
    )
    fresh = await _begin(world, ref)
    housekeeping = world.catalog.housekeeping
    assert await housekeeping.expire_uploads(3600, 0) == 0
    assert await housekeeping.expire_uploads(3600, 100) == 1
    assert await world.garbage() == {stale_blob}
    await world.catalog.uploads.get(ref, "big.mp4", fresh)
    await _complete(world, ref, completed, key="done")
    world.execute("update uploads set completed_at = completed_at - 100000000000000")
    assert await housekeeping.expire_uploads(3600, 100) == 0
    await world.delete(ref, "done")
    await world.catalog.uploads.abort(ref, "big.mp4", fresh)
    await world.catalog.buckets.delete(ref)
