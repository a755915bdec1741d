"""Reads segments out of the blob folder; blocking, for one thread at a time.

A file that is open stays open, so that a deletion meanwhile does not matter. Used by
`DirectoryBlobs.open` through `reading.PieceReader`.
"""

from __future__ import annotations

import os

from mediaconvert.backends.blobs import files
from mediaconvert.backends.blobs.reading import PIECE_BYTES
from mediaconvert.errors import BlobDamaged
from mediaconvert.model import BlobId, Segment


class FileCursor:
    """reading.Cursor on local files. Closed only while no thread reads."""

    def __init__(self, layout: files.Layout, segments: tuple[Segment, ...]) -> None:
        self._layout = layout
        self._left = [segment for segment in reversed(segments) if segment.size > 0]
        self._fd = -1
        self._blob_id = BlobId("")
        self._offset = 0
        self._size = 0

    def next_piece(self) -> bytes:
        with files.storage_errors("reading"):
            if self._size == 0 and not self._next_segment():
                return b""
            piece = os.pread(self._fd, min(self._size, PIECE_BYTES), self._offset)
            if not piece:
                raise BlobDamaged(self._blob_id, "it became shorter while it was read")
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
        self._blob_id = segment.blob_id
        self._offset, self._size = segment.offset, segment.size
        if segment.size > PIECE_BYTES:
            os.posix_fadvise(self._fd, segment.offset, segment.size, os.POSIX_FADV_SEQUENTIAL)
        return True
