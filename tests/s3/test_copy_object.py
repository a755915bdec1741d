from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.s3.errors import refused
from tests.serving import Served


@pytest.fixture
def source(s3: Any, bucket: str) -> dict[str, str]:
    s3.put_object(
        Bucket=bucket,
        Key="src ü+%2F",
        Body=b"source bytes",
        Metadata={"a": "1"},
        ContentType="text/plain",
        CacheControl="no-cache",
    )
    return {"Bucket": bucket, "Key": "src ü+%2F"}


def test_a_copy_shares_the_bytes_and_keeps_the_metadata(
    served: Served, s3: Any, bucket: str, source: dict[str, str]
) -> None:
    before = served.blob_files()
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["Body"].read() == b"source bytes"
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/plain")
    assert answer["ETag"] == got["ETag"] == f'"{hashlib.md5(b"source bytes").hexdigest()}"'
    assert "ChecksumCRC32" in answer
    assert answer["LastModified"].year >= 2024
    assert served.blob_files() == before
    s3.delete_object(**source)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"source bytes"


def test_replaced_metadata_replace_all_of_them(
    s3: Any, bucket: str, source: dict[str, str]
) -> None:
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="video/mp4",
    )
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"b": "2"}, "video/mp4")
    assert "CacheControl" not in head


def test_a_copy_onto_itself_must_change_something(
    s3: Any, bucket: str, source: dict[str, str]
) -> None:
    assert refused(s3.copy_object, **source, CopySource=source) == (400, "InvalidRequest")
    s3.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "ew"})
    got = s3.get_object(**source)
    assert (got["Body"].read(), got["Metadata"]) == (b"source bytes", {"n": "ew"})
    s3.copy_object(**source, CopySource=source, StorageClass="GLACIER")
    head = s3.head_object(**source)
    assert (head["StorageClass"], head["Metadata"]) == ("GLACIER", {"n": "ew"})


def test_another_checksum_algorithm_is_computed(
    s3: Any, bucket: str, source: dict[str, str]
) -> None:
    answer = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256"
    )["CopyObjectResult"]
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert answer["ChecksumSHA256"] == head["ChecksumSHA256"]
    assert head["Metadata"] == {"a": "1"}
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"source bytes"


def test_conditions_on_the_source_and_on_the_target(
    s3: Any, bucket: str, source: dict[str, str]
) -> None:
    etag = s3.head_object(**source)["ETag"]
    wanted = {"Bucket": bucket, "Key": "copy", "CopySource": source}
    assert refused(s3.copy_object, **wanted, CopySourceIfMatch='"x"')[0] == 412
    assert refused(s3.copy_object, **wanted, CopySourceIfNoneMatch=etag)[0] == 412
    s3.copy_object(**wanted, CopySourceIfMatch=etag)
    # A target's own conditions are headers that boto3 knows only at PutObject.
    s3.meta.events.register(
        "before-sign.s3.CopyObject",
        lambda request, **_: request.headers.add_header("If-None-Match", "*"),
    )
    assert refused(s3.copy_object, **wanted) == (412, "PreconditionFailed")


def test_what_cannot_be_copied(served: Served, s3: Any, bucket: str) -> None:
    wanted = {"Bucket": bucket, "Key": "copy"}
    missing = {"Bucket": bucket, "Key": "missing"}
    assert refused(s3.copy_object, **wanted, CopySource=missing) == (404, "NoSuchKey")
    assert refused(s3.copy_object, **wanted, CopySource="no-key") == (400, "InvalidArgument")
    other = served.client(served.person())
    other.create_bucket(Bucket=f"{bucket}-other")
    other.put_object(Bucket=f"{bucket}-other", Key="theirs", Body=b"secret")
    theirs = {"Bucket": f"{bucket}-other", "Key": "theirs"}
    assert refused(s3.copy_object, **wanted, CopySource=theirs) == (403, "AccessDenied")


def test_a_copy_across_ones_own_buckets(s3: Any, bucket: str, source: dict[str, str]) -> None:
    s3.create_bucket(Bucket=f"{bucket}-two")
    s3.copy({"Bucket": bucket, "Key": source["Key"]}, f"{bucket}-two", "copy")
    assert s3.get_object(Bucket=f"{bucket}-two", Key="copy")["Body"].read() == b"source bytes"
