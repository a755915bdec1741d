"""The blob store in a folder: durable, immutable files under random names.

Implements ports.blobs.BlobStore. No name that a client chose ever comes near a path. Several
processes, on several machines where the folder is a shared one, may use it at once, as one
user: names are random, and sealing is one rename or link. Only this object's own readers keep
a deleted blob; those of others rely on `storage.garbage_minutes` (NFS takes even open files).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from mediaconvert.backends.blobs import files
from mediaconvert.backends.blobs.file_cursor import FileCursor
from mediaconvert.backends.blobs.own_staging import OwnStaging
from mediaconvert.backends.blobs.readers import Readers
from mediaconvert.backends.blobs.reading import PieceReader, copy_turn
from mediaconvert.backends.blobs.staging import Observe, StagedBlob
from mediaconvert.backends.blobs.verifying import VerifyingCursor
from mediaconvert.errors import StorageFull, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobWriter

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")

SWEEP_BATCH = 1000
# A disk that hangs holds these threads and none of the process's others.
IO_THREADS = 32
CLOSE_SECONDS = 5.0
"""What a disk that hangs may delay the end of the process."""


@asynccontextmanager
async def open_directory_blobs(
    root: Path, *, min_free_bytes: int, read_only: bool = False
) -> AsyncIterator[DirectoryBlobs]:
    """Open the store below `root`, making its folders where they are missing; with `read_only`
    nothing is made, also on a file system that cannot be written to.

    Uploads are refused (StorageFull) while fewer than `min_free_bytes` are free. Raises
    Unavailable when the folders cannot be made."""
    layout, own = await trio.to_thread.run_sync(_prepare, root, read_only)
    try:
        yield DirectoryBlobs(layout, own, min_free_bytes=min_free_bytes)
    finally:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await trio.to_thread.run_sync(own.release, abandon_on_cancel=True)


class DirectoryBlobs:
    """Made by `open_directory_blobs`. What the Protocol does not name is for this file."""

    def __init__(self, layout: files.Layout, own: OwnStaging, *, min_free_bytes: int) -> None:
        self.layout = layout
        self._own = own
        self._min_free_bytes = min_free_bytes
        self._limiter = trio.CapacityLimiter(IO_THREADS)
        self._readers = Readers(self._delete)

    @asynccontextmanager
    async def stage(
        self, observe: Observe | None = None, *, blob_id: BlobId | None = None
    ) -> AsyncIterator[BlobWriter]:
        blob_id = blob_id or BlobId(secrets.token_hex(16))
        staged = StagedBlob(
            self.layout,
            self._own,
            blob_id,
            self._limiter,
            min_free_bytes=self._min_free_bytes,
            observe=observe,
        )
        try:
            await staged.create()
            yield staged
        finally:
            await staged.discard()

    def open(
        self, segments: Iterable[Segment]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._open(tuple(segments))

    @asynccontextmanager
    async def _open(self, segments: tuple[Segment, ...]) -> AsyncIterator[AsyncIterator[bytes]]:
        async with (
            self._readers.reading(segments),
            PieceReader(self._cursor(segments), self.run) as pieces,
        ):
            yield pieces

    async def adopt(self, path: Path) -> BlobId:
        blob_id = BlobId(secrets.token_hex(16))
        if await self.run(_adopt_by_link, self.layout, blob_id, path):
            return blob_id
        return await self._adopt_by_copy(path)

    async def _adopt_by_copy(self, path: Path) -> BlobId:
        async with self.stage() as staged:
            source = await self.run(_open_file, path)
            try:
                offset = 0
                # Cancelled between two pieces, nothing stays: `stage` sees to it.
                while piece := await self.run(os.pread, source, 8 << 20, offset):
                    await staged.write(piece)
                    offset += len(piece)
            except OSError as error:
                raise Unavailable(f"an output could not be read: {error.strerror}") from error
            finally:
                os.close(source)
            await staged.seal()
            return staged.blob_id

    async def materialize(self, segments: tuple[Segment, ...], target: Path) -> None:
        async with self._readers.reading(segments):
            is_complete = False
            try:
                if len(segments) == 1 and await self.run(
                    _link_whole, self.layout, segments[0], target
                ):
                    # The link shares the blob's file, so verifying the blob verifies the link.
                    if segments[0].digest is not None:
                        await self._copy_turns(segments, None)
                else:
                    await self._copy_to(segments, target)
                is_complete = True
            finally:
                if not is_complete:
                    with trio.CancelScope(shield=True):
                        await self.run(files.remove, target)

    async def verify(self, segments: Iterable[Segment]) -> None:
        wanted = tuple(segments)
        async with self._readers.reading(wanted):
            await self._copy_turns(wanted, None)

    async def _copy_to(self, segments: tuple[Segment, ...], target: Path) -> None:
        with files.storage_errors("copying a blob"):
            output = await self.run(files.create_file, target)
        try:
            await self._copy_turns(segments, output)
        finally:
            os.close(output)

    async def _copy_turns(self, segments: tuple[Segment, ...], output: int | None) -> None:
        cursor = self._cursor(segments)
        try:
            while await self.run(copy_turn, cursor, output):
                pass
        finally:
            cursor.close()

    def _cursor(self, segments: tuple[Segment, ...]) -> VerifyingCursor:
        return VerifyingCursor(partial(FileCursor, self.layout), segments)

    async def delete(self, blob_ids: Iterable[BlobId]) -> None:
        wanted = [blob_id for blob_id in blob_ids if files.is_blob_id(blob_id)]
        await self._delete(self._readers.postpone(wanted))

    async def _delete(self, blob_ids: list[BlobId]) -> None:
        for start in range(0, len(blob_ids), SWEEP_BATCH):
            await self.run(self._unlink, blob_ids[start : start + SWEEP_BATCH])

    def older_than(self, seconds: float) -> AsyncIterator[list[BlobId]]:
        return _Sweep(self, seconds)

    async def sweep_unfinished(self, *, is_alone: bool) -> int:
        return await self.run(self._sweep_unfinished, is_alone)

    async def check(self) -> str:
        # Given up where the disk hangs: the trial file is nobody's.
        await trio.to_thread.run_sync(self._probe, abandon_on_cancel=True, limiter=self._limiter)
        return "directory"

    async def free_bytes(self) -> int | None:
        with files.storage_errors("looking for free space"):
            return await self.run(files.free_bytes, self.layout.root)

    async def run(self, work: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        return await trio.to_thread.run_sync(work, *args, limiter=self._limiter)

    def _unlink(self, blob_ids: list[BlobId]) -> None:
        with files.storage_errors("deleting"):
            for blob_id in blob_ids:
                files.remove(self.layout.sealed(blob_id))

    def _sweep_unfinished(self, is_alone: bool) -> int:
        with files.storage_errors("sweeping unfinished uploads"):
            return self._own.sweep(is_alone=is_alone)

    def _probe(self) -> None:
        with files.storage_errors("writing a trial file"):
            blob_id = BlobId(secrets.token_hex(16))
            fd = self._own.create_file(blob_id)
            try:
                files.write_all(fd, [b"."])
                os.fsync(fd)
            finally:
                os.close(fd)
                files.remove(self.layout.staged(blob_id))
            free = files.free_bytes(self.layout.root)
        if free < self._min_free_bytes:
            raise Unavailable(
                f"the blob store has {free} bytes left, less than the {self._min_free_bytes} "
                "of storage.min_free_bytes; free some space"
            )


class _Sweep:
    """Iterates over batches of old blobs' names; not a generator, for it may be left early."""

    def __init__(self, blobs: DirectoryBlobs, seconds: float) -> None:
        self._blobs = blobs
        self._seconds = seconds
        self._moment = 0.0
        self._folders = iter(blobs.layout.fan_out)
        self._batch: list[BlobId] = []
        self._started = False

    def __aiter__(self) -> AsyncIterator[list[BlobId]]:
        return self

    async def __anext__(self) -> list[BlobId]:
        if not self._started:
            self._started = True
            now = await self._blobs.run(_present, self._blobs.layout)
            self._moment = now - self._seconds
        while len(self._batch) < SWEEP_BATCH and (folder := next(self._folders, None)):
            names = await self._blobs.run(_names_older_than, folder, self._moment)
            self._batch.extend(BlobId(name) for name in names if files.is_blob_id(name))
        if not self._batch:
            raise StopAsyncIteration
        batch, self._batch = self._batch[:SWEEP_BATCH], self._batch[SWEEP_BATCH:]
        return batch


