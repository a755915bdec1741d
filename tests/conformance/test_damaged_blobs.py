"""Damage in a blob store is found before a wrong byte is given out, on every implementation."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.digests import BlockDigests
from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import (
    BlobId,
    BlobRecord,
    BucketRef,
    Conditions,
    NewObject,
    ObjectHeaders,
    Segment,
)
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.scrubbing import Finding, examine_blob, referenced_blobs
from mediaconvert.verified_blobs import VerifiedBlobs
from tests.conformance.test_blobs import MIB, blobs, put, rclone_server, read

__all__ = ["blobs", "rclone_server"]

DATA = os.urandom(3 * MIB + 4321)


def flipped(data: bytes, at: int) -> bytes:
    """One bit differs."""
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


async def damage(blobs: BlobStore, blob_id: BlobId, data: bytes) -> None:
    """Other bytes under the same name."""
    async with blobs.stage(blob_id=blob_id) as writer:
        await writer.write(data)
        await writer.seal()


async def digested(blobs: BlobStore, data: bytes) -> Segment:
    digests = BlockDigests()
    digests.update(data)
    return Segment(await put(blobs, data), 0, len(data), digests.blob_digest())


def part(segment: Segment, offset: int, size: int) -> tuple[Segment, ...]:
    return (Segment(segment.blob_id, offset, size, segment.digest),)


async def test_any_range_of_an_intact_blob_is_read_byte_for_byte(blobs: BlobStore) -> None:
    whole = await digested(blobs, DATA)
    chance = random.Random(20)
    edges = [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, len(DATA) - 1]
    for _ in range(25):
        first = chance.choice([*edges, chance.randrange(len(DATA))])
        size = chance.choice([1, 2, len(DATA) - first, chance.randint(1, len(DATA) - first)])
        assert (
            await read(blobs, part(whole, first, min(size, len(DATA) - first)))
            == (DATA[first : first + size])
        )


@pytest.mark.parametrize("at", [0, MIB - 1, MIB, 2 * MIB + 7, len(DATA) - 1])
async def test_one_flipped_bit_is_found_and_only_its_block_is_lost(
    blobs: BlobStore, at: int, tmp_path: Path
) -> None:
    whole = await digested(blobs, DATA)
    await damage(blobs, whole.blob_id, flipped(DATA, at))
    block = at // MIB
    got = b""
    with pytest.raises(BlobDamaged, match="damaged"):
        async with blobs.open([whole]) as pieces:
            async for piece in pieces:
                got += piece
    assert got == DATA[: block * MIB]
    with pytest.raises(BlobDamaged):
        # A range beside the bit, in its block.
        await read(blobs, part(whole, min(block * MIB + 3, len(DATA) - 2), 1))
    with pytest.raises(BlobDamaged):
        await blobs.verify([whole])
    with pytest.raises(BlobDamaged):
        await blobs.materialize((whole,), tmp_path / "input")
    with pytest.raises(BlobDamaged):
        await blobs.materialize((*part(whole, 0, 5), whole), tmp_path / "joined")
    for name in ("input", "joined"):
        assert not (tmp_path / name).exists()
    for other in {0, 1, 2} - {block}:
        wanted = part(whole, other * MIB + 5, MIB - 5)
        assert await read(blobs, wanted) == DATA[other * MIB + 5 : (other + 1) * MIB]
        await blobs.verify(wanted)


@pytest.mark.parametrize("size", [0, 1, MIB, len(DATA) - 1])
async def test_a_blob_that_became_shorter_is_damaged(blobs: BlobStore, size: int) -> None:
    whole = await digested(blobs, DATA)
    await damage(blobs, whole.blob_id, DATA[:size])
    with pytest.raises(BlobDamaged):
        await read(blobs, (whole,))


async def test_a_segment_beyond_its_blobs_digest_is_damage(blobs: BlobStore) -> None:
    whole = await digested(blobs, b"some bytes")
    with pytest.raises(BlobDamaged):
        await read(blobs, part(whole, 5, 6))


# --- with the catalog --------------------------------------------------------------------------


@asynccontextmanager
async def an_object(
    blobs: BlobStore, folder: Path, *, with_digest: bool = True, etag: str = ""
) -> AsyncIterator[tuple[Catalog, VerifiedBlobs, BucketRef, Segment, list[int]]]:
    """DATA stored as an object, behind `VerifiedBlobs`; the list has an item per report."""
    reports: list[int] = []
    async with open_sqlite_catalog(folder / "catalog.sqlite") as catalog:
        user = await catalog.users.register("ann@example.org", "hash")
        ref = BucketRef(user.id, "films")
        await catalog.buckets.create(ref, "us-east-1", limit=9)
        segment = await digested(blobs, DATA)
        if not with_digest:
            segment = Segment(segment.blob_id, 0, len(DATA))
        etag = etag or hashlib.md5(DATA).hexdigest()
        new = NewObject("film", len(DATA), etag, ObjectHeaders(), (segment,))
        await catalog.objects.put(ref, new, Conditions(), None)
        verified = VerifiedBlobs(blobs, catalog, lambda: reports.append(1))
        yield catalog, verified, ref, segment, reports


async def the_record(catalog: Catalog) -> BlobRecord:
    (record,) = [each async for each in referenced_blobs(catalog.blobs)]
    return record


async def no_pace(size: int) -> None:
    assert 0 < size <= MIB


async def test_damage_marks_the_object_until_its_bytes_are_back(
    blobs: BlobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with an_object(blobs, tmp_path) as (catalog, verified, ref, segment, reports):
        # As a claimed job has it: without the digest, which is then looked up.
        bare = (Segment(segment.blob_id, 0, len(DATA)),)
        assert await read(verified, bare) == DATA
        await damage(blobs, segment.blob_id, flipped(DATA, 2 * MIB))
        with pytest.raises(BlobDamaged):
            await read(verified, bare)
        with pytest.raises(BlobDamaged):
            await verified.materialize(bare, tmp_path / "input")
        with pytest.raises(BlobDamaged):
            await verified.verify(bare)
        assert len(reports) == 3
        assert [record.message for record in caplog.records] == ["stored blob damaged"] * 3
        assert (await catalog.objects.get(ref, "film")).is_damaged
        assert (await catalog.housekeeping.gauges()).damaged_blobs == 1
        (found,) = await catalog.blobs.damaged_objects(9)
        assert (found.bucket, found.key, found.blob_id) == ("films", "film", segment.blob_id)

        examine = (verified, catalog, await the_record(catalog), no_pace)
        assert await examine_blob(*examine) is Finding.DAMAGED
        await damage(blobs, segment.blob_id, DATA)
        assert await examine_blob(*examine) is Finding.RESTORED
        assert not (await catalog.objects.get(ref, "film")).is_damaged
        assert (await catalog.housekeeping.gauges()).damaged_blobs == 0
        assert await examine_blob(verified, catalog, await the_record(catalog), no_pace) is (
            Finding.INTACT
        )


async def test_a_missing_blob_is_damage_only_while_something_refers_to_it(
    blobs: BlobStore, tmp_path: Path
) -> None:
    async with an_object(blobs, tmp_path) as (catalog, verified, ref, segment, reports):
        record = await the_record(catalog)
        await blobs.delete([segment.blob_id])
        with pytest.raises(BlobDamaged):
            await read(verified, (segment,))
        assert (await catalog.objects.get(ref, "film")).is_damaged
        await catalog.objects.delete(ref, [("film", Conditions())])
        with pytest.raises(Unavailable):
            await read(verified, (segment,))
        assert await examine_blob(verified, catalog, record, no_pace) is Finding.GONE
        assert len(reports) == 1


async def test_a_blob_stored_before_digests_gets_one_and_is_verified_from_then_on(
    blobs: BlobStore, tmp_path: Path
) -> None:
    async with an_object(blobs, tmp_path, with_digest=False) as opened:
        catalog, verified, _ref, segment, _reports = opened
        assert (await the_record(catalog)).digest is None
        assert await read(verified, (segment,)) == DATA
        await verified.verify([segment])
        examine = (verified, catalog, await the_record(catalog), no_pace)
        assert await examine_blob(*examine) is Finding.DIGESTED
        await damage(blobs, segment.blob_id, flipped(DATA, 17))
        with pytest.raises(BlobDamaged):
            await read(verified, (segment,))


async def test_a_blob_stored_before_digests_is_compared_with_its_objects_etag(
    blobs: BlobStore, tmp_path: Path
) -> None:
    etag = hashlib.md5(flipped(DATA, 5)).hexdigest()
    async with an_object(blobs, tmp_path, with_digest=False, etag=etag) as opened:
        catalog, verified, ref, segment, reports = opened
        examine = (verified, catalog, await the_record(catalog), no_pace)
        assert await examine_blob(*examine) is Finding.DAMAGED
        assert (await catalog.objects.get(ref, "film")).is_damaged
        assert (await the_record(catalog)).digest is None
        # What is known is acted on, although there is no digest to compare with.
        with pytest.raises(BlobDamaged):
            await read(verified, (segment,))
        with pytest.raises(BlobDamaged):
            await verified.verify([segment])
        with pytest.raises(BlobDamaged):
            await verified.materialize((segment,), tmp_path / "input")
        assert reports == []
        assert await examine_blob(*examine) is Finding.DAMAGED


async def test_one_report_is_made_of_one_read(blobs: BlobStore, tmp_path: Path) -> None:
    async with an_object(blobs, tmp_path) as (_catalog, verified, _ref, segment, reports):
        await damage(blobs, segment.blob_id, flipped(DATA, 0))
        with pytest.raises(BlobDamaged):
            async with verified.open(part(segment, MIB, 5)):
                await read(verified, (segment,))
        assert len(reports) == 1


async def test_no_mark_is_left_of_an_object_that_was_deleted_meanwhile(
    blobs: BlobStore, tmp_path: Path
) -> None:
    async with an_object(blobs, tmp_path) as (catalog, verified, ref, segment, _reports):
        record = await the_record(catalog)
        await damage(blobs, segment.blob_id, flipped(DATA, 2 * MIB))
        await catalog.objects.delete(ref, [("film", Conditions())])
        await catalog.housekeeping.forget_garbage([segment.blob_id])
        assert await examine_blob(verified, catalog, record, no_pace) is Finding.DAMAGED
        assert await catalog.blobs.count_damaged() == 0
        assert await catalog.blobs.digests([segment.blob_id]) == {}
