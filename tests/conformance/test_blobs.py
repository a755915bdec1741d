"""What every blob store promises (ports/blobs.py), asked of each implementation."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.blobs.s3 import S3Blobs, open_s3_blobs
from mediaconvert.errors import BlobDamaged, StorageFull, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.settings import StorageSettings
from tests.recovery.worker_rig import until
from tests.servers import rclone, seaweedfs
from tests.servers.rclone import Rclone
from tests.servers.seaweedfs import SeaweedFS

MIB = 1 << 20


Opened = AbstractAsyncContextManager[BlobStore]


def _directory(_request: pytest.FixtureRequest, tmp_path: Path, _prefix: str) -> Opened:
    return open_directory_blobs(tmp_path / "store", min_free_bytes=0)


def _seaweedfs(request: pytest.FixtureRequest, _tmp_path: Path, prefix: str) -> Opened:
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    return _s3(server.endpoint, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY, prefix)


def _rclone(request: pytest.FixtureRequest, _tmp_path: Path, prefix: str) -> Opened:
    server: Rclone = request.getfixturevalue("rclone_server")
    return _s3(server.endpoint, rclone.ACCESS_KEY, rclone.SECRET_KEY, prefix)


def _s3(endpoint: str, access_key: str, secret_key: str, prefix: str) -> Opened:
    """One bucket for all tests, of which each has a prefix of its own."""
    settings = StorageSettings(
        s3_endpoint=endpoint,
        s3_access_key=access_key,
        s3_secret_key=secret_key,
        s3_bucket="conformance",
        s3_prefix=prefix,
        s3_part_bytes=5 * MIB,
    )
    return open_s3_blobs(settings, transfers=32)


STORES: dict[str, Callable[[pytest.FixtureRequest, Path, str], Opened]] = {
    "directory": _directory,
    "seaweedfs": _seaweedfs,
    "rclone": _rclone,
}


@pytest.fixture(scope="session")
def rclone_server(servers_folder: Path) -> Iterator[Rclone]:
    server = Rclone(servers_folder / "rclone")
    server.process.start()
    yield server
    server.process.stop()


@pytest.fixture(params=STORES)
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    prefix = f"test-{secrets.token_hex(8)}/"
    async with STORES[request.param](request, tmp_path, prefix) as store:
        yield store


async def put(blobs: BlobStore, *pieces: bytes) -> BlobId:
    async with blobs.stage() as writer:
        for piece in pieces:
            await writer.write(piece)
        await writer.seal()
    return writer.blob_id


def whole(blob_id: BlobId, size: int) -> tuple[Segment, ...]:
    return (Segment(blob_id, 0, size),)


async def read(blobs: BlobStore, segments: tuple[Segment, ...]) -> bytes:
    async with blobs.open(segments) as pieces:
        return b"".join([piece async for piece in pieces])


async def stored(blobs: BlobStore) -> set[BlobId]:
    return {blob_id async for batch in blobs.older_than(-60) for blob_id in batch}


async def test_a_sealed_blob_is_read_back_byte_for_byte(blobs: BlobStore) -> None:
    data = os.urandom(3 * MIB + 17)
    blob_id = await put(blobs, data[:5], data[5:MIB], data[MIB : 3 * MIB], data[3 * MIB :])
    assert await read(blobs, whole(blob_id, len(data))) == data


async def test_a_blob_of_many_parts_is_read_back_byte_for_byte(blobs: BlobStore) -> None:
    data = os.urandom(17 * MIB + 3)
    blob_id = await put(blobs, *(data[at : at + 700_001] for at in range(0, len(data), 700_001)))
    assert await read(blobs, whole(blob_id, len(data))) == data
    assert await read(blobs, (Segment(blob_id, 5 * MIB - 1, 2),)) == data[5 * MIB - 1 :][:2]


@pytest.mark.parametrize("size", [5 * MIB, 5 * MIB + 1, 10 * MIB])
async def test_a_blob_around_the_size_of_a_part_is_whole(blobs: BlobStore, size: int) -> None:
    data = os.urandom(size)
    blob_id = await put(blobs, data)
    assert await read(blobs, whole(blob_id, size)) == data


async def test_one_large_piece_is_stored_like_many_small_ones(blobs: BlobStore) -> None:
    data = os.urandom(12 * MIB)
    async with blobs.stage() as writer:
        await writer.write(memoryview(data))
        await writer.seal()
    assert await read(blobs, whole(writer.blob_id, len(data))) == data


async def test_a_large_upload_that_is_left_leaves_nothing(blobs: BlobStore) -> None:
    with pytest.raises(ZeroDivisionError):
        async with blobs.stage() as writer:
            for _ in range(12):
                await writer.write(b"x" * MIB)
            raise ZeroDivisionError
    assert await stored(blobs) == set()


async def test_a_blob_keeps_the_name_that_it_has_elsewhere(blobs: BlobStore) -> None:
    name = BlobId(secrets.token_hex(16))
    for data in (b"first", b"again"):
        async with blobs.stage(blob_id=name) as writer:
            assert writer.blob_id == name
            await writer.write(data)
            await writer.seal()
        assert await read(blobs, whole(name, 5)) == data
    assert await stored(blobs) == {name}


async def test_an_empty_blob_can_be_stored_and_read(blobs: BlobStore) -> None:
    blob_id = await put(blobs)
    assert await read(blobs, whole(blob_id, 0)) == b""
    assert await stored(blobs) == {blob_id}


async def test_names_are_random_and_have_32_hex_digits(blobs: BlobStore) -> None:
    names = {await put(blobs, b"same") for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


async def test_the_observer_sees_every_byte_once_and_in_order(blobs: BlobStore) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    pieces = [os.urandom(size) for size in (1, MIB - 1, 2 * MIB, 3, 700_000, 700_000)]
    async with blobs.stage(digest.update) as writer:
        for piece in pieces:
            await writer.write(memoryview(piece))
        await writer.seal()
    assert digest.digest() == hashlib.md5(b"".join(pieces), usedforsecurity=False).digest()


async def test_a_buffer_may_be_reused_after_write_returns(blobs: BlobStore) -> None:
    buffer = bytearray(b"first")
    async with blobs.stage() as writer:
        await writer.write(memoryview(buffer))
        buffer[:] = b"other"
        await writer.write(memoryview(buffer))
        await writer.seal()
    assert await read(blobs, whole(writer.blob_id, 10)) == b"firstother"


async def test_leaving_without_seal_leaves_nothing(blobs: BlobStore) -> None:
    async with blobs.stage() as writer:
        await writer.write(b"x" * (2 * MIB))
    assert await stored(blobs) == set()
    with pytest.raises(BlobDamaged):
        await read(blobs, whole(writer.blob_id, 2 * MIB))


async def test_a_failure_inside_the_block_leaves_nothing_and_is_raised_as_it_is(
    blobs: BlobStore,
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with blobs.stage() as writer:
            await writer.write(b"x" * (2 * MIB))
            raise ZeroDivisionError
    assert await stored(blobs) == set()


async def test_a_cancelled_upload_leaves_nothing(blobs: BlobStore) -> None:
    with trio.CancelScope() as scope:
        async with blobs.stage() as writer:
            await writer.write(b"x" * (2 * MIB))
            scope.cancel()
            await writer.write(b"y" * (2 * MIB))
    assert scope.cancelled_caught
    assert await stored(blobs) == set()


async def test_cancelling_a_seal_leaves_it_whole_or_not_at_all(blobs: BlobStore) -> None:
    data = os.urandom(2 * MIB)
    writers = []

    async def upload(scope: trio.CancelScope) -> None:
        with scope:
            async with blobs.stage() as writer:
                writers.append(writer.blob_id)
                await writer.write(data)
                await writer.seal()

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            scope = trio.CancelScope()
            nursery.start_soon(upload, scope)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    for blob_id in await stored(blobs):
        assert await read(blobs, whole(blob_id, len(data))) == data


async def test_ranges_of_several_blobs_come_one_after_another(blobs: BlobStore) -> None:
    first, second = os.urandom(2 * MIB + 5), os.urandom(MIB)
    segments = (
        Segment(await put(blobs, first), 1, 2 * MIB),
        Segment(await put(blobs, second), 7, 0),
        Segment(await put(blobs, second), MIB - 3, 3),
    )
    assert await read(blobs, segments) == first[1 : 2 * MIB + 1] + second[-3:]


async def test_pieces_are_at_most_one_mib_and_never_empty(blobs: BlobStore) -> None:
    blob_id = await put(blobs, bytes(3 * MIB + 1))
    async with blobs.open(whole(blob_id, 3 * MIB + 1)) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert sum(sizes) == 3 * MIB + 1
    assert 0 < min(sizes) <= max(sizes) <= MIB


async def test_a_reader_may_leave_early(blobs: BlobStore) -> None:
    blob_id = await put(blobs, bytes(8 * MIB))
    with pytest.raises(LookupError):
        async with blobs.open(whole(blob_id, 8 * MIB)) as pieces:
            await anext(pieces)
            raise LookupError


async def test_a_blob_deleted_while_it_is_read_stays_readable_to_its_end(blobs: BlobStore) -> None:
    data = os.urandom(6 * MIB)
    parts = [data[n * 2 * MIB : (n + 1) * 2 * MIB] for n in range(3)]
    segments = tuple([Segment(await put(blobs, part), 0, 2 * MIB) for part in parts])
    async with blobs.open(segments) as pieces:
        got = await anext(pieces)
        await blobs.delete(segment.blob_id for segment in segments)
        got += b"".join([piece async for piece in pieces])
    assert got == data

    async def are_gone() -> bool:
        return await stored(blobs) == set()

    # A reader that leaves waits for a slow store's deletion, but not for ever.
    await until(are_gone)


async def test_a_missing_blob_is_damage_found_before_the_first_byte(blobs: BlobStore) -> None:
    with pytest.raises(BlobDamaged):
        async with blobs.open(whole(BlobId("0" * 32), 5)):
            raise AssertionError("the block must not run")


async def test_a_blob_shorter_than_its_segment_is_damaged(blobs: BlobStore) -> None:
    blob_id = await put(blobs, b"short")
    with pytest.raises(BlobDamaged):
        await read(blobs, whole(blob_id, 6))


async def test_a_missing_later_blob_is_damage(blobs: BlobStore) -> None:
    blob_id = await put(blobs, bytes(2 * MIB))
    segments = (*whole(blob_id, 2 * MIB), Segment(BlobId("0" * 32), 0, 1))
    with pytest.raises(BlobDamaged):
        await read(blobs, segments)


async def test_delete_is_idempotent_and_ignores_strange_names(blobs: BlobStore) -> None:
    keep, gone = await put(blobs, b"keep"), await put(blobs, b"gone")
    for _ in range(2):
        await blobs.delete([gone, BlobId("f" * 32), BlobId("../../etc/passwd"), BlobId("")])
    assert await stored(blobs) == {keep}


async def test_an_adopted_file_is_a_blob_of_its_own(blobs: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    path = tmp_path / "output.mp4"
    path.write_bytes(data)
    blob_id = await blobs.adopt(path)
    path.unlink()
    assert await read(blobs, whole(blob_id, len(data))) == data


async def test_a_large_file_is_adopted_and_materialized(blobs: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(13 * MIB + 1)
    (tmp_path / "output.mp4").write_bytes(data)
    blob_id = await blobs.adopt(tmp_path / "output.mp4")
    await blobs.materialize(whole(blob_id, len(data)), tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == data


async def test_an_empty_file_is_adopted(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    blob_id = await blobs.adopt(tmp_path / "empty")
    assert await read(blobs, whole(blob_id, 0)) == b""
    assert await stored(blobs) == {blob_id}


async def test_adopting_what_is_not_there_is_unavailable(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await blobs.adopt(tmp_path / "missing")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(Unavailable):
        await blobs.adopt(tmp_path / "link")
    with pytest.raises(Unavailable):
        await blobs.adopt(tmp_path)
    assert await stored(blobs) == set()


async def test_a_whole_blob_is_materialized(blobs: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(MIB)
    blob_id = await put(blobs, data)
    await blobs.materialize(whole(blob_id, MIB), tmp_path / "input")
    await blobs.delete([blob_id])
    assert (tmp_path / "input").read_bytes() == data


async def test_ranges_are_materialized_by_copy(blobs: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB)
    blob_id = await put(blobs, data)
    segments = (Segment(blob_id, 10, 2 * MIB), Segment(blob_id, 0, 3), Segment(blob_id, 5, 0))
    await blobs.materialize(segments, tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == data[10 : 2 * MIB + 10] + data[:3]


async def test_an_object_without_bytes_is_materialized(blobs: BlobStore, tmp_path: Path) -> None:
    await blobs.materialize((), tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == b""


async def test_a_failed_materialize_leaves_no_file(blobs: BlobStore, tmp_path: Path) -> None:
    blob_id = await put(blobs, b"some")
    segments = (*whole(blob_id, 4), Segment(BlobId("0" * 32), 0, 1))
    with pytest.raises(BlobDamaged):
        await blobs.materialize(segments, tmp_path / "input")
    assert not (tmp_path / "input").exists()


async def test_the_sweep_names_old_blobs_only_in_batches_of_1000(blobs: BlobStore) -> None:
    expected = {await put(blobs, b"") for _ in range(3)}
    batches = [batch async for batch in blobs.older_than(-60)]
    assert {blob_id for batch in batches for blob_id in batch} == expected
    assert all(len(batch) <= 1000 for batch in batches)
    assert [batch async for batch in blobs.older_than(3600)] == []


async def test_a_blob_that_is_being_written_survives_the_sweep(blobs: BlobStore) -> None:
    async with blobs.stage() as writer:
        await writer.write(b"x" * (2 * MIB))
        assert await stored(blobs) == set()
        await writer.seal()
    assert await read(blobs, whole(writer.blob_id, 2 * MIB)) == b"x" * (2 * MIB)


async def test_a_working_store_passes_its_check_and_knows_its_space(blobs: BlobStore) -> None:
    async def is_well() -> bool:
        try:
            await blobs.check()
        except Unavailable:
            # To those who ask whether it is well, a store that takes seconds is not.
            return False
        return True

    await until(is_well)
    free = await blobs.free_bytes()
    assert free is None or free > 0


# --- the directory alone ----------------------------------------------------------------------


@asynccontextmanager
async def reopened(tmp_path: Path, min_free_bytes: int = 0) -> AsyncIterator[BlobStore]:
    async with open_directory_blobs(tmp_path / "store", min_free_bytes=min_free_bytes) as blobs:
        yield blobs


async def test_blobs_are_there_after_the_store_was_opened_again(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        blob_id = await put(blobs, b"kept")
    async with reopened(tmp_path) as blobs:
        assert await read(blobs, whole(blob_id, 4)) == b"kept"


async def test_a_file_that_an_earlier_version_staged_goes_by_its_age(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        leftover = tmp_path / "store" / "staging" / ("a" * 32)
        leftover.write_bytes(b"half")
        assert await blobs.sweep_unfinished(is_alone=False) == 0
        assert leftover.exists()
        os.utime(leftover, (1, 1))
        assert await blobs.sweep_unfinished(is_alone=False) == 1
        assert not leftover.exists()


async def test_a_process_alone_removes_everything_that_it_did_not_stage(tmp_path: Path) -> None:
    staging = tmp_path / "store" / "staging"
    async with reopened(tmp_path) as blobs, blobs.stage() as writer:
        await writer.write(b"x")
        (staging / ("a" * 32)).write_bytes(b"half")
        (staging / "0123").mkdir()
        (staging / "0123" / ("b" * 32)).write_bytes(b"half")
        (staging / "0123.lock").write_bytes(b"")
        assert await blobs.sweep_unfinished(is_alone=True) == 2
        assert len(list(staging.iterdir())) == 2, "our own folder and its lock"
        await writer.seal()
    assert list(staging.iterdir()) == []


async def test_staging_goes_on_when_its_folder_was_removed(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        for folder in (tmp_path / "store" / "staging").glob("*[!k]"):
            folder.rmdir()
        assert await read(blobs, whole(await put(blobs, b"kept"), 4)) == b"kept"
        await blobs.check()


async def test_an_upload_into_a_disk_with_too_little_room_is_storage_full(tmp_path: Path) -> None:
    async with reopened(tmp_path, min_free_bytes=1 << 60) as blobs:
        with pytest.raises(StorageFull):
            await put(blobs, b"x")
        with pytest.raises(Unavailable, match="min_free_bytes"):
            await blobs.check()
        assert await stored(blobs) == set()


async def test_a_store_below_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(Unavailable):
        async with reopened(tmp_path):
            raise AssertionError("the block must not run")


async def test_a_fan_out_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store" / "blobs").mkdir(parents=True)
    (tmp_path / "store" / "blobs" / "3f").symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="not a folder"):
        async with reopened(tmp_path):
            raise AssertionError("the block must not run")


async def test_a_blob_exchanged_for_a_link_is_not_followed(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        blob_id = await put(blobs, b"mine")
        path = tmp_path / "store" / "blobs" / blob_id[:2] / blob_id
        path.unlink()
        path.symlink_to("/etc/passwd")
        with pytest.raises(Unavailable):
            await read(blobs, whole(blob_id, 4))


async def test_files_and_folders_are_for_the_owner_only(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        blob_id = await put(blobs, b"mine")
        (tmp_path / "output").write_bytes(b"x")
        adopted = await blobs.adopt(tmp_path / "output")
        root = tmp_path / "store"
        for path in (root, root / "staging", root / "blobs", root / "blobs" / blob_id[:2]):
            assert path.stat().st_mode & 0o777 == 0o700
        for name in (blob_id, adopted):
            assert (root / "blobs" / name[:2] / name).stat().st_mode & 0o777 == 0o600


async def test_one_whole_local_blob_is_linked_not_copied(tmp_path: Path) -> None:
    async with reopened(tmp_path) as blobs:
        (tmp_path / "output").write_bytes(b"result")
        blob_id = await blobs.adopt(tmp_path / "output")
        await blobs.materialize(whole(blob_id, 6), tmp_path / "input")
        assert (tmp_path / "input").stat().st_ino == (tmp_path / "output").stat().st_ino


# --- several processes on one store: a shared folder, one bucket ---------------------------------


@pytest.fixture(params=STORES)
async def two(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[BlobStore, BlobStore]]:
    """The same store, opened by two nodes."""
    prefix = f"two-{secrets.token_hex(8)}/"
    opened = [STORES[request.param](request, tmp_path, prefix) for _ in range(2)]
    async with opened[0] as first, opened[1] as second:
        yield first, second


async def test_what_one_node_seals_the_other_reads_and_deletes(
    two: tuple[BlobStore, BlobStore], tmp_path: Path
) -> None:
    first, second = two
    data = os.urandom(2 * MIB)
    (tmp_path / "output").write_bytes(data)
    for blob_id in (await put(first, data), await first.adopt(tmp_path / "output")):
        assert await read(second, whole(blob_id, len(data))) == data
        await second.materialize(whole(blob_id, len(data)), tmp_path / f"input-{blob_id}")
        assert (tmp_path / f"input-{blob_id}").read_bytes() == data
        await second.delete([blob_id])
        with pytest.raises(BlobDamaged):
            await read(first, whole(blob_id, len(data)))


async def test_one_nodes_sweep_spares_what_the_other_is_writing(
    two: tuple[BlobStore, BlobStore],
) -> None:
    first, second = two
    data = os.urandom(12 * MIB)
    async with first.stage() as writer:
        for at in range(0, len(data), MIB):
            await writer.write(data[at : at + MIB])
            assert await stored(second) == set()
        await writer.seal()
    assert await stored(second) == {writer.blob_id}
    assert await read(second, whole(writer.blob_id, len(data))) == data


async def test_both_nodes_may_delete_the_same_blobs_at_once(
    two: tuple[BlobStore, BlobStore],
) -> None:
    first, second = two
    blob_ids = [await put(first, b"x") for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for node in (first, second):
            nursery.start_soon(node.delete, blob_ids)
    assert await stored(first) == await stored(second) == set()


STAGES = """
import sys, trio
from pathlib import Path
from mediaconvert.backends.blobs.directory import open_directory_blobs

