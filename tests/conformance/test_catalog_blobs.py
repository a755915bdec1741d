"""ports.catalog.BlobRecords: digests come with the commit and go with the garbage."""

from __future__ import annotations

from dataclasses import replace

from mediaconvert.model import (
    BlobDigest,
    BlobId,
    Conditions,
    NewObject,
    ObjectHeaders,
    Part,
    Segment,
)
from tests.conformance.worlds import ANY, World, blob, lease, new_object, outcome

DIGEST = BlobDigest(10, b"8 bytes.")


def digested(key: str, *, digest: BlobDigest = DIGEST, etag: str = "e" * 32) -> NewObject:
    segment = Segment(blob(), 0, digest.size, digest)
    return NewObject(key, digest.size, etag, ObjectHeaders(), (segment,))


async def test_digests_are_stored_with_the_object_and_come_back_with_it(world: World) -> None:
    ref = await world.owner()
    new = digested("film")
    await world.catalog.objects.put(ref, new, ANY, None)
    (segment,) = (await world.catalog.objects.get(ref, "film")).segments
    assert segment.digest == DIGEST
    name = segment.blob_id
    assert await world.catalog.blobs.digests([name, blob()]) == {name: DIGEST}
    assert await world.catalog.blobs.digests([]) == {}


async def test_the_digests_of_a_large_blob_are_left_to_who_reads_it(world: World) -> None:
    ref = await world.owner()
    large = BlobDigest(65 << 20, bytes(8) * 65)
    await world.catalog.objects.put(ref, digested("film", digest=large), ANY, None)
    (segment,) = (await world.catalog.objects.get(ref, "film")).segments
    assert segment.digest is None
    assert await world.catalog.blobs.digests([segment.blob_id]) == {segment.blob_id: large}


async def test_parts_and_outputs_bring_their_digests(world: World) -> None:
    ref = await world.owner()
    upload = await world.catalog.uploads.create(ref, "film", ObjectHeaders(), None, None, None)
    part = Part(1, 10, "e" * 32, None, digested("").segments)
    await world.catalog.uploads.put_part(ref, "film", upload.id, part)
    await world.catalog.uploads.put_part(ref, "film", upload.id, part)
    await world.submit(ref, await world.pipeline(ref.user_id), "source")
    made = digested("results/made")
    assert await world.catalog.queue.finish(lease(await world.claim()), outcome(made))
    names = [each.segments[0].blob_id for each in (part, made)]
    assert await world.catalog.blobs.digests(names) == dict.fromkeys(names, DIGEST)


async def test_a_copy_shares_the_digest_and_the_last_deletion_takes_it(world: World) -> None:
    ref = await world.owner()
    await world.catalog.objects.put(ref, digested("film"), ANY, None)
    found = await world.catalog.objects.get(ref, "film")
    copy = await world.catalog.objects.copy(
        ref, "film", ANY, ref, "copy", None, ANY, None, source_id=found.id
    )
    assert copy is not None
    assert (await world.catalog.objects.get(ref, "copy")).segments[0].digest == DIGEST
    name = found.segments[0].blob_id
    await world.delete(ref, "film")
    assert await world.garbage() == set()
    await world.delete(ref, "copy")
    assert await world.garbage() == {name}
    assert await world.catalog.blobs.digests([name]) == {name: DIGEST}
    await world.catalog.housekeeping.forget_garbage([name])
    assert await world.catalog.blobs.digests([name]) == {}


async def test_a_copy_is_not_made_of_another_object_than_the_one_meant(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "film")
    old = await world.catalog.objects.get(ref, "film")
    await world.put(ref, "film")
    copy = await world.catalog.objects.copy(
        ref, "film", ANY, ref, "copy", None, ANY, None, source_id=old.id
    )
    assert copy is None
    page = await world.catalog.objects.delete(ref, [("copy", ANY)])
    assert page == (False,)


