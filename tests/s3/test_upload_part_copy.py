from __future__ import annotations

import os
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.s3.errors import refused
from tests.s3.test_multipart import MIB, Upload, etag_of
from tests.serving import Served

DATA = os.urandom(6 * MIB)


@pytest.fixture
def source(s3: Any, bucket: str) -> dict[str, str]:
    s3.put_object(Bucket=bucket, Key="source", Body=DATA)
    return {"Bucket": bucket, "Key": "source"}


def copy(upload: Upload, number: int, source: dict[str, str], **options: Any) -> Any:
    answer = upload.s3.upload_part_copy(
        **upload.args, PartNumber=number, CopySource=source, **options
    )["CopyPartResult"]
    upload.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    return answer


def test_ranges_of_an_object_become_parts_without_new_blobs(
    served: Served, s3: Any, bucket: str, source: dict[str, str]
) -> None:
    upload = Upload(s3, bucket)
    before = served.blob_files()
    copy(upload, 1, source, CopySourceRange=f"bytes=0-{5 * MIB - 1}")
    answer = copy(upload, 2, source, CopySourceRange=f"bytes=100-{MIB}")
    assert answer["LastModified"].year >= 2024
    assert served.blob_files() == before
    pieces = [DATA[: 5 * MIB], DATA[100 : MIB + 1]]
    assert upload.complete()["ETag"] == etag_of(pieces)
    s3.delete_object(**source)
    garbage = served.run(served.catalog.housekeeping.garbage, 10_000)
    served.run(served.blobs.delete, garbage)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(pieces)


def test_an_object_of_parts_is_copied_over_its_seams(s3: Any, bucket: str) -> None:
    first = Upload(s3, bucket, key="of parts")
    first.put(1, DATA[: 5 * MIB])
    first.put(2, DATA[5 * MIB :])
    first.complete()
    second = Upload(s3, bucket)
    source = {"Bucket": bucket, "Key": "of parts"}
    copy(second, 1, source, CopySourceRange=f"bytes={5 * MIB - 9}-{5 * MIB + 8}")
    second.complete()
    got = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert got == DATA[5 * MIB - 9 : 5 * MIB + 9]


def test_a_whole_object_is_a_part_with_the_uploads_checksum(
    s3: Any, bucket: str, source: dict[str, str]
) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    answer = copy(upload, 1, source)
    put = s3.put_object(Bucket=bucket, Key="o", Body=DATA, ChecksumAlgorithm="SHA256")
    assert answer["ChecksumSHA256"] == put["ChecksumSHA256"]


def test_what_cannot_be_copied(s3: Any, bucket: str, source: dict[str, str]) -> None:
    upload = Upload(s3, bucket)
    for text in ("bytes=0-", "bytes=-5", "0-5", "bytes=5-1", f"bytes=0-{len(DATA)}"):
        assert refused(copy, upload, 1, source, CopySourceRange=text) == (400, "InvalidArgument")
    etag = s3.head_object(**source)["ETag"]
    assert refused(copy, upload, 1, source, CopySourceIfMatch='"x"')[0] == 412
    assert refused(copy, upload, 1, source, CopySourceIfNoneMatch=etag)[0] == 412
    assert refused(copy, upload, 1, {"Bucket": bucket, "Key": "no"}) == (404, "NoSuchKey")
    s3.abort_multipart_upload(**upload.args)
    assert refused(copy, upload, 1, source) == (404, "NoSuchUpload")


def test_boto3_copies_a_large_object_in_parts(s3: Any, bucket: str, source: dict[str, str]) -> None:
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.copy(source, bucket, "copied", Config=config)
    got = s3.get_object(Bucket=bucket, Key="copied")
    assert got["Body"].read() == DATA
    assert got["ETag"].endswith('-2"')