async def main():
    async with open_directory_blobs(Path(sys.argv[1]), min_free_bytes=0) as blobs:
        async with blobs.stage() as writer:
            await writer.write(b"x" * (2 << 20))
            print(writer.blob_id, flush=True)
            await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def staging_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing a blob into the same folder."""
    with subprocess.Popen(
        [sys.executable, "-c", STAGES, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


async def test_what_a_killed_process_staged_is_swept_and_a_living_ones_is_not(
    tmp_path: Path, staging_process: subprocess.Popen[str]
) -> None:
    assert staging_process.stdout is not None
    staged = staging_process.stdout.readline().strip()
    staging = tmp_path / "store" / "staging"
    (path,) = staging.glob(f"*/{staged}")
    lock = path.parent.with_name(f"{path.parent.name}.lock")
    async with reopened(tmp_path) as blobs:
        # As quiet as a process that was suspended: its lock still protects it.
        os.utime(lock, (1, 1))
        assert await blobs.sweep_unfinished(is_alone=False) == 0
        assert path.stat().st_size == 2 * MIB
        staging_process.kill()
        staging_process.wait()
        assert await blobs.sweep_unfinished(is_alone=False) == 1
        assert not path.parent.exists()
        assert not lock.exists()


async def test_a_lock_that_reaches_no_other_machine_protects_an_owner_that_shows_it_lives(
    tmp_path: Path,
) -> None:
    """Where each machine sees only its own locks, the lock of a living process looks free."""
    folder = tmp_path / "store" / "staging" / "elsewhere"
    async with reopened(tmp_path) as blobs:
        folder.mkdir()
        (folder / ("a" * 32)).write_bytes(b"half")
        (folder.parent / "elsewhere.lock").write_bytes(b"")
        assert await blobs.sweep_unfinished(is_alone=False) == 0
        assert [path.name for path in folder.iterdir()] == ["a" * 32]


async def test_uploads_that_a_killed_process_left_open_in_an_s3_store_are_aborted(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    prefix = f"unfinished-{secrets.token_hex(8)}/"
    async with _seaweedfs(request, tmp_path, prefix) as blobs:
        assert isinstance(blobs, S3Blobs)
        with _boto3(request.getfixturevalue("seaweedfs")) as client:
            ours, strangers = f"{prefix}{'a' * 32}", f"{prefix}holiday.mp4"
            for key in (ours, strangers):
                client.create_multipart_upload(Bucket="conformance", Key=key)
            assert await blobs.sweep_unfinished(is_alone=False) == 0
            assert await blobs.sweep_unfinished(is_alone=True) == 1
            left = client.list_multipart_uploads(Bucket="conformance", Prefix=prefix)["Uploads"]
            assert [upload["Key"] for upload in left] == [strangers]


@contextmanager
def _boto3(server: SeaweedFS) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{server.endpoint.removeprefix('http://')}",
        aws_access_key_id=seaweedfs.ACCESS_KEY,
        aws_secret_access_key=seaweedfs.SECRET_KEY,
        region_name="us-east-1",
    )
    try:
        yield client
    finally:
        client.close()