async def test_a_mark_is_set_once_and_taken_away(world: World) -> None:
    ref = await world.owner()
    new = digested("film")
    await world.catalog.objects.put(ref, new, ANY, None)
    name, old = new.segments[0].blob_id, blob()
    await world.put(ref, "old", old)
    blobs = world.catalog.blobs
    # `old` has no digest yet.
    for each in (name, old):
        assert await blobs.mark_damaged(each)
        assert not await blobs.mark_damaged(each)
    assert (await world.catalog.housekeeping.gauges()).damaged_blobs == 2
    assert await blobs.count_damaged() == 2
    assert [each.key for each in await blobs.damaged_objects(9)] == ["film", "old"]
    assert len(await blobs.damaged_objects(1)) == 1
    assert (await world.catalog.objects.get(ref, "old")).is_damaged
    assert (await world.catalog.objects.get(ref, "old")).segments[0].digest is None
    assert await blobs.mark_intact(name)
    assert not await blobs.mark_intact(name)
    assert not (await world.catalog.objects.get(ref, "film")).is_damaged
    # Of a blob without a digest, the mark is what is known.
    assert await blobs.digests([name, old]) == {name: DIGEST, old: None}


async def test_marks_and_digests_are_kept_only_of_what_is_referred_to(world: World) -> None:
    unknown = blob()
    assert not await world.catalog.blobs.mark_damaged(unknown)
    await world.catalog.blobs.set_digest(unknown, DIGEST)
    assert await world.catalog.blobs.digests([unknown]) == {}
    assert await world.catalog.blobs.count_damaged() == 0


async def test_an_object_of_many_blobs_is_loaded_without_their_digests(world: World) -> None:
    ref = await world.owner()
    segments = tuple(Segment(blob(), 0, DIGEST.size, DIGEST) for _ in range(101))
    new = NewObject("film", 101 * DIGEST.size, "e" * 32, ObjectHeaders(), segments)
    await world.catalog.objects.put(ref, new, ANY, None)
    loaded = (await world.catalog.objects.get(ref, "film")).segments
    assert {each.digest for each in loaded} == {None}
    names = [each.blob_id for each in loaded]
    assert await world.catalog.blobs.digests(names) == dict.fromkeys(names, DIGEST)


async def test_a_digest_is_added_where_there_is_none_and_never_replaced(world: World) -> None:
    ref = await world.owner()
    new, old = digested("film"), blob()
    await world.catalog.objects.put(ref, new, ANY, None)
    await world.put(ref, "old", old)
    name = new.segments[0].blob_id
    blobs = world.catalog.blobs
    await blobs.mark_damaged(old)
    other = replace(DIGEST, blocks=b"not it..")
    for each in (name, old):
        await blobs.set_digest(each, other)
    assert await blobs.digests([name, old]) == {name: DIGEST, old: other}


async def test_pages_name_every_referenced_blob_once_in_order(world: World) -> None:
    ref = await world.owner()
    names = sorted(blob() for _ in range(5))
    for index, name in enumerate(names):
        await world.put(ref, f"film {index}", name, etag=f"{index:032x}")
    await world.put(ref, "again", names[0], names[0], names[4])
    upload = await world.catalog.uploads.create(ref, "parts", ObjectHeaders(), None, None, None)
    slices = (Segment(names[2], 4, 6), Segment(BlobId("f" * 32), 90, 9))
    await world.catalog.uploads.put_part(ref, "parts", upload.id, Part(1, 15, "e", None, slices))
    await world.catalog.blobs.mark_damaged(names[3])
    blobs = world.catalog.blobs
    first = await blobs.page("", 4)
    rest = await blobs.page(first[-1].blob_id, 4)
    assert [each.blob_id for each in (*first, *rest)] == [*names, "f" * 32]
    assert [each.size for each in (*first, *rest)] == [10, 10, 10, 10, 10, 99]
    assert [each.is_damaged for each in first] == [False, False, False, True]
    # Where an object is more than the blob, its ETag says nothing about the blob.
    assert [each.md5 for each in (*first, *rest)] == [
        *(f"{index:032x}" for index in range(5)),
        None,
    ]
    assert await blobs.page("f" * 32, 4) == ()


async def test_an_object_that_never_had_a_digest_is_simply_without(world: World) -> None:
    ref = await world.owner()
    await world.catalog.objects.put(ref, new_object("film"), Conditions(), None)
    stored = await world.catalog.objects.get(ref, "film")
    assert stored.segments[0].digest is None
    assert not stored.is_damaged
