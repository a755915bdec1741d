"""Compares every block that is read with its stored digest, before any byte of it is used.

Wraps a store's own cursor, which then reads whole blocks; what was asked for is cut out of them
afterwards. Segments without a digest (blobs stored before digests were kept) pass unverified.
Blocking, used by one thread at a time, as every `reading.Cursor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mediaconvert.backends.blobs.reading import Cursor
from mediaconvert.digests import block_crc
from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import BLOCK_BYTES, BlobDigest, Segment

OpenCursor = Callable[[tuple[Segment, ...]], Cursor]


class VerifyingCursor:
    """reading.Cursor over verified blocks."""

    def __init__(self, open_cursor: OpenCursor, segments: Sequence[Segment]) -> None:
        self._open = open_cursor
        wanted = [segment for segment in segments if segment.size > 0]
        self._left = list(reversed(wanted))
        self._cursor = open_cursor(tuple(_whole_blocks(segment) for segment in wanted))
        self._second_look: Cursor | None = None
        self._is_closed = False
        self._surplus = b""
        """Bytes of the current segment that were read beyond the wanted block."""
        self._position = 0
        """Where the next block begins, counted from the start of the current segment's blob."""
        self._begin()

    def next_piece(self) -> bytes:
        while self._left:
            segment = self._left[-1]
            start = self._position
            if segment.digest is None:
                block = self._cursor.next_piece()
            else:
                block = self._verified_block(segment, segment.digest)
            if not block:
                raise Unavailable(f"blob {segment.blob_id} ended early while it was read")
            self._position += len(block)
            end = segment.offset + segment.size
            if self._position >= end:
                self._left.pop()
                self._begin()
            first, last = max(segment.offset - start, 0), min(end - start, len(block))
            return block if last - first == len(block) else block[first:last]
        return b""

    @property
    def at_end(self) -> bool:
        return not self._left

    def close(self) -> None:
        self._is_closed = True
        self._cursor.close()
        if (second_look := self._second_look) is not None:
            second_look.close()

    def _begin(self) -> None:
        if self._left:
            self._position = _whole_blocks(self._left[-1]).offset

    def _verified_block(self, segment: Segment, digest: BlobDigest) -> bytes:
        index = self._position // BLOCK_BYTES
        size = min(BLOCK_BYTES, digest.size - self._position)
        block = self._exactly(size)
        if block_crc(block) == digest.block(index):
            return block
        # Once more: the bytes may have been damaged on their way here, not where they are stored.
        block = self._read_again(Segment(segment.blob_id, self._position, size))
        if block_crc(block) != digest.block(index):
            raise BlobDamaged(
                segment.blob_id,
                f"bytes {self._position} to {self._position + size - 1} are not those that were "
                "stored",
            )
        return block

    def _exactly(self, size: int) -> bytes:
        """The next `size` bytes of the current segment. After a broken connection a cursor goes
        on where it was, so its pieces need not end where blocks do. They never cross segments."""
        pieces, missing = [self._surplus], size - len(self._surplus)
        while missing > 0 and (piece := self._cursor.next_piece()):
            pieces.append(piece)
            missing -= len(piece)
        read = b"".join(pieces) if pieces[0] or len(pieces) > 2 else pieces[-1]
        self._surplus = read[size:]
        return read[:size] if self._surplus else read

    def _read_again(self, block: Segment) -> bytes:
        second_look = self._second_look = self._open((block,))
        try:
            if self._is_closed:
                second_look.close()
            pieces = []
            while piece := second_look.next_piece():
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self._second_look = None
            second_look.close()


def _whole_blocks(segment: Segment) -> Segment:
    """The blocks that a segment touches, as one segment of the same blob."""
    if segment.digest is None:
        return segment
    end = segment.offset + segment.size
    if end > segment.digest.size:
        raise BlobDamaged(
            segment.blob_id, f"it was stored with {segment.digest.size} bytes; {end} are needed"
        )
    first = segment.offset - segment.offset % BLOCK_BYTES
    last = min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, segment.digest.size)
    return Segment(segment.blob_id, first, last - first)
