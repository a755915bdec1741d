from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

from tests.s3.errors import refused
from tests.serving import Served


def test_an_object_comes_back_byte_for_byte(s3: Any, bucket: str) -> None:
    data = bytes(range(256)) * 10_000
    put = s3.put_object(Bucket=bucket, Key="a/b c.bin", Body=data)
    got = s3.get_object(Bucket=bucket, Key="a/b c.bin")
    assert got["Body"].read() == data
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'


def test_an_empty_object_needs_no_blob(served: Served, s3: Any, bucket: str) -> None:
    before = served.blob_files()
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    got = s3.get_object(Bucket=bucket, Key="folder/")
    assert (got["ContentLength"], got["Body"].read()) == (0, b"")
    assert got["ETag"] == f'"{hashlib.md5(b"").hexdigest()}"'
    assert served.blob_files() == before


KEYS = [
    "..",
    "../../etc/passwd",
    "a/../b",
    "a//b",
    "//",
    "/leading",
    "./dot",
    "trailing/",
    "plus+plus",
    "space space",
    "percent%2Fencoded",
    "%2e%2e/x",
    "ünïcödé/日本語/🎬.mp4",
    "e\u0301",
    "é",
    "quote'\"<>&;#?=",
    "back\\slash",
    "tab\tline\nreturn\r",
    "~tilde*star(paren)!",
    "k" * 1024,
]


@pytest.mark.parametrize("key", KEYS, ids=lambda k: ascii(k)[:30])
def test_a_key_is_kept_as_it_is(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [d["Key"] for d in done["Deleted"]] == [key]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_key_over_1024_bytes_is_refused(s3: Any, bucket: str) -> None:
    assert refused(s3.put_object, Bucket=bucket, Key="é" * 513, Body=b"") == (
        400,
        "KeyTooLongError",
    )


def test_metadata_and_system_headers_come_back(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        ContentType="video/mp4",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="a.mp4"',
        ContentEncoding="gzip",
        ContentLanguage="de",
        Metadata={"Colour": "blue", "size": "very large"},
        StorageClass="STANDARD_IA",
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "video/mp4"
    assert head["CacheControl"] == "max-age=60"
    assert head["ContentDisposition"] == 'attachment; filename="a.mp4"'
    assert head["ContentEncoding"] == "gzip"
    assert head["ContentLanguage"] == "de"
    assert head["Metadata"] == {"colour": "blue", "size": "very large"}
    assert head["StorageClass"] == "STANDARD_IA"
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="plain")["ContentType"] == "binary/octet-stream"


def test_metadata_over_2_kib_are_refused(s3: Any, bucket: str) -> None:
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2048}) == (
        400,
        "MetadataTooLarge",
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_every_checksum_is_verified_and_told_again(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"some bytes", ChecksumAlgorithm=algorithm)
    value = put[f"Checksum{algorithm}"]
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == value
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert f"Checksum{algorithm}" not in s3.head_object(Bucket=bucket, Key="k")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]


def test_without_a_checksum_the_service_makes_its_own(
    served: Served, person: Any, bucket: str
) -> None:
    s3 = served.client(person, request_checksum_calculation="when_required")
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"some bytes")
    assert "ChecksumCRC64NVME" in put


def test_a_body_that_is_not_what_was_declared_leaves_nothing(
    served: Served, s3: Any, bucket: str
) -> None:
    before = served.blob_files()
    wrong_md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert refused(
        s3.put_object, Bucket=bucket, Key="k", Body=b"some bytes" * 1000, ContentMD5=wrong_md5
    ) == (400, "BadDigest")
    wrong_crc = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    assert refused(
        s3.put_object, Bucket=bucket, Key="k", Body=b"some bytes" * 1000, ChecksumCRC32=wrong_crc
    ) == (400, "BadDigest")
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", ContentMD5=wrong_md5) == (
        400,
        "BadDigest",
    )
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ContentMD5="nonsense") == (
        400,
        "InvalidDigest",
    )
    assert served.blob_files() == before
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def test_conditional_writes(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    again = {"Bucket": bucket, "Key": "k", "Body": b"2"}
    assert refused(s3.put_object, **again, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(s3.put_object, **again, IfMatch='"00"') == (412, "PreconditionFailed")
    second = s3.put_object(**again, IfMatch=first)["ETag"]
    assert refused(s3.put_object, **again, IfMatch=first) == (412, "PreconditionFailed")
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == second
    assert refused(s3.put_object, Bucket=bucket, Key="none", Body=b"", IfMatch=first) == (
        404,
        "NoSuchKey",
    )


def test_overwriting_replaces_everything(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"long before", Metadata={"a": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"now")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"now", {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ServerSideEncryption": "AES256"}, (501, "NotImplemented")),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}, (501, "NotImplemented")),
        ({"Tagging": "a=b"}, (501, "NotImplemented")),
        ({"ObjectLockMode": "GOVERNANCE"}, (501, "NotImplemented")),
        ({"WebsiteRedirectLocation": "/x"}, (501, "NotImplemented")),
        ({"ACL": "public-read"}, (400, "AccessControlListNotSupported")),
        ({"GrantRead": "id=1"}, (400, "AccessControlListNotSupported")),
        ({"ACL": "unheard-of"}, (400, "InvalidArgument")),
        ({"StorageClass": "CHEAP"}, (400, "InvalidStorageClass")),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_is_not_offered_is_refused_and_never_dropped(
    s3: Any, bucket: str, options: dict[str, str], expected: tuple[int, str]
) -> None:
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **options) == expected
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_private_acls_are_what_objects_have_anyway(s3: Any, bucket: str, person: Any) -> None:
    for acl in ("private", "bucket-owner-full-control"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL=acl)
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == str(person.user_id)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
