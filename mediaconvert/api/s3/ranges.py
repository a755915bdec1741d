"""Byte ranges: of a GET (RFC 9110 §14) and of UploadPartCopy, as first and last byte.

A Range that is malformed, of another unit, or of several parts is ignored, as S3 does; one
that lies behind the object's end is refused. A copy's range must be exactly right. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mediaconvert.api.s3.errors import S3Error, invalid_argument
from mediaconvert.api.s3.numbers import MAX_SIZE, whole_number

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.ASCII)
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A run of an object's bytes; never empty."""

    first: int
    last: int
    """Inclusive."""

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, size: int) -> str:
        """The Content-Range header of an object of `size` bytes."""
        return f"bytes {self.first}-{self.last}/{size}"


def parse_range(value: str | None, size: int) -> ByteRange | None:
    """What a Range header asks of an object of `size` bytes; None for the whole of it.

    Raises S3Error InvalidRange (416, with Content-Range) where no byte of it exists.
    """
    found = _RANGE.fullmatch(value.strip()) if value else None
    if value is None or found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        suffix = _offset(found[2])
        if suffix == 0 or size == 0:
            raise _not_satisfiable(value, size)
        return ByteRange(max(0, size - suffix), size - 1)
    first = _offset(found[1])
    last = _offset(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise _not_satisfiable(value, size)
    return ByteRange(first, min(last, size - 1))


def parse_copy_range(value: str | None, size: int) -> ByteRange | None:
    """What `x-amz-copy-source-range` asks of a source of `size` bytes; None without it.

    Raises S3Error InvalidArgument unless it is `bytes=first-last` within the source (S3 API:
    UploadPartCopy).
    """
    if value is None:
        return None
    found = _COPY_RANGE.fullmatch(value.strip())
    if found is None or _offset(found[1]) > _offset(found[2]):
        raise invalid_argument(
            "x-amz-copy-source-range",
            value,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
        )
    if _offset(found[2]) >= size:
        raise invalid_argument(
            "x-amz-copy-source-range",
            value,
            f"Range specified is not valid for source object of size: {size}",
        )
    return ByteRange(_offset(found[1]), _offset(found[2]))


def _offset(digits: str) -> int:
    """An offset of any number of digits; those past every object are all the same one."""
    offset = whole_number(digits)
    return MAX_SIZE if offset is None else offset


def _not_satisfiable(value: str, size: int) -> S3Error:
    return S3Error(
        "InvalidRange",
        "The requested range is not satisfiable",
        {"RangeRequested": value, "ActualObjectSize": str(size)},
        [("content-range", f"bytes */{size}")],
    )
