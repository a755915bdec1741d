"""Where the bytes of an upload into an S3 store come from: a client piece by piece, or a file.

A client's pieces are gathered to about 1 MiB, hashed in a thread, and handed over to the
upload's own thread, which takes them a part at a time. Made by `S3Blobs`. Memory, in parts (the
SDK holds each whole): one waits here, one is being joined while the SDK still holds the one
before it and, for a moment, a copy: at most 4 and 2 MiB an upload; while sending, 2.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import trio

from mediaconvert.backends.blobs.s3_errors import Abandoned
from mediaconvert.backends.blobs.s3_uploading import UNKNOWN_LENGTH, Upload
from mediaconvert.backends.blobs.staging import GATHER_BYTES, Observe
from mediaconvert.errors import Unavailable
from mediaconvert.model import BlobId

InThread = Callable[[Callable[[], None]], Awaitable[None]]


class HandOver:
    """Pieces on their way from a task to the upload's thread; a Source. Holds at most a part
    and one gathered piece."""

    def __init__(self, part_bytes: int) -> None:
        # The SDK reads one byte more than a part to know whether another follows.
        self._enough_bytes = part_bytes + 1
        self._pieces: deque[bytes | memoryview] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._is_complete = self._is_abandoned = self._is_settled = self._is_closed = False
        self._token = trio.lowlevel.current_trio_token()
        self._room: trio.Event | None = None
        self.total_bytes = 0

    # --- in the task --------------------------------------------------------------------------

    def add(self, piece: bytes) -> None:
        with self._changed:
            self._pieces.append(piece)
            self._held_bytes += len(piece)
            self.total_bytes += len(piece)
            self._changed.notify_all()

    async def wait_for_room(self) -> None:
        """Until less than a part waits to be read, or nobody reads any more."""
        with self._changed:
            if self._is_closed or self._held_bytes < self._enough_bytes:
                return
            room = self._room = trio.Event()
        # One wait is enough: a read takes whole parts.
        await room.wait()

    def complete(self) -> None:
        """There will be no more pieces."""
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._is_abandoned = not self._is_settled
            self._pieces.clear()
            self._held_bytes = 0
            self._changed.notify_all()

    # --- in the upload's thread ---------------------------------------------------------------

    def read(self, size: int) -> bytes:
        with self._changed:
            # No bound here: it is the client's pace. The task always completes or abandons.
            self._changed.wait_for(
                lambda: self._held_bytes >= size or self._is_complete or self._is_abandoned
            )
            if self._is_abandoned:
                raise Abandoned
            pieces = self._take(size)
        data = b"".join(pieces)
        self._tell_of_room()
        return data

    @property
    def is_drained(self) -> bool:
        with self._changed:
            return self._is_complete and not self._pieces

    def settle(self) -> bool:
        with self._changed:
            self._is_settled = not self._is_abandoned
            return self._is_settled

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
        self._tell_of_room()

    def _take(self, size: int) -> list[bytes | memoryview]:
        taken: list[bytes | memoryview] = []
        while size and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(memoryview(piece)[size:])
                piece = memoryview(piece)[:size]
            taken.append(piece)
            size -= len(piece)
            self._held_bytes -= len(piece)
        return taken

    def _tell_of_room(self) -> None:
        with self._changed:
            room, self._room = self._room, None
        if room is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(room.set)


class S3Writer:
    """ports.blobs.BlobWriter on an S3 store. Up to one part is kept here until `seal` and then
    stored by one request; of what is larger, an upload in parts begins at once."""

    def __init__(
        self,
        blob_id: BlobId,
        upload: Upload,
        pieces: HandOver,
        *,
        part_bytes: int,
        observe: Observe | None,
        in_thread: InThread,
    ) -> None:
        self._blob_id = blob_id
        self._upload = upload
        self._handed = pieces
        self._part_bytes = part_bytes
        self._observe = observe
        self._in_thread = in_thread
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._is_sealed = False

    @property
    def blob_id(self) -> BlobId:
        return self._blob_id

    async def write(self, data: bytes | memoryview) -> None:
        if self._is_sealed:
            raise RuntimeError("a sealed blob cannot be written to")
        # What a view shows may change before the upload's thread reads it.
        self._gathered.append(data if isinstance(data, bytes) else bytes(data))
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= GATHER_BYTES:
            await self._flush()
            if self._handed.total_bytes > self._part_bytes:
                await self._go_on()

    async def seal(self) -> None:
        await self._flush()
        self._handed.complete()
        if not self._upload.has_started:
            await self._upload.start(self._handed.total_bytes)
        await self._upload.wait()
        self._is_sealed = True

    async def discard(self) -> None:
        """Remove every trace, unless it was sealed."""
        if not self._is_sealed:
            await self._upload.discard()

    async def _flush(self) -> None:
        pieces, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if self._observe is not None and pieces:
            await self._in_thread(partial(_show, pieces, self._observe))
        else:
            await trio.lowlevel.checkpoint()
        for piece in pieces:
            self._handed.add(piece)

    async def _go_on(self) -> None:
        if not self._upload.has_started:
            await self._upload.start(UNKNOWN_LENGTH)
        await self._handed.wait_for_room()
        if self._upload.has_ended:
            # Before its end, so this raises why.
            await self._upload.wait()


def _show(pieces: list[bytes], observe: Observe) -> None:
    for piece in pieces:
        observe(piece)


class FileSource:
    """A finished local file; a Source. At its end the upload's thread closes the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = os.fstat(file.fileno()).st_size
        self._read_bytes = 0
        self._lock = threading.Lock()
        self._is_abandoned = self._is_settled = False

    def read(self, size: int) -> bytes:
        if self._is_abandoned:
            raise Abandoned
        data = self._file.read(size)
        self._read_bytes += len(data)
        return data

    @property
    def is_drained(self) -> bool:
        return self._read_bytes >= self.size_bytes

    def abandon(self) -> None:
        with self._lock:
            self._is_abandoned = not self._is_settled

    def settle(self) -> bool:
        with self._lock:
            self._is_settled = not self._is_abandoned
            return self._is_settled

    def close(self) -> None:
        self._file.close()


def open_source(path: Path) -> FileSource:
    """Blocking. Raises Unavailable where there is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Unavailable("an output could not be read: it is not a regular file")
        # Unbuffered: a part is read in one go.
        return FileSource(os.fdopen(fd, "rb", buffering=0))
    except OSError as error:
        raise Unavailable(f"an output could not be read: {error.strerror}") from error
