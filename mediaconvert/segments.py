"""Arithmetic on an object's segments: the run of bytes that a range or a part means. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mediaconvert.model import Segment, StoredObject


def slice_segments(segments: Sequence[Segment], start: int, size: int) -> tuple[Segment, ...]:
    """The `size` bytes from `start` on; they must lie inside of the segments."""
    found = []
    for segment in segments:
        taken = min(segment.size - start, size)
        if taken > 0:
            part = replace(segment, offset=segment.offset + start, size=taken)
            found.append(part)
            size -= taken
            start = 0
        else:
            start -= segment.size
    return tuple(found)


def part_bounds(stored: StoredObject, number: int) -> tuple[int, int] | None:
    """Where a part begins, and its size; None where the object has no such part. An object
    that was uploaded whole has the one part 1."""
    if not stored.parts:
        return (0, stored.size) if number == 1 else None
    # A part keeps its place in the list, not the number it was uploaded with
    # (S3 API: GetObject, partNumber).
    if number > len(stored.parts):
        return None
    start = sum(part.size for part in stored.parts[: number - 1])
    return start, stored.parts[number - 1].size
