"""Digests in one pass, and the arithmetic of multipart checksums."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.digests import (
    CRC_ALGORITHMS,
    SIZES,
    Digests,
    checksum_of,
    combine,
    composite,
    is_checksum_value,
    multipart_etag,
)

CHECK = b"123456789"
"""What catalogues of CRCs give the check value of."""


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("CRC32", bytes.fromhex("cbf43926")),
        ("CRC32C", bytes.fromhex("e3069283")),
        ("CRC64NVME", bytes.fromhex("ae8b14860a799888")),
        ("SHA1", hashlib.sha1(CHECK).digest()),
        ("SHA256", hashlib.sha256(CHECK).digest()),
    ],
)
def test_each_algorithm_has_its_published_check_value(algorithm, value):
    assert checksum_of(algorithm, CHECK).value == b64(value)
    assert checksum_of(algorithm, CHECK).type == "FULL_OBJECT"
    assert len(value) == SIZES[algorithm]


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_pieces_and_their_views_give_what_the_whole_gives(pieces):
    whole = b"".join(pieces)
    digests = Digests(SIZES, payload_sha256=True)
    for index, piece in enumerate(pieces):
        digests.update(memoryview(piece) if index % 2 else piece)
    assert digests.size == len(whole)
    assert digests.md5 == hashlib.md5(whole).digest()
    assert digests.etag == hashlib.md5(whole).hexdigest()
    assert digests.payload_sha256 == hashlib.sha256(whole).hexdigest()
    assert digests.checksum("CRC32").value == b64(zlib.crc32(whole).to_bytes(4, "big"))
    for algorithm in SIZES:
        assert digests.checksum(algorithm) == checksum_of(algorithm, whole)


def test_payload_hash_without_a_sha256_checksum_is_its_own():
    digests = Digests(["CRC32"], payload_sha256=True)
    digests.update(b"x")
    assert digests.payload_sha256 == hashlib.sha256(b"x").hexdigest()


def test_what_was_not_asked_for_is_not_there():
    with pytest.raises(ValueError, match="payload_sha256=True"):
        _ = Digests().payload_sha256
    with pytest.raises(KeyError):
        Digests().checksum("CRC32")
    with pytest.raises(ValueError, match="known are CRC32, CRC32C"):
        Digests(["CRC16"])


@given(
    algorithm=st.sampled_from(sorted(CRC_ALGORITHMS)),
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6),
)
def test_combined_crcs_are_those_of_the_whole(algorithm, parts):
    values = [(checksum_of(algorithm, part).value, len(part)) for part in parts]
    assert combine(algorithm, values) == checksum_of(algorithm, b"".join(parts))


def test_hashes_cannot_be_combined():
    with pytest.raises(ValueError, match="only CRCs"):
        combine("SHA256", [])


@given(
    algorithm=st.sampled_from(sorted(SIZES)),
    parts=st.lists(st.binary(max_size=50), min_size=1, max_size=6),
)
def test_a_composite_is_the_checksum_of_the_raw_checksums(algorithm, parts):
    values = [checksum_of(algorithm, part).value for part in parts]
    raw = b"".join(base64.b64decode(value) for value in values)
    found = composite(algorithm, values)
    assert found.value == f"{checksum_of(algorithm, raw).value}-{len(parts)}"
    assert found.type == "COMPOSITE"


def test_a_multipart_etag_is_the_md5_of_md5s():
    md5s = [hashlib.md5(part) for part in (b"a", b"b")]
    whole = hashlib.md5(b"".join(m.digest() for m in md5s)).hexdigest()
    assert multipart_etag([m.hexdigest() for m in md5s]) == f"{whole}-2"


@pytest.mark.parametrize(
    ("value", "is_value"),
    [
        ("y/Q5Jg==", True),
        ("y/Q5Jg=", False),
        ("y/Q5Jg", False),
        ("y/Q5Jh==", False),
        ("AAAA", False),
        ("", False),
        ("y/Q5Jg==\n", False),
        ("ü/Q5Jg==", False),
    ],
)
def test_only_strict_base64_of_the_right_length_is_a_value(value, is_value):
    assert is_checksum_value("CRC32", value) is is_value
