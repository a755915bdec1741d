"""The bytes of segments, one after another, in pieces of 1 MiB, read a few pieces ahead.

Made by the stores' `open`. While the consumer sends one piece, a thread reads the next from
the store's cursor. Knows nothing of where the bytes lie.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

import trio

from mediaconvert.backends.blobs import files
from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import BLOCK_BYTES

PIECE_BYTES = BLOCK_BYTES
"""One read is one block to verify."""

COPY_TURN_BYTES = 16 << 20
"""A copy looks at cancellation, and lets others have the thread, after this many bytes."""

FEW_READERS = 16
"""With as many at most, each may hold 5 MiB; with more, 3 MiB: with the consumer's piece and the
buffered one."""

InThread = Callable[[Callable[[], list[bytes]]], Awaitable[list[bytes]]]
"""Runs a blocking call elsewhere."""


class Cursor(Protocol):
    """Reads segments in order; blocking, used by one thread at a time."""

    def next_piece(self) -> bytes:
        """At most PIECE_BYTES, empty at the end. Raises Unavailable, BlobDamaged."""

    @property
    def at_end(self) -> bool: ...

    def close(self) -> None:
        """Never blocks. Where calls are left behind when cancelled, one may still be under
        way in its thread; it ends soon, and its answer is lost."""


class PieceReader:
    """Async context manager and, inside of it, the iterator of pieces (not a generator: one
    that is left early would have to be closed by its user).

    The read-ahead lives in a nursery of its own, which never sees the exceptions of the
    caller's block: they leave it as they are, not in a group.
    """

    open_readers = 0
    """Readers in this process that read ahead now."""

    def __init__(self, cursor: Cursor, in_thread: InThread) -> None:
        self._cursor = cursor
        self._in_thread = in_thread
        self._first = b""
        self._nurseries = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._failure: Exception | None = None
        # One piece is buffered, so that reading goes on while the consumer sends the one before it.
        self._send, self._pieces = trio.open_memory_channel[bytes](1)

    async def __aenter__(self) -> AsyncIterator[bytes]:
        with ExitStack() as undo:
            undo.callback(self._cursor.close)
            (self._first,) = await self._in_thread(lambda: [self._cursor.next_piece()])
            undo.pop_all()
        if not self._cursor.at_end:
            self._nursery = await self._nurseries.__aenter__()
            PieceReader.open_readers += 1
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
                PieceReader.open_readers -= 1
                self._nursery.cancel_scope.cancel()
                await self._nurseries.__aexit__(None, None, None)
        finally:
            self._cursor.close()

    async def _read_ahead(self) -> None:
        async with self._send:
            try:
                while self._failure is None and not self._cursor.at_end:
                    for piece in await self._in_thread(self._next_pieces):
                        await self._send.send(piece)
            except (Unavailable, BlobDamaged) as failure:
                self._failure = failure

    def _next_pieces(self) -> list[bytes]:
        """Two at a time saves a hand-over between threads for every second piece, which is about
        what verifying costs. Not while many read: what is read ahead would add up."""
        pieces = [self._cursor.next_piece()]
        if PieceReader.open_readers <= FEW_READERS and not self._cursor.at_end:
            try:
                pieces.append(self._cursor.next_piece())
            except (Unavailable, BlobDamaged) as failure:
                # After the piece before it has been delivered.
                self._failure = failure
        return pieces

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


def copy_turn(cursor: Cursor, target: int | None) -> bool:
    """Append up to COPY_TURN_BYTES of what the cursor reads to the open file `target`, or only
    verify them where that is None; whether there is more. Raises as the cursor, and StorageFull
    and Unavailable for the file."""
    done = 0
    while done < COPY_TURN_BYTES:
        piece = cursor.next_piece()
        if not piece:
            return False
        if target is not None:
            with files.storage_errors("copying a blob"):
                files.write_all(target, [piece])
        done += len(piece)
    return not cursor.at_end


def copy_to_file(cursor: Cursor, target: Path) -> None:
    """Everything that the cursor reads, into an existing file. Raises as `copy_turn`."""
    with files.storage_errors("copying a blob"):
        fd = os.open(target, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while copy_turn(cursor, fd):
            pass
    finally:
        os.close(fd)