def _prepare(root: Path, read_only: bool) -> tuple[files.Layout, OwnStaging]:
    layout = files.Layout(root.resolve())
    own = OwnStaging(layout)
    if read_only:
        return layout, own
    layout.create()
    # A disk without room can still be read; the first upload tries again.
    with suppress(StorageFull), files.storage_errors("creating its folder for uploads"):
        own.claim()
    return layout, own


def _adopt_by_link(layout: files.Layout, blob_id: BlobId, path: Path) -> bool:
    with files.storage_errors("taking over a file"):
        return files.link_in(layout, blob_id, path)


def _link_whole(layout: files.Layout, segment: Segment, target: Path) -> bool:
    with files.storage_errors("linking a blob"):
        fd = files.open_blob(layout, segment.blob_id, segment.offset + segment.size)
        try:
            whole = segment.offset == 0 and os.fstat(fd).st_size == segment.size
        finally:
            os.close(fd)
        return whole and files.try_link(layout.sealed(segment.blob_id), target)


def _open_file(path: Path) -> int:
    with files.storage_errors("opening a file"):
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _present(layout: files.Layout) -> float:
    with files.storage_errors("asking for the time"):
        return files.present(layout)


def _names_older_than(folder: Path, moment: float) -> list[str]:
    with files.storage_errors("listing blobs"):
        return files.names_older_than(folder, moment)
