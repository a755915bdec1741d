"""The bytes of segments, one after another, in pieces of 1 MiB, read one piece ahead.

Made by `DirectoryBlobs.open`. While the consumer sends one piece, a thread reads the next;
an open file is kept open, so that a deletion meanwhile does not matter.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from types import TracebackType

import trio

from mediaconvert.backends.blobs import files
from mediaconvert.errors import Unavailable
from mediaconvert.model import Segment

PIECE_BYTES = 1 << 20


class _Cursor:
    """Reads the segments in order; blocking, used by one thread at a time."""

    def __init__(self, layout: files.Layout, segments: tuple[Segment, ...]) -> None:
        self._layout = layout
        self._left = [segment for segment in reversed(segments) if segment.size > 0]
        self._fd = -1
        self._offset = 0
        self._size = 0

    def next_piece(self) -> bytes:
        """At most PIECE_BYTES, empty at the end."""
        with files.storage_errors("reading"):
            if self._size == 0 and not self._next_segment():
                return b""
            piece = os.pread(self._fd, min(self._size, PIECE_BYTES), self._offset)
            if not piece:
                raise Unavailable("a blob became shorter while it was read")
            self._offset += len(piece)
            self._size -= len(piece)
            return piece

    @property
    def at_end(self) -> bool:
        return self._size == 0 and not self._left

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _next_segment(self) -> bool:
        self.close()
        if not self._left:
            return False
        segment = self._left.pop()
        end = segment.offset + segment.size
        self._fd = files.open_blob(self._layout, segment.blob_id, end)
        self._offset, self._size = segment.offset, segment.size
        if segment.size > PIECE_BYTES:
            os.posix_fadvise(self._fd, segment.offset, segment.size, os.POSIX_FADV_SEQUENTIAL)
        return True


class BlobReader:
    """Async context manager and, inside of it, the iterator of pieces (not a generator: one
    that is left early would have to be closed by its user).

    The read-ahead lives in a nursery of its own, which never sees the exceptions of the
    caller's block: they leave it as they are, not in a group.
    """

    def __init__(
        self, layout: files.Layout, segments: tuple[Segment, ...], limiter: trio.CapacityLimiter
    ) -> None:
        self._cursor = _Cursor(layout, segments)
        self._limiter = limiter
        self._first = b""
        self._nurseries = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._failure: Exception | None = None
        # Nothing is buffered: one piece waits in the task that read it, one is the consumer's.
        self._send, self._pieces = trio.open_memory_channel[bytes](0)

    async def __aenter__(self) -> AsyncIterator[bytes]:
        with ExitStack() as undo:
            undo.callback(self._cursor.close)
            self._first = await self._in_thread()
            undo.pop_all()
        if not self._cursor.at_end:
            self._nursery = await self._nurseries.__aenter__()
            self._nursery.start_soon(self._read_ahead)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()
                await self._nurseries.__aexit__(None, None, None)
        finally:
            self._cursor.close()

    async def _read_ahead(self) -> None:
        async with self._send:
            try:
                while not self._cursor.at_end:
                    await self._send.send(await self._in_thread())
            except Unavailable as failure:
                self._failure = failure

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._nursery is None:
            raise StopAsyncIteration
        try:
            return await self._pieces.receive()
        except trio.EndOfChannel:
            if self._failure is not None:
                raise self._failure from None
            raise StopAsyncIteration from None

    async def _in_thread(self) -> bytes:
        return await trio.to_thread.run_sync(self._cursor.next_piece, limiter=self._limiter)
