"""Decides whether a CompleteMultipartUpload names a whole object, and which.

`assemble` is handed to `Uploads.complete` as the pure middle of its transaction: it may be
called again and touches nothing. The rules and their errors are S3's (API: Complete- and
CreateMultipartUpload). Never reads a byte of any part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mediaconvert.digests import SIZES, combine, composite, multipart_etag
from mediaconvert.errors import (
    ChecksumMismatch,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    PartTooSmall,
)
from mediaconvert.model import Checksum, NewObject, Part, PartInfo, Upload

MAX_PARTS = 10_000
"""Part numbers are 1 to this (S3 User Guide: Multipart upload limits)."""


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part as the client lists it in CompleteMultipartUpload."""

    number: int
    etag: str
    """Without quotes."""
    checksum: Checksum | None = None
    size: int | None = None


def checksum_type(algorithm: str | None, requested: str | None) -> str | None:
    """The checksum type of a new upload: what was asked for, or the algorithm's default.

    None without an algorithm. Raises InvalidRequest for an unknown type, a type without an
    algorithm, and the combinations that do not exist: CRC64NVME is FULL_OBJECT only, SHA1 and
    SHA256 are COMPOSITE only; CRC32 and CRC32C are both, COMPOSITE unless told.
    """
    if requested is not None and requested not in ("COMPOSITE", "FULL_OBJECT"):
        raise InvalidRequest(
            f"checksum type {requested!r} does not exist; it is COMPOSITE or FULL_OBJECT"
        )
    if algorithm is None:
        if requested is not None:
            raise InvalidRequest(
                f"checksum type {requested} needs x-amz-checksum-algorithm beside it"
            )
        return None
    only = {"CRC64NVME": "FULL_OBJECT", "SHA1": "COMPOSITE", "SHA256": "COMPOSITE"}.get(algorithm)
    if only is not None and requested is not None and requested != only:
        raise InvalidRequest(
            f"the {requested} checksum type cannot be used with {algorithm}; use {only}"
        )
    return requested or only or "COMPOSITE"


def assemble(
    upload: Upload,
    stored: Sequence[Part],
    listed: Sequence[ListedPart],
    *,
    min_part_bytes: int,
    declared: Checksum | None = None,
    declared_type: str | None = None,
    declared_size: int | None = None,
) -> NewObject:
    """The object that the listed parts make, in their order.

    `declared` is the whole object's checksum as the client computed it, `declared_type` its
    `x-amz-checksum-type`, `declared_size` its `x-amz-mp-object-size`. Raises InvalidPart,
    InvalidPartOrder, PartTooSmall, ChecksumMismatch, and InvalidRequest where the request
    contradicts how the upload was begun.
    """
    _check_request(upload, listed, declared, declared_type)
    chosen = _choose(stored, listed)
    for part in chosen[:-1]:
        if part.size < min_part_bytes:
            raise PartTooSmall(part.number, part.size, min_part_bytes)
    size = sum(part.size for part in chosen)
    if declared_size is not None and declared_size != size:
        raise InvalidRequest(
            f"x-amz-mp-object-size is {declared_size}, but the listed parts have {size} bytes"
        )
    checksum = _whole_checksum(upload, chosen)
    if declared is not None:
        _compare(declared, checksum)
    return NewObject(
        key=upload.key,
        size=size,
        etag=multipart_etag([part.md5 for part in chosen]),
        headers=upload.headers,
        segments=tuple(s for part in chosen for s in part.segments if s.size > 0),
        checksum=checksum,
        parts=tuple(
            PartInfo(part.number, part.size, part.checksum.value if part.checksum else None)
            for part in chosen
        ),
    )


def _check_request(
    upload: Upload,
    listed: Sequence[ListedPart],
    declared: Checksum | None,
    declared_type: str | None,
) -> None:
    """What can be said without looking at the stored parts."""
    if not listed:
        raise InvalidRequest("you must specify at least one part")
    if any(b.number <= a.number for a, b in pairwise(listed)):
        raise InvalidPartOrder
    algorithm = upload.checksum_algorithm
    if declared is not None and algorithm is not None and declared.algorithm != algorithm:
        raise InvalidRequest(
            f"the upload was created with {algorithm} checksums; the complete request "
            f"declares {declared.algorithm}"
        )
    if declared_type not in (None, "COMPOSITE", "FULL_OBJECT"):
        raise InvalidRequest(
            f"checksum type {declared_type!r} does not exist; it is COMPOSITE or FULL_OBJECT"
        )
    if declared_type is not None and declared_type != (upload.checksum_type or declared_type):
        raise InvalidRequest(
            f"the upload was created using the {upload.checksum_type} checksum mode; the "
            "complete request must use the same checksum mode"
        )
    if algorithm is not None and upload.checksum_type == "COMPOSITE":
        missing = next((p.number for p in listed if p.checksum is None), None)
        if missing is not None:
            raise InvalidRequest(
                f"the upload was created using a {algorithm.lower()} checksum; the complete "
                "request must include the checksum for each part; it was missing for part "
                f"{missing}"
            )


def _choose(stored: Sequence[Part], listed: Sequence[ListedPart]) -> list[Part]:
    """The stored part of each listed one, compared by ETag and, where given, by checksum."""
    by_number = {part.number: part for part in stored}
    chosen = []
    for wanted in listed:
        part = by_number.get(wanted.number)
        if part is None:
            raise InvalidPart(
                f"part {wanted.number} was not uploaded; upload it, or leave it out of the list"
            )
        # S3 takes the ETag in either case of its hex digits.
        if wanted.etag.lower() != part.md5:
            raise InvalidPart(
                f"part {wanted.number} has the ETag {part.md5}, not {wanted.etag}; it may have "
                "been uploaded again since"
            )
        if wanted.size not in (None, part.size):
            raise InvalidPart(
                f"part {wanted.number} has {part.size} bytes, not {wanted.size}; it may have been "
                "uploaded again since"
            )
        if wanted.checksum is not None and not _same(wanted.checksum, part.checksum):
            raise InvalidPart(
                f"part {wanted.number} does not have the {wanted.checksum.algorithm} "
                f"{wanted.checksum.value}"
            )
        chosen.append(part)
    return chosen


def _same(listed: Checksum, stored: Checksum | None) -> bool:
    return (
        stored is not None and stored.algorithm == listed.algorithm and stored.value == listed.value
    )


def _whole_checksum(upload: Upload, chosen: Sequence[Part]) -> Checksum | None:
    """The object's checksum by the upload's algorithm and type; None where the upload has no
    algorithm, or a part came in without its checksum."""
    algorithm = upload.checksum_algorithm
    if algorithm is None or algorithm not in SIZES:
        return None
    values = [
        part.checksum.value
        for part in chosen
        if part.checksum is not None and part.checksum.algorithm == algorithm
    ]
    if len(values) < len(chosen):
        return None
    if checksum_type(algorithm, upload.checksum_type) == "COMPOSITE":
        return composite(algorithm, values)
    sizes = [part.size for part in chosen]
    return combine(algorithm, list(zip(values, sizes, strict=True)))


def _compare(declared: Checksum, computed: Checksum | None) -> None:
    if computed is None:
        raise InvalidRequest(
            f"the {declared.algorithm} of the whole object cannot be checked: the upload was "
            "created without x-amz-checksum-algorithm, or a part has no checksum"
        )
    # Clients send a composite value with or without its -N.
    if declared.value not in (computed.value, computed.value.partition("-")[0]):
        raise ChecksumMismatch(declared.algorithm, declared.value, computed.value)
