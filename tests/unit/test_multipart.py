"""Which object a CompleteMultipartUpload makes, and why it is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.digests import Digests, checksum_of, composite, multipart_etag
from mediaconvert.errors import (
    ChecksumMismatch,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    PartTooSmall,
)
from mediaconvert.model import BlobId, Checksum, ObjectHeaders, Part, Segment, Upload
from mediaconvert.multipart import ListedPart, assemble, checksum_type

HEADERS = ObjectHeaders(content_type="video/mp4", user={"pipeline": "x"})


def upload(algorithm: str | None = None, type: str | None = None) -> Upload:
    return Upload("id", 1, "film.mp4", HEADERS, algorithm, type, 0)


def part(number: int, data: bytes, algorithm: str | None = None) -> Part:
    digests = Digests([algorithm] if algorithm else [])
    digests.update(data)
    checksum = digests.checksum(algorithm) if algorithm else None
    segments = (Segment(BlobId(f"{number:032x}"), 0, len(data)),)
    return Part(number, len(data), digests.etag, checksum, segments)


def listed(parts: list[Part], *, with_checksums: bool = False) -> list[ListedPart]:
    return [ListedPart(p.number, p.md5, p.checksum if with_checksums else None) for p in parts]


@given(
    st.lists(st.binary(min_size=3, max_size=9), min_size=1, max_size=6),
    st.sampled_from([None, "CRC32", "CRC32C", "CRC64NVME"]),
)
def test_the_object_is_its_parts_in_order(bodies, algorithm):
    stored = [part(n * 2 + 1, body, algorithm) for n, body in enumerate(bodies)]
    kind = "FULL_OBJECT" if algorithm else None
    whole = b"".join(bodies)
    new = assemble(
        upload(algorithm, kind),
        stored[::-1],
        listed(stored),
        min_part_bytes=3,
        declared=checksum_of(algorithm, whole) if algorithm else None,
        declared_size=len(whole),
    )
    assert (new.key, new.headers, new.size) == ("film.mp4", HEADERS, len(whole))
    assert new.etag == multipart_etag([p.md5 for p in stored])
    assert [s.blob_id for s in new.segments] == [p.segments[0].blob_id for p in stored]
    assert new.checksum == (checksum_of(algorithm, whole) if algorithm else None)
    assert [(p.number, p.size) for p in new.parts] == [(p.number, p.size) for p in stored]


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_composite_checksum_is_that_of_the_parts(algorithm):
    stored = [part(1, b"aaaa", algorithm), part(2, b"b", algorithm)]
    wanted = composite(algorithm, [p.checksum.value for p in stored])
    for declared in (None, wanted, replace(wanted, value=wanted.value.removesuffix("-2"))):
        new = assemble(
            upload(algorithm, "COMPOSITE"),
            stored,
            listed(stored, with_checksums=True),
            min_part_bytes=4,
            declared=declared,
            declared_type="COMPOSITE",
        )
        assert new.checksum == wanted
        assert [p.checksum for p in new.parts] == [p.checksum.value for p in stored]


def test_parts_that_are_not_listed_are_left_out():
    stored = [part(1, b"aaaa"), part(2, b"bbbb"), part(3, b"cccc")]
    new = assemble(upload(), stored, listed([stored[0], stored[2]]), min_part_bytes=4)
    assert [p.number for p in new.parts] == [1, 3]
    assert new.size == 8


def test_an_empty_last_part_has_no_segment():
    stored = [part(1, b"")]
    new = assemble(upload(), stored, listed(stored), min_part_bytes=4)
    assert (new.size, new.segments) == (0, ())


@pytest.mark.parametrize("order", [(2, 1), (1, 1), (1, 3, 2)])
def test_parts_out_of_order_are_refused(order):
    stored = [part(n, b"aaaa") for n in (1, 2, 3)]
    with pytest.raises(InvalidPartOrder):
        assemble(upload(), stored, [ListedPart(n, "x") for n in order], min_part_bytes=4)


def test_a_missing_part_or_another_etag_is_refused():
    stored = [part(1, b"aaaa")]
    with pytest.raises(InvalidPart, match="part 2 was not uploaded"):
        assemble(upload(), stored, [ListedPart(2, stored[0].md5)], min_part_bytes=4)
    with pytest.raises(InvalidPart, match="has the ETag"):
        assemble(upload(), stored, [ListedPart(1, "0" * 32)], min_part_bytes=4)
    assemble(upload(), stored, [ListedPart(1, stored[0].md5.upper())], min_part_bytes=4)


def test_a_listed_size_is_compared():
    stored = [part(1, b"abc"), part(2, b"x")]
    sized = [replace(each, size=size) for each, size in zip(listed(stored), (3, 1), strict=True)]
    assert assemble(upload(), stored, sized, min_part_bytes=3).size == 4
    with pytest.raises(InvalidPart, match="part 2 has 1 bytes, not 2"):
        assemble(upload(), stored, [sized[0], replace(sized[1], size=2)], min_part_bytes=3)


def test_only_the_last_part_may_be_small():
    stored = [part(1, b"aaa"), part(2, b"b")]
    with pytest.raises(PartTooSmall, match="part 1 has 3 bytes"):
        assemble(upload(), stored, listed(stored), min_part_bytes=4)
    assemble(upload(), stored[:1], listed(stored[:1]), min_part_bytes=4)


def test_what_contradicts_the_parts_is_refused():
    stored = [part(1, b"aaaa", "CRC32")]
    other = [ListedPart(1, stored[0].md5, Checksum("CRC32", "AAAAAA=="))]
    begun = upload("CRC32", "FULL_OBJECT")
    with pytest.raises(InvalidPart, match="does not have the CRC32"):
        assemble(begun, stored, other, min_part_bytes=4)
    with pytest.raises(ChecksumMismatch):
        assemble(
            begun, stored, listed(stored), min_part_bytes=4, declared=Checksum("CRC32", "AAAAAA==")
        )
    with pytest.raises(InvalidRequest, match="x-amz-mp-object-size is 5"):
        assemble(begun, stored, listed(stored), min_part_bytes=4, declared_size=5)


def test_what_contradicts_the_upload_is_refused():
    stored = [part(1, b"aaaa", "CRC32")]
    begun = upload("CRC32", "COMPOSITE")
    with pytest.raises(InvalidRequest, match="missing for part 1"):
        assemble(begun, stored, listed(stored), min_part_bytes=4)
    full = listed(stored, with_checksums=True)
    with pytest.raises(InvalidRequest, match="same checksum mode"):
        assemble(begun, stored, full, min_part_bytes=4, declared_type="FULL_OBJECT")
    with pytest.raises(InvalidRequest, match="declares SHA256"):
        assemble(begun, stored, full, min_part_bytes=4, declared=Checksum("SHA256", "x"))
    with pytest.raises(InvalidRequest, match="cannot be checked"):
        assemble(
            upload(), stored, listed(stored), min_part_bytes=4, declared=Checksum("CRC32", "x")
        )
    with pytest.raises(InvalidRequest, match="at least one part"):
        assemble(upload(), stored, [], min_part_bytes=4)


def test_a_part_without_its_checksum_leaves_the_object_without_one():
    stored = [part(1, b"aaaa", "CRC32"), part(2, b"bbbb")]
    new = assemble(upload("CRC32", "FULL_OBJECT"), stored, listed(stored), min_part_bytes=4)
    assert new.checksum is None


@pytest.mark.parametrize(
    ("algorithm", "requested", "type"),
    [
        (None, None, None),
        ("CRC32", None, "COMPOSITE"),
        ("CRC32C", None, "COMPOSITE"),
        ("CRC32C", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC64NVME", None, "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE", None),
        ("SHA1", "FULL_OBJECT", None),
        ("SHA256", "FULL_OBJECT", None),
        ("SHA256", None, "COMPOSITE"),
        ("CRC32", "PARTIAL", None),
        (None, "COMPOSITE", None),
    ],
)
def test_checksum_types_are_those_that_s3_has(algorithm, requested, type):
    if type is None and (algorithm or requested):
        with pytest.raises(InvalidRequest):
            checksum_type(algorithm, requested)
    else:
        assert checksum_type(algorithm, requested) == type
