from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.s3.errors import refusal, refused
from tests.serving import Served

DATA = bytes(range(256)) * 40


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """The ETag of DATA below the key `k`."""
    etag: str = s3.put_object(Bucket=bucket, Key="k", Body=DATA)["ETag"]
    return etag


def etag_of(answer: dict[str, Any]) -> str:
    if "Body" in answer:
        answer["Body"].read()
    etag: str = answer["ETag"]
    return etag


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=100-", 100, len(DATA) - 1),
        ("bytes=-1", len(DATA) - 1, len(DATA) - 1),
        ("bytes=-999999", 0, len(DATA) - 1),
        (f"bytes={len(DATA) - 1}-", len(DATA) - 1, len(DATA) - 1),
        ("bytes=5-99999999", 5, len(DATA) - 1),
    ],
)
def test_a_range_is_exactly_what_was_asked(
    s3: Any, bucket: str, stored: str, text: str, first: int, last: int
) -> None:
    got = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert got["Body"].read() == DATA[first : last + 1]
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {first}-{last}/{len(DATA)}"
    assert got["ETag"] == stored
    head = s3.head_object(Bucket=bucket, Key="k", Range=text)
    assert (head["ContentLength"], head["ContentRange"]) == (last - first + 1, got["ContentRange"])


def test_ranges_that_mean_nothing_are_the_whole(s3: Any, bucket: str, stored: str) -> None:
    for text in ("bytes=9-1", "lines=1-2", "bytes=0-1,5-6", "bytes=-"):
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, DATA)


def test_a_range_behind_the_end_is_refused(s3: Any, bucket: str, stored: str) -> None:
    wanted = {"Bucket": bucket, "Key": "k"}
    for text in (f"bytes={len(DATA)}-", "bytes=-0"):
        assert refused(s3.get_object, **wanted, Range=text) == (416, "InvalidRange")
    assert refusal(s3.get_object, **wanted, Range="bytes=99999-")["ActualObjectSize"] == "10240"
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert refused(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-0")[0] == 416


def test_a_missing_key_is_named(s3: Any, bucket: str) -> None:
    error = refusal(s3.get_object, Bucket=bucket, Key="no such")
    assert (error["Code"], error["Key"]) == ("NoSuchKey", "no such")
    assert refused(s3.head_object, Bucket=bucket, Key="no such") == (404, "404")


def test_conditional_reads(s3: Any, bucket: str, stored: str) -> None:
    wanted = {"Bucket": bucket, "Key": "k"}
    modified = s3.head_object(**wanted)["LastModified"]
    past, future = modified - datetime.timedelta(hours=1), modified + datetime.timedelta(hours=1)
    for call in (s3.get_object, s3.head_object):
        assert etag_of(call(**wanted, IfMatch=stored)) == stored
        assert etag_of(call(**wanted, IfModifiedSince=past)) == stored
        assert etag_of(call(**wanted, IfUnmodifiedSince=future)) == stored
        assert etag_of(call(**wanted, IfNoneMatch='"other"')) == stored
        # RFC 9110: an ETag that matches wins over a date that does not.
        assert etag_of(call(**wanted, IfMatch=stored, IfUnmodifiedSince=past)) == stored
        assert refused(call, **wanted, IfNoneMatch=stored)[0] == 304
        assert refused(call, **wanted, IfModifiedSince=modified)[0] == 304
        assert refused(call, **wanted, IfMatch='"other"')[0] == 412
        assert refused(call, **wanted, IfUnmodifiedSince=past)[0] == 412
    assert refused(s3.get_object, **wanted, IfMatch='"x"') == (412, "PreconditionFailed")


def test_response_parameters_override_headers(s3: Any, bucket: str, stored: str) -> None:
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="text/plain; charset=utf-8",
        ResponseContentDisposition='attachment; filename="x y.bin"',
        ResponseCacheControl="no-store",
    )
    assert got["ContentType"] == "text/plain; charset=utf-8"
    assert got["ContentDisposition"] == 'attachment; filename="x y.bin"'
    assert got["CacheControl"] == "no-store"
    assert got["Body"].read() == DATA
    assert refused(s3.get_object, Bucket=bucket, Key="k", ResponseContentType="a\r\nb: c") == (
        400,
        "InvalidArgument",
    )


def test_an_object_that_was_put_whole_has_one_part(s3: Any, bucket: str, stored: str) -> None:
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert got["Body"].read() == DATA
    wanted = {"Bucket": bucket, "Key": "k"}
    assert refused(s3.get_object, **wanted, PartNumber=2) == (416, "InvalidPartNumber")
    assert refused(s3.get_object, **wanted, PartNumber=0) == (400, "InvalidArgument")
    assert refused(s3.get_object, **wanted, PartNumber=1, Range="bytes=0-1") == (
        400,
        "InvalidRequest",
    )


def test_a_version_that_does_not_exist_never_meets_the_object(
    s3: Any, bucket: str, stored: str
) -> None:
    wanted = {"Bucket": bucket, "Key": "k"}
    assert etag_of(s3.get_object(**wanted, VersionId="null")) == stored
    assert refused(s3.get_object, **wanted, VersionId="abc") == (400, "InvalidArgument")
    assert refused(s3.delete_object, **wanted, VersionId="abc") == (400, "InvalidArgument")
    assert s3.head_object(**wanted)["ETag"] == stored


def test_attributes_tell_what_was_asked_for(s3: Any, bucket: str, stored: str) -> None:
    got = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum", "StorageClass"]
    )
    assert got["ETag"] == stored.strip('"')
    assert (got["ObjectSize"], got["StorageClass"]) == (len(DATA), "STANDARD")
    assert "ChecksumCRC32" in got["Checksum"]
    assert "ObjectParts" not in got
    only = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only
    assert refused(
        s3.get_object_attributes, Bucket=bucket, Key="k", ObjectAttributes=["Colour"]
    ) == (400, "InvalidArgument")


def test_what_is_deleted_while_it_is_read_is_read_to_its_end(
    served: Served, s3: Any, bucket: str
) -> None:
    data = b"0123456789abcdef" * (1 << 20)
    s3.put_object(Bucket=bucket, Key="big", Body=data)
    body = s3.get_object(Bucket=bucket, Key="big")["Body"]
    first = body.read(1 << 20)
    s3.delete_object(Bucket=bucket, Key="big")

    async def sweep() -> None:
        garbage = await served.catalog.housekeeping.garbage(10_000)
        await served.blobs.delete(garbage)
        await served.catalog.housekeeping.forget_garbage(garbage)

    served.run(sweep)
    assert first + body.read() == data
