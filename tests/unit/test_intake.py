"""Intake where commits are uncertain, clients leave, and sources vanish: real SQLite, real
blobs, and a catalog whose answers get lost."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.errors import (
    ChecksumMismatch,
    IncompleteBody,
    ObjectNotFound,
    PreconditionFailed,
    Unavailable,
    UnknownPipeline,
    UploadNotFound,
)
from mediaconvert.intake import CopyFrom, Intake
from mediaconvert.model import BucketRef, Checksum, Conditions, ObjectHeaders
from mediaconvert.multipart import ListedPart
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.receiving import Declared
from mediaconvert.settings import S3Settings
from tests.program import WAIT_SECONDS

NONE = Conditions()
HEADERS = ObjectHeaders()


class Body:
    """Bytes at hand as an upload's body."""

    def __init__(self, data: bytes, *, declared: Declared | None = None) -> None:
        self.declared = declared or Declared(len(data))
        self.is_read = False
        self._data = data

    async def pieces(self) -> AsyncIterator[bytes]:
        self.is_read = True
        for start in range(0, len(self._data), 1000):
            await trio.lowlevel.checkpoint()
            yield self._data[start : start + 1000]

    def trailing_checksum(self) -> Checksum | None:
        return None


class Faulty:
    """One subject of the catalog; what is set here stands in front of the real method."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@dataclasses.dataclass
class World:
    folder: Path
    catalog: Catalog
    blobs: BlobStore
    ref: BucketRef

    def intake(self, **subjects: Any) -> Intake:
        catalog = dataclasses.replace(self.catalog, **subjects)
        return Intake(catalog, self.blobs, MemoryNotices(), S3Settings())

    def files(self) -> list[Path]:
        found = (self.folder / "blobs").rglob("*")
        return [p for p in found if p.is_file() and p.suffix != ".lock"]

    async def read(self, key: str) -> bytes:
        stored = await self.catalog.objects.get(self.ref, key)
        async with self.blobs.open(stored.segments) as pieces:
            return b"".join([piece async for piece in pieces])

    async def sweep(self) -> None:
        garbage = await self.catalog.housekeeping.garbage(1000)
        await self.blobs.delete(garbage)
        await self.catalog.housekeeping.forget_garbage(garbage)


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    async with (
        open_sqlite_catalog(folder / "catalog.sqlite3", deadline_seconds=WAIT_SECONDS) as catalog,
        open_directory_blobs(folder / "blobs", min_free_bytes=0) as blobs,
    ):
        user = await catalog.users.register("a@example.org", "no password")
        ref = BucketRef(user.id, "bucket")
        await catalog.buckets.create(ref, "us-east-1", limit=10)
        yield World(folder, catalog, blobs, ref)


def answering(real: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """The real method with its answer lost, before or after it happened."""

    async def method(*args: Any, **kwargs: Any) -> Any:
        if not before:
            await real(*args, **kwargs)
        raise Unavailable("the answer was lost")

    return method


async def test_a_commit_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        objects = Faulty(world.catalog.objects)
        objects.put = answering(world.catalog.objects.put, before=False)
        intake = world.intake(objects=objects)
        committed = await intake.put_object(world.ref, "k", HEADERS, Body(b"x" * 5000), NONE)
        assert committed.object.etag == hashlib.md5(b"x" * 5000).hexdigest()
        assert await world.read("k") == b"x" * 5000


async def test_a_commit_that_did_not_happen_leaves_no_blob(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        objects = Faulty(world.catalog.objects)
        objects.put = answering(world.catalog.objects.put, before=True)
        with pytest.raises(Unavailable):
            await world.intake(objects=objects).put_object(
                world.ref, "k", HEADERS, Body(b"x"), NONE
            )
        assert world.files() == []


async def test_what_nobody_can_tell_is_left_to_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(tmp_path) as world:
        objects, housekeeping = Faulty(world.catalog.objects), Faulty(world.catalog.housekeeping)
        objects.put = answering(world.catalog.objects.put, before=True)
        housekeeping.is_referenced = answering(
            world.catalog.housekeeping.is_referenced, before=True
        )
        intake = world.intake(objects=objects, housekeeping=housekeeping)
        with pytest.raises(Unavailable):
            await intake.put_object(world.ref, "k", HEADERS, Body(b"x"), NONE)
        assert len(world.files()) == 1
        assert "left to the sweep" in caplog.text


async def test_a_part_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        upload = await world.intake().begin_upload(world.ref, "k", HEADERS, None, None)
        uploads = Faulty(world.catalog.uploads)
        uploads.put_part = answering(world.catalog.uploads.put_part, before=False)
        part = await world.intake(uploads=uploads).put_part(
            world.ref, "k", upload.id, 3, Body(b"part")
        )
        assert (part.number, part.md5) == (3, hashlib.md5(b"part").hexdigest())
        assert len(world.files()) == 1


async def test_client_that_disconnects_before_commit_leaves_no_blob(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        scope = trio.CancelScope()

        class Leaving(Body):
            async def pieces(self) -> AsyncIterator[bytes]:
                yield b"x" * 2_000_000
                scope.cancel()
                await trio.sleep_forever()

        body = Leaving(b"", declared=Declared(3_000_000))
        with scope:
            await world.intake().put_object(world.ref, "k", HEADERS, body, NONE)
        assert scope.cancelled_caught
        assert world.files() == []
        with pytest.raises(ObjectNotFound):
            await world.catalog.objects.get(world.ref, "k")


async def test_a_cancel_that_meets_the_commit_does_not_cut_it_in_two(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        scope = trio.CancelScope()
        objects = Faulty(world.catalog.objects)

        async def put(*args: Any) -> Any:
            scope.cancel()
            await trio.lowlevel.checkpoint()
            return await world.catalog.objects.put(*args)

        objects.put = put
        with scope:
            await world.intake(objects=objects).put_object(
                world.ref, "k", HEADERS, Body(b"whole"), NONE
            )
        assert await world.read("k") == b"whole"


async def test_nothing_is_read_of_a_body_that_is_refused_early(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intake = world.intake()
        await intake.put_object(world.ref, "k", HEADERS, Body(b"x"), NONE)
        body = Body(b"never read")
        named = ObjectHeaders(user={"pipeline": "none"})
        with pytest.raises(UnknownPipeline):
            await intake.put_object(world.ref, "new", named, body, NONE)
        with pytest.raises(PreconditionFailed):
            await intake.put_object(world.ref, "k", HEADERS, body, Conditions(if_none_match=("*",)))
        with pytest.raises(ObjectNotFound):
            await intake.put_object(world.ref, "no", HEADERS, body, Conditions(if_match=("e",)))
        with pytest.raises(UploadNotFound):
            await intake.put_part(world.ref, "k", "no-such-upload", 1, body)
        assert not body.is_read


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        (Declared(10, md5=b"0" * 16), ChecksumMismatch),
        (Declared(10, sha256="0" * 64), ChecksumMismatch),
        (Declared(10, checksum=Checksum("CRC32", "AAAAAA==")), ChecksumMismatch),
        (Declared(11), IncompleteBody),
        (Declared(0, md5=b"0" * 16), IncompleteBody),
    ],
)
async def test_a_body_that_is_not_as_declared_leaves_nothing(
    tmp_path: Path, declared: Declared, error: type[Exception]
) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(error):
            await world.intake().put_object(
                world.ref, "k", HEADERS, Body(b"0123456789", declared=declared), NONE
            )
        assert world.files() == []


async def test_a_part_survives_its_source_that_vanishes_while_it_is_copied(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        intake = world.intake()
        data = bytes(range(256)) * 100
        await intake.put_object(world.ref, "source", HEADERS, Body(data), NONE)
        upload = await intake.begin_upload(world.ref, "k", HEADERS, None, None)
        uploads = Faulty(world.catalog.uploads)
        times = 0

        async def put_part(*args: Any) -> None:
            nonlocal times
            times += 1
            if times == 1:
                # Gone between the look at the source and the commit of the part.
                await world.catalog.objects.delete(world.ref, [("source", NONE)])
                await world.sweep()
            await world.catalog.uploads.put_part(*args)

        uploads.put_part = put_part
        part = await world.intake(uploads=uploads).copy_part(
            CopyFrom(world.ref, "source"),
            lambda size: (10, size - 20),
            world.ref,
            "k",
            upload.id,
            1,
        )
        await world.sweep()
        listed = [ListedPart(1, part.md5)]
        await intake.complete_upload(world.ref, "k", upload.id, listed, NONE)
        assert times == 2
        assert await world.read("k") == data[10:-10]
