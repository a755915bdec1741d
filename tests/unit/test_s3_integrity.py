"""What a request declares about its body."""

import pytest

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.integrity import (
    DeclaredChecksum,
    parse_checksum,
    parse_content_md5,
    parse_decoded_length,
    parse_object_size,
    parse_trailing_checksum,
    parse_upload_checksum,
    parse_whole_checksum,
)
from mediaconvert.errors import InvalidRequest
from mediaconvert.model import Checksum

CRC = {"x-amz-checksum-crc32": "sOO8/Q=="}
SDK = "x-amz-sdk-checksum-algorithm"


def test_content_md5_is_sixteen_bytes_of_base64():
    assert parse_content_md5({}) is None
    assert parse_content_md5({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}) == bytes.fromhex(
        "d41d8cd98f00b204e9800998ecf8427e"
    )
    for value in ("", "1B2M2Y8AsgTpgAmY7PhCfg", "AAAA", "é", "1B2M2Y8AsgTpgAmY 7PhCfg=="):
        with pytest.raises(S3Error) as caught:
            parse_content_md5({"content-md5": value})
        assert caught.value.code == "InvalidDigest"


@pytest.mark.parametrize(
    ("headers", "declared"),
    [
        ({}, DeclaredChecksum()),
        (CRC, DeclaredChecksum(Checksum("CRC32", "sOO8/Q=="))),
        ({**CRC, SDK: "CRC32"}, DeclaredChecksum(Checksum("CRC32", "sOO8/Q=="))),
        ({**CRC, SDK: "crc32"}, DeclaredChecksum(Checksum("CRC32", "sOO8/Q=="))),
        ({"x-amz-trailer": "x-amz-checksum-crc64nvme"}, DeclaredChecksum(None, "CRC64NVME")),
        (
            {"x-amz-trailer": " X-Amz-Checksum-SHA256 ", SDK: "SHA256"},
            DeclaredChecksum(None, "SHA256"),
        ),
        (
            {
                "x-amz-checksum-mode": "ENABLED",
                "x-amz-checksum-algorithm": "SHA1",
                "x-amz-checksum-type": "COMPOSITE",
            },
            DeclaredChecksum(),
        ),
    ],
)
def test_one_checksum_is_declared_or_announced(headers, declared):
    assert parse_checksum(headers) == declared


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({**CRC, "x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}, "Multiple checksum"),
        ({**CRC, "x-amz-trailer": "x-amz-checksum-crc32"}, "Multiple checksum"),
        ({"x-amz-checksum-crc32": "AAAA"}, "x-amz-checksum-crc32 header is invalid"),
        ({"x-amz-checksum-crc32": ""}, "x-amz-checksum-crc32 header is invalid"),
        ({"x-amz-checksum-md5": "x"}, "unsupported"),
        ({"x-amz-trailer": "x-amz-meta-a"}, "not supported"),
        ({"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"}, "not supported"),
        ({"x-amz-trailer": ""}, "not supported"),
        ({SDK: "CRC32"}, "no corresponding"),
        ({SDK: "XXHASH64", **CRC}, "unsupported"),
        ({SDK: "SHA1", **CRC}, "x-amz-sdk-checksum-algorithm header is invalid"),
    ],
)
def test_a_contradictory_checksum_is_refused(headers, message):
    with pytest.raises(S3Error, match=message) as caught:
        parse_checksum(headers)
    assert caught.value.code == "InvalidRequest"


def test_the_whole_objects_checksum_may_be_composite():
    assert parse_whole_checksum({}) is None
    assert parse_whole_checksum(CRC) == Checksum("CRC32", "sOO8/Q==")
    composite = {"x-amz-checksum-crc32": "sOO8/Q==-12"}
    assert parse_whole_checksum(composite) == Checksum("CRC32", "sOO8/Q==-12", "COMPOSITE")
    for value in ("sOO8/Q==-0", "sOO8/Q==-", "AAAA-1", "sOO8/Q==-123456"):
        with pytest.raises(S3Error, match="header is invalid"):
            parse_whole_checksum({"x-amz-checksum-crc32": value})
    with pytest.raises(S3Error, match="Multiple"):
        parse_whole_checksum({**CRC, "x-amz-checksum-crc32c": "sOO8/Q=="})


def test_an_uploads_checksums_are_chosen_by_algorithm_and_type():
    name, kind = "x-amz-checksum-algorithm", "x-amz-checksum-type"
    assert parse_upload_checksum({}) == (None, None)
    assert parse_upload_checksum({name: "crc32"}) == ("CRC32", "COMPOSITE")
    assert parse_upload_checksum({name: "CRC32", kind: "full_object"}) == ("CRC32", "FULL_OBJECT")
    with pytest.raises(S3Error, match="unsupported"):
        parse_upload_checksum({name: "MD5"})
    with pytest.raises(InvalidRequest):
        parse_upload_checksum({name: "SHA1", kind: "FULL_OBJECT"})


def test_a_trailing_checksum_is_taken_from_the_trailers():
    assert parse_trailing_checksum(CRC, "CRC32") == Checksum("CRC32", "sOO8/Q==")
    assert parse_trailing_checksum(CRC, "SHA1") is None
    with pytest.raises(S3Error, match="header is invalid"):
        parse_trailing_checksum({"x-amz-checksum-crc32": "x"}, "CRC32")


def test_lengths_are_whole_numbers():
    assert parse_decoded_length({"x-amz-decoded-content-length": "12"}) == 12
    with pytest.raises(S3Error) as caught:
        parse_decoded_length({})
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)
    for value in ("-1", "1.5", "", "²", str(2**63), "9" * 5000):
        with pytest.raises(S3Error) as caught:
            parse_decoded_length({"x-amz-decoded-content-length": value})
        assert caught.value.code == "InvalidArgument"
        with pytest.raises(S3Error) as caught:
            parse_object_size({"x-amz-mp-object-size": value})
        assert caught.value.code == "InvalidRequest"
    assert parse_object_size({}) is None
    assert parse_object_size({"x-amz-mp-object-size": "0"}) == 0
