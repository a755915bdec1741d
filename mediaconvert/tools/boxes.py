"""Walks the top-level boxes of an MP4 or QuickTime file to see whether its end is missing.

A film cut off in the middle would otherwise be converted as far as it goes, without a word.
Reads a few bytes a box and nothing inside. Called by `tools.probe`, in a thread.
"""

from __future__ import annotations

from typing import BinaryIO

# A fragmented film has two boxes a few seconds; nobody's has more than these.
_MOST_BOXES = 200_000

_NEEDED = {b"mdat", b"moov", b"moof"}


def missing_bytes(file: BinaryIO, size: int) -> int:
    """How many bytes the last box (ISO 14496-12: 4 bytes of size, 4 of type, 8 more where the
    size is 1; 0 means to the end) says are missing; 0 when the file is whole."""
    position = 0
    for _ in range(_MOST_BOXES):
        if size - position < 8:
            return 0
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            return 0
        if length < 8:
            return 0  # not a box: ffprobe shall say what is wrong
        position += length
        if position > size:
            # Only of what matters: many a file has rubbish behind its last box.
            return position - size if header[4:8] in _NEEDED else 0
    return 0
