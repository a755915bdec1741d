"""The S3 store of the blobs is cut off, killed, stopped and started again during transfers.

SeaweedFS of this file's own, partly behind a proxy. What was sealed stays, what was not leaves
nothing, nobody waits for a store that hangs, and nothing is left behind by those who left.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.blobs.s3 import S3Blobs
from mediaconvert.errors import StorageFull, Unavailable
from mediaconvert.model import BlobId, Segment
from tests.program import Person, run_program
from tests.servers import rclone
from tests.servers.process import free_port
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.rclone import Rclone
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import connect, connections_to, s3_blobs, torn_uploads

MIB = 1 << 20
PATIENCE_SECONDS = 240.0
"""A test's own: several times what a call may take."""


@pytest.fixture(scope="module")
def store(servers_folder: Path) -> Iterator[SeaweedFS]:
    server = SeaweedFS(servers_folder / "seaweedfs-faults")
    server.process.start()
    yield server
    server.process.stop()


@pytest.fixture
def proxy(store: SeaweedFS) -> Iterator[Proxy]:
    with open_proxy(store.port) as proxy:
        yield proxy


def address(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


async def put(blobs: S3Blobs, data: bytes) -> BlobId:
    async with blobs.stage() as writer:
        await writer.write(data)
        await writer.seal()
    return writer.blob_id


def whole(blob_id: BlobId, size: int) -> tuple[Segment, ...]:
    return (Segment(blob_id, 0, size),)


async def read(blobs: S3Blobs, segments: tuple[Segment, ...]) -> bytes:
    async with blobs.open(segments) as pieces:
        return b"".join([piece async for piece in pieces])


async def stored(blobs: S3Blobs) -> set[BlobId]:
    return {blob_id async for batch in blobs.older_than(-60) for blob_id in batch}


async def until(holds: Callable[[], bool]) -> None:
    """A thread or another process announces nothing; within the test's patience."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.02)


def busy(blobs: S3Blobs) -> int:
    return blobs.calls.busy + blobs.transfers.busy + blobs.reads.busy


# --- the connection breaks -------------------------------------------------------------------


async def test_a_download_goes_on_where_its_connection_was_cut(proxy: Proxy) -> None:
    data = os.urandom(24 * MIB)
    async with s3_blobs(address(proxy)) as blobs:
        blob_id = await put(blobs, data)
        got = b""
        async with blobs.open(whole(blob_id, len(data))) as pieces:
            async for piece in pieces:
                got += piece
                if len(got) in (2 * MIB, 9 * MIB, 17 * MIB):
                    proxy.cut()
        assert got == data


async def test_a_file_is_materialized_although_connections_are_cut(
    proxy: Proxy, tmp_path: Path
) -> None:
    data = os.urandom(16 * MIB)
    async with s3_blobs(address(proxy)) as blobs:
        blob_id = await put(blobs, data)
        proxy.cut_after(5 * MIB)
        await blobs.materialize(whole(blob_id, len(data)), tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == data


async def test_an_upload_goes_on_although_connections_are_cut(proxy: Proxy) -> None:
    data = os.urandom(24 * MIB)
    async with s3_blobs(address(proxy)) as blobs:
        async with blobs.stage() as writer:
            for at in range(0, len(data), MIB):
                await writer.write(data[at : at + MIB])
                if at % (5 * MIB) == 0:
                    proxy.cut()
            await writer.seal()
        assert await read(blobs, whole(writer.blob_id, len(data))) == data


async def some_answers_are_lost(proxy: Proxy, size: int, **keys: str) -> None:
    """Connections are cut after ever more of the answers, so each of an upload is lost once."""
    data = os.urandom(size)
    async with s3_blobs(address(proxy), **keys) as blobs:
        sealed = set()
        for answered in range(0, 3000, 200):
            async with blobs.stage() as writer:
                await writer.write(data)
                proxy.cut_after(answered)
                await writer.seal()
            sealed.add(writer.blob_id)
        for blob_id in sealed:
            assert await read(blobs, whole(blob_id, size)) == data
        assert await stored(blobs) == sealed


@pytest.mark.parametrize("size", [1000, 6 * MIB], ids=["one piece", "two parts"])
async def test_a_lost_answer_never_fails_or_doubles_an_upload(proxy: Proxy, size: int) -> None:
    await some_answers_are_lost(proxy, size)


async def test_an_upload_is_found_whose_store_has_forgotten_that_it_completed_it(
    servers_folder: Path,
) -> None:
    """SeaweedFS answers the same to the same request; rclone no longer knows the upload."""
    server = Rclone(servers_folder / "rclone-faults")
    server.process.start()
    keys = {"s3_access_key": rclone.ACCESS_KEY, "s3_secret_key": rclone.SECRET_KEY}
    try:
        with open_proxy(server.port) as proxy:
            await some_answers_are_lost(proxy, 6 * MIB, **keys)
    finally:
        server.process.stop()


async def test_a_blob_that_is_exchanged_while_it_is_read_is_not_mixed(
    proxy: Proxy,
) -> None:
    size = 24 * MIB
    async with s3_blobs(address(proxy)) as blobs:
        blob_id = await put(blobs, bytes(size))
        with pytest.raises(Unavailable):
            async with blobs.open(whole(blob_id, size)) as pieces:
                await anext(pieces)
                async with blobs.stage(blob_id=blob_id) as writer:
                    await writer.write(b"x" * size)
                    await writer.seal()
                proxy.cut()
                async for piece in pieces:
                    assert set(piece) == {0}


# --- the store dies and comes back -------------------------------------------------------------


class OwnStore:
    """Another installation of this very program as the store: it starts quickly, and keeps the
    parts of uploads over a restart, which rclone does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._stack = ExitStack()
        self.start()
        self.person = Person(self._program.url)

    def start(self) -> None:
        arguments = ("--port", str(self.port), "--role", "api")
        self._program = self._stack.enter_context(run_program(self._folder, *arguments))

    def kill(self) -> None:
        self._program.kill()

    def stop(self) -> None:
        self.person.close()
        self._stack.close()

    def parts(self, key: str) -> int:
        """That the store has of an upload under way."""
        name = {"Bucket": self.person.bucket}
        found = self.person.s3.list_multipart_uploads(**name, Prefix=key).get("Uploads", [])
        listed = [
            self.person.s3.list_parts(**name, Key=key, UploadId=each["UploadId"]) for each in found
        ]
        return sum(len(answer.get("Parts", [])) for answer in listed)

    @property
    def settings(self) -> dict[str, object]:
        return {
            "s3_access_key": self.person.keys["access_key"],
            "s3_secret_key": self.person.keys["secret_key"],
            "s3_bucket": self.person.bucket,
            "endpoint": self._program.url,
        }


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[OwnStore]:
    store = OwnStore(tmp_path)
    yield store
    store.stop()


@pytest.fixture
def way(own_store: OwnStore) -> Iterator[Proxy]:
    with open_proxy(own_store.port) as way:
        yield way


async def restart(own_store: OwnStore, way: Proxy) -> None:
    """While nobody asks anything of it, however long it takes. Whoever comes then is refused."""
    way.refuse()
    await trio.to_thread.run_sync(own_store.kill)
    await trio.to_thread.run_sync(own_store.start)


async def open_to_those_who_come_again(way: Proxy) -> None:
    refused = way.refused
    await until(lambda: way.refused > refused)
    way.open()


async def test_a_download_survives_a_restart_of_the_store(own_store: OwnStore, way: Proxy) -> None:
    data = os.urandom(24 * MIB)
    settings = own_store.settings | {"endpoint": address(way)}
    async with s3_blobs(**settings) as blobs:  # type: ignore[arg-type]
        blob_id = await put(blobs, data)
        async with blobs.open(whole(blob_id, len(data))) as pieces:
            got = await anext(pieces)
            await until(lambda: blobs.reads.busy == 0)
            await restart(own_store, way)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(open_to_those_who_come_again, way)
                got += b"".join([piece async for piece in pieces])
        assert got == data


async def test_an_upload_survives_a_restart_of_the_store(own_store: OwnStore, way: Proxy) -> None:
    data = os.urandom(24 * MIB)
    settings = own_store.settings | {"endpoint": address(way)}
    async with s3_blobs(**settings) as blobs:  # type: ignore[arg-type]
        async with blobs.stage() as writer:
            for at in range(0, 12 * MIB, MIB):
                await writer.write(data[at : at + MIB])
            await until(lambda: own_store.parts(blobs.prefix + writer.blob_id) == 2)
            await restart(own_store, way)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(open_to_those_who_come_again, way)
                for at in range(12 * MIB, len(data), MIB):
                    await writer.write(data[at : at + MIB])
                await writer.seal()
        assert await read(blobs, whole(writer.blob_id, len(data))) == data


@pytest.mark.slow
async def test_a_dead_store_is_unavailable_and_nothing_of_an_upload_stays(
    proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "output").write_bytes(bytes(6 * MIB))
    async with s3_blobs(address(proxy)) as blobs:
        blob_id = await put(blobs, b"kept")
        async with blobs.stage() as torn:
            await torn.write(bytes(11 * MIB))
            proxy.refuse()
            await all_are_unavailable(
                torn.seal,
                lambda: read(blobs, whole(blob_id, 4)),
                lambda: put(blobs, b"new"),
                lambda: blobs.adopt(tmp_path / "output"),
                lambda: blobs.materialize(whole(blob_id, 4), tmp_path / "input"),
                lambda: blobs.delete([BlobId("0" * 32)]),
                lambda: stored(blobs),
                blobs.check,
            )
        assert not (tmp_path / "input").exists()
        proxy.open()
        await until_it_works(blobs)
        assert await read(blobs, whole(blob_id, 4)) == b"kept"
        assert await stored(blobs) == {blob_id}


async def test_a_store_that_is_full_takes_nothing_and_still_gives(tmp_path: Path) -> None:
    store = OwnStore(tmp_path)
    try:
        async with s3_blobs(**store.settings) as blobs:  # type: ignore[arg-type]
            blob_id = await put(blobs, b"kept")
            await trio.to_thread.run_sync(store.kill)
            (tmp_path / "mediaconvert.yaml").write_text(f"storage: {{min_free_bytes: {1 << 60}}}")
            await trio.to_thread.run_sync(store.start)
            with pytest.raises(StorageFull):
                await put(blobs, b"new")
            with pytest.raises(StorageFull):
                await put(blobs, bytes(12 * MIB))
            assert await read(blobs, whole(blob_id, 4)) == b"kept"
            settings = store.settings | {"s3_prefix": blobs.prefix}
        # To read from it, it may be full at the start as well.
        async with s3_blobs(**settings) as again:  # type: ignore[arg-type]
            assert await read(again, whole(blob_id, 4)) == b"kept"
    finally:
        store.stop()


async def until_it_works(blobs: S3Blobs) -> str:
    """What the store calls itself, by then."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                return await blobs.check()
            except Unavailable:
                await trio.sleep(0.1)


# --- the store hangs -----------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_store_that_hangs_is_unavailable_within_a_bound(
    store: SeaweedFS, tmp_path: Path
) -> None:
    async with s3_blobs(store.endpoint) as blobs:
        blob_id = await put(blobs, b"kept")
        store.process.suspend()
        try:
            await all_are_unavailable(
                lambda: read(blobs, whole(blob_id, 4)),
                lambda: put(blobs, b"new"),
                lambda: put(blobs, bytes(12 * MIB)),
                lambda: blobs.delete([BlobId("0" * 32)]),
                lambda: blobs.materialize(whole(blob_id, 4), tmp_path / "input"),
                blobs.check,
            )
        finally:
            store.process.resume()
        await until_it_works(blobs)
        await until(lambda: busy(blobs) == 0)


async def all_are_unavailable(*calls: Callable[[], Awaitable[object]]) -> None:
    """All at once, each within the test's patience."""

    async def expect(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(Unavailable):
            await call()

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(expect, call)


async def test_a_check_of_a_silent_store_ends_before_the_probe_gives_up(proxy: Proxy) -> None:
    async with s3_blobs(address(proxy)) as blobs:
        proxy.silence()
        try:
            with trio.fail_after(PATIENCE_SECONDS), pytest.raises(Unavailable, match=r"1\.8 s"):
                await blobs.check()
        finally:
            proxy.open()
        assert (await until_it_works(blobs)).startswith("SeaweedFS")


async def test_who_is_cancelled_does_not_wait_for_a_store_that_hangs(
    store: SeaweedFS, tmp_path: Path
) -> None:
    data = os.urandom(24 * MIB)
    (tmp_path / "output").write_bytes(data)
    async with s3_blobs(store.endpoint) as blobs:
        blob_id = await put(blobs, data)

        async def upload(ready: trio.Event) -> None:
            async with blobs.stage() as writer:
                await writer.write(data)
                ready.set()
                await writer.seal()

        async def download(ready: trio.Event) -> None:
            async with blobs.open(whole(blob_id, len(data))) as pieces:
                async for _ in pieces:
                    ready.set()

        async def adopt(ready: trio.Event) -> None:
            ready.set()
            await blobs.adopt(tmp_path / "output")

        async def materialize(ready: trio.Event) -> None:
            ready.set()
            await blobs.materialize(whole(blob_id, len(data)), tmp_path / "input")

        store.process.suspend()
        try:
            for work in (upload, adopt, materialize):
                with trio.fail_after(PATIENCE_SECONDS):
                    async with trio.open_nursery() as nursery:
                        ready = trio.Event()
                        nursery.start_soon(work, ready)
                        await ready.wait()
                        await until(lambda: blobs.transfers.busy > 0)
                        nursery.cancel_scope.cancel()
            # They have left; their threads still wait for the store.
            assert blobs.transfers.busy > 0
            assert not (tmp_path / "input").exists()
        finally:
            store.process.resume()
        ready = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(download, ready)
            await ready.wait()
            store.process.suspend()
            nursery.cancel_scope.cancel()
        store.process.resume()
        await until(lambda: busy(blobs) == 0)
        assert await stored(blobs) == {blob_id}


# --- nothing stays behind ------------------------------------------------------------------------


@pytest.mark.slow
async def test_hundreds_of_cancelled_transfers_leave_nothing_behind(store: SeaweedFS) -> None:
    data = os.urandom(12 * MIB)
    async with s3_blobs(store.endpoint) as blobs:
        blob_id = await put(blobs, data)

        async def upload() -> None:
            async with blobs.stage() as writer:
                for at in range(0, len(data), MIB):
                    await writer.write(data[at : at + MIB])
                await writer.seal()
            await blobs.delete([writer.blob_id])

        async def download() -> None:
            await read(blobs, whole(blob_id, len(data)))

        for delay_ms in range(0, 200, 2):
            with trio.move_on_after(delay_ms / 1000):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(upload)
                    nursery.start_soon(download)
        await until(lambda: busy(blobs) == 0)
        # A cancelled deletion may have left a finished upload: that is the sweep's.
        assert await read(blobs, whole(blob_id, len(data))) == data
        with connect(store.endpoint) as other:
            prefix = blobs.prefix
            assert [key for key in torn_uploads(other) if key.startswith(prefix)] == []
    assert connections_to(store.port) == 0


async def test_a_killed_process_leaves_an_upload_that_the_bucket_forgets_by_itself(
    store: SeaweedFS,
) -> None:
    async with s3_blobs(store.endpoint, s3_bucket="made-by-us"):
        pass
    with connect(store.endpoint) as other:
        (rule,) = other.get_bucket_lifecycle_configuration(Bucket="made-by-us")["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rule["Status"] == "Enabled"


async def test_a_trial_object_that_a_dead_process_left_is_swept(store: SeaweedFS) -> None:
    async with s3_blobs(store.endpoint) as blobs:
        with connect(store.endpoint) as other:
            key = blobs.prefix + "trial-" + "0" * 32
            other.put_object(Bucket="blobs", Key=key, Body=b"x")
            foreign = blobs.prefix + "something else"
            other.put_object(Bucket="blobs", Key=foreign, Body=b"x")
            assert await stored(blobs) == set()
            left = other.list_objects_v2(Bucket="blobs", Prefix=blobs.prefix)["Contents"]
            assert [each["Key"] for each in left] == [foreign]
