"""One flipped bit in a stored blob: no wrong byte leaves the service unreported."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from mediaconvert.model import BucketRef
from tests.serving import Person, Served

MIB = 1 << 20
LARGE = os.urandom(6 * MIB + 99)


def blob_files(served: Served, person: Person, bucket: str, key: str) -> list[Path]:
    """The files behind an object."""
    ref = BucketRef(person.user_id, bucket)
    stored = served.run(served.catalog.objects.get, ref, key)
    root = served.folder / "blobs" / "blobs"
    return [root / each.blob_id[:2] / each.blob_id for each in stored.segments]


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def refused(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as failure:
        call(**arguments)
    answer = failure.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_small_objects_are_refused_with_500(
    served: Served, person: Person, s3: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = [1, 2, 1000, 65_537, MIB - 1, MIB]
    for index in range(30):
        size = sizes[index % len(sizes)]
        key = f"object-{index}"
        s3.put_object(Bucket=bucket, Key=key, Body=os.urandom(size))
        (path,) = blob_files(served, person, bucket, key)
        flip(path, (index * 7919) % size)
    for index in range(30):
        key = {"Bucket": bucket, "Key": f"object-{index}"}
        assert refused(s3.get_object, **key) == (500, "InternalError")
        assert refused(s3.get_object, **key, Range="bytes=0-0") == (500, "InternalError")
        head = s3.head_object(**key)["ResponseMetadata"]["HTTPHeaders"]
        assert head["x-mediaconvert-damaged"] == "true"
    damage = [each for each in caplog.records if each.message == "stored blob damaged"]
    assert len(damage) == 60
    assert {each.levelno for each in damage} == {logging.ERROR}


def test_a_large_object_ends_before_its_damage_and_its_other_blocks_are_read(
    served: Served, person: Person, s3: Any, bucket: str
) -> None:
    key = {"Bucket": bucket, "Key": "large"}
    s3.put_object(**key, Body=LARGE)
    (path,) = blob_files(served, person, bucket, "large")
    flip(path, 4 * MIB + 5)
    body = s3.get_object(**key)["Body"]
    got = b""
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        while piece := body.read(65_536):
            got += piece
    assert got == LARGE[: len(got)]
    assert len(got) <= 4 * MIB
    for first, last in ((0, 4 * MIB - 1), (5 * MIB, len(LARGE) - 1), (3 * MIB - 9, 3 * MIB + 9)):
        piece = s3.get_object(**key, Range=f"bytes={first}-{last}")["Body"].read()
        assert piece == LARGE[first : last + 1]
    last = {"Range": f"bytes={5 * MIB - 1}-{5 * MIB}"}
    assert refused(s3.get_object, **key, **last) == (500, "InternalError")


def test_copies_of_damaged_bytes_are_refused(
    served: Served, person: Person, s3: Any, bucket: str
) -> None:
    key = {"Bucket": bucket, "Key": "large"}
    s3.put_object(**key, Body=LARGE, ChecksumAlgorithm="SHA256")
    (path,) = blob_files(served, person, bucket, "large")
    flip(path, 5 * MIB + 17)
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/large"}
    assert refused(s3.copy_object, **copy) == (500, "InternalError")
    assert refused(s3.copy_object, **copy, ChecksumAlgorithm="CRC32") == (500, "InternalError")
    onto_itself = copy | {"Key": "large", "MetadataDirective": "REPLACE", "Metadata": {"a": "b"}}
    assert refused(s3.copy_object, **onto_itself) == (500, "InternalError")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="joined")["UploadId"]
    part = {"Bucket": bucket, "Key": "joined", "UploadId": upload, "PartNumber": 1}
    source = {"CopySource": f"{bucket}/large"}
    assert refused(s3.upload_part_copy, **part, **source) == (500, "InternalError")
    intact = {"CopySourceRange": f"bytes=0-{5 * MIB - 1}"}
    etag = s3.upload_part_copy(**part, **source, **intact)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="joined",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
    )
    assert s3.get_object(Bucket=bucket, Key="joined")["Body"].read() == LARGE[: 5 * MIB]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["joined", "large"]


def test_damage_in_one_part_of_a_multipart_object_is_found(
    served: Served, person: Person, s3: Any, bucket: str
) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="film")["UploadId"]
    key = {"Bucket": bucket, "Key": "film"}
    parts = [LARGE[: 5 * MIB], LARGE[5 * MIB :]]
    etags = [
        s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": listed})
    second = blob_files(served, person, bucket, "film")[1]
    flip(second, 0)
    assert s3.get_object(**key, PartNumber=1)["Body"].read() == parts[0]
    assert refused(s3.get_object, **key, PartNumber=2) == (500, "InternalError")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/film"}
    assert refused(s3.copy_object, **copy) == (500, "InternalError")


def test_a_blob_that_is_missing_is_refused_with_500(
    served: Served, person: Person, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="gone", Body=b"bytes")
    (path,) = blob_files(served, person, bucket, "gone")
    path.unlink()
    assert refused(s3.get_object, Bucket=bucket, Key="gone") == (500, "InternalError")
    head = s3.head_object(Bucket=bucket, Key="gone")["ResponseMetadata"]["HTTPHeaders"]
    assert head["x-mediaconvert-damaged"] == "true"
    s3.put_object(Bucket=bucket, Key="gone", Body=b"again")
    assert s3.get_object(Bucket=bucket, Key="gone")["Body"].read() == b"again"
