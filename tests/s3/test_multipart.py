from __future__ import annotations

import hashlib
import io
import os
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.s3.errors import refusal, refused
from tests.s3.signing import Signer
from tests.serving import Served

MIB = 1 << 20


class Upload:
    """One multipart upload under way."""

    def __init__(self, s3: Any, bucket: str, key: str = "k", **options: Any) -> None:
        self.s3 = s3
        created = s3.create_multipart_upload(Bucket=bucket, Key=key, **options)
        self.args = {"Bucket": bucket, "Key": key, "UploadId": created["UploadId"]}
        self.parts: list[dict[str, Any]] = []

    def put(self, number: int, data: bytes, **options: Any) -> dict[str, Any]:
        answer = self.s3.upload_part(**self.args, PartNumber=number, Body=data, **options)
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        part |= {k: v for k, v in answer.items() if k.startswith("Checksum")}
        self.parts.append(part)
        return part

    def complete(self, parts: list[dict[str, Any]] | None = None, **options: Any) -> Any:
        chosen = self.parts if parts is None else parts
        return self.s3.complete_multipart_upload(
            **self.args, MultipartUpload={"Parts": chosen}, **options
        )


def etag_of(parts: list[bytes]) -> str:
    total = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
    return f'"{total}-{len(parts)}"'


def test_upload_file_sends_a_large_file_in_parts(served: Served, s3: Any, bucket: str) -> None:
    data = os.urandom(23 * MIB + 17)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    extra = {"Metadata": {"a": "b"}, "ContentType": "video/mp4"}
    s3.upload_fileobj(io.BytesIO(data), bucket, "big file.mp4", Config=config, ExtraArgs=extra)
    head = s3.head_object(Bucket=bucket, Key="big file.mp4")
    assert head["ETag"].endswith('-3"')
    assert (head["Metadata"], head["ContentType"]) == ({"a": "b"}, "video/mp4")
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big file.mp4", back, Config=config)
    assert back.getvalue() == data


def test_complete_tells_the_whole_address_of_the_object(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, "a b/ü.bin")
    upload.put(1, b"x")
    wanted = f"{s3.meta.endpoint_url}/{bucket}/a%20b/%C3%BC.bin"
    assert upload.complete()["Location"] == wanted


def test_parts_become_one_object_in_their_order(s3: Any, bucket: str) -> None:
    pieces = [os.urandom(5 * MIB), os.urandom(5 * MIB + 3), b"tail"]
    upload = Upload(s3, bucket, Metadata={"m": "1"})
    for number in (30, 2, 7):
        upload.put(number, pieces[[2, 7, 30].index(number)])
    upload.parts.sort(key=lambda part: part["PartNumber"])
    answer = upload.complete()
    assert answer["ETag"] == etag_of(pieces)
    assert (answer["Bucket"], answer["Key"]) == (bucket, "k")
    whole = b"".join(pieces)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (whole, {"m": "1"})
    # Ranges over the seams, and the parts by their place.
    for first, last in [(0, 0), (5 * MIB - 2, 5 * MIB + 1), (10 * MIB, 10 * MIB + 4)]:
        ranged = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert ranged["Body"].read() == whole[first : last + 1]
    suffix = s3.get_object(Bucket=bucket, Key="k", Range="bytes=-6")["Body"].read()
    assert suffix == whole[-6:]
    for number, piece in enumerate(pieces, 1):
        part = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (part["Body"].read(), part["PartsCount"]) == (piece, 3)
    assert refused(s3.get_object, Bucket=bucket, Key="k", PartNumber=4)[0] == 416


def test_completing_twice_answers_the_same(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"only")
    first, second = upload.complete(), upload.complete()
    assert first["ETag"] == second["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    assert refused(upload.complete) == (404, "NoSuchUpload")


def test_etags_are_taken_with_quotes_and_without(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    part = upload.put(1, b"only")
    upload.complete([part | {"ETag": part["ETag"].strip('"')}])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"only"


def test_a_wrong_list_of_parts_is_refused_and_the_upload_stays(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    one, two = upload.put(1, b"x" * 100), upload.put(2, b"y")
    assert refused(upload.complete) == (400, "EntityTooSmall")
    assert refusal(upload.complete)["PartNumber"] == "1"
    assert refused(upload.complete, [two, one]) == (400, "InvalidPartOrder")
    assert refused(upload.complete, [one, one]) == (400, "InvalidPartOrder")
    assert refused(upload.complete, [one | {"PartNumber": 9}]) == (400, "InvalidPart")
    wrong = {"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}
    assert refused(upload.complete, [wrong]) == (400, "InvalidPart")
    assert refused(upload.complete, []) == (400, "MalformedXML")
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404
    upload.complete([two])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"y"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts_become_one_of_the_object(
    s3: Any, bucket: str, algorithm: str, kind: str
) -> None:
    pieces = [os.urandom(5 * MIB), b"tail"]
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    for number, piece in enumerate(pieces, 1):
        upload.put(number, piece, ChecksumAlgorithm=algorithm)
    listed = s3.list_parts(**upload.args)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    assert all(f"Checksum{algorithm}" in part for part in listed["Parts"])
    answer = upload.complete()
    value = answer[f"Checksum{algorithm}"]
    assert value.endswith("-2") == (kind == "COMPOSITE")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(pieces)
    assert (got[f"Checksum{algorithm}"], got["ChecksumType"]) == (value, kind)
    parts = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])
    assert parts["ObjectParts"]["TotalPartsCount"] == 2
    assert [p["Size"] for p in parts["ObjectParts"]["Parts"]] == [5 * MIB, 4]
    whole = s3.put_object(
        Bucket=bucket, Key="whole", Body=b"".join(pieces), ChecksumAlgorithm=algorithm
    )
    if kind == "FULL_OBJECT":
        assert whole[f"Checksum{algorithm}"] == value


def test_a_part_of_another_algorithm_is_refused(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    assert refused(upload.put, 1, b"x", ChecksumAlgorithm="CRC32") == (400, "InvalidRequest")


def test_an_aborted_upload_is_gone_and_its_blobs_are_garbage(
    served: Served, s3: Any, bucket: str
) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"x" * 1000)
    before = set(served.run(served.catalog.housekeeping.garbage, 10_000))
    s3.abort_multipart_upload(**upload.args)
    assert len(set(served.run(served.catalog.housekeeping.garbage, 10_000)) - before) == 1
    assert refused(upload.put, 2, b"y") == (404, "NoSuchUpload")
    assert refused(s3.list_parts, **upload.args) == (404, "NoSuchUpload")
    assert refused(s3.abort_multipart_upload, **upload.args) == (404, "NoSuchUpload")
    assert refused(upload.complete) == (404, "NoSuchUpload")


def test_a_part_that_is_not_what_was_declared_leaves_nothing(
    served: Served, s3: Any, bucket: str
) -> None:
    upload = Upload(s3, bucket)
    before = served.blob_files()
    wrong = "XUFAKrxLKna5cZ2REBfFkg=="
    assert refused(upload.put, 1, b"not hello", ContentMD5=wrong) == (400, "BadDigest")
    assert served.blob_files() == before
    assert "Parts" not in s3.list_parts(**upload.args)
    assert refused(upload.put, 0, b"x") == (400, "InvalidArgument")
    assert refused(upload.put, 10_001, b"x") == (400, "InvalidArgument")


def test_parts_are_listed_by_pages(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in (1, 2, 5, 9, 10):
        upload.put(number, b"x" * number)
    upload.put(5, b"again")
    pages = list(
        s3.get_paginator("list_parts").paginate(**upload.args, PaginationConfig={"PageSize": 2})
    )
    assert [[p["PartNumber"] for p in page["Parts"]] for page in pages] == [[1, 2], [5, 9], [10]]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    part = pages[1]["Parts"][0]
    assert (part["Size"], part["ETag"]) == (5, f'"{hashlib.md5(b"again").hexdigest()}"')
    assert s3.list_parts(**upload.args, PartNumberMarker=10)["IsTruncated"] is False


def test_uploads_are_listed_by_key_prefix_and_page(s3: Any, bucket: str) -> None:
    ids = [
        Upload(s3, bucket, key=key).args["UploadId"]
        for key in ("a", "b/1", "b/1", "b/2", "c d/é", "e")
    ]
    pages = list(
        s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 2}
        )
    )
    found = [(u["Key"], u["UploadId"]) for page in pages for u in page["Uploads"]]
    keys = ["a", "b/1", "b/1", "b/2", "c d/é", "e"]
    assert found == list(zip(keys, ids, strict=True))
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [u["Key"] for u in grouped["Uploads"]] == ["a", "e"]
    assert [p["Prefix"] for p in grouped["CommonPrefixes"]] == ["b/", "c d/"]
    below = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/", KeyMarker="b/1")
    assert [u["Key"] for u in below["Uploads"]] == ["b/2"]


def test_conditions_hold_at_the_completion(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    assert refused(upload.complete, IfNoneMatch="*") == (412, "PreconditionFailed")
    upload.complete()


def test_the_declared_size_is_checked(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"four")
    assert refused(upload.complete, MpuObjectSize=5) == (400, "InvalidRequest")
    upload.complete(MpuObjectSize=4)


@pytest.mark.parametrize(
    ("extra", "status", "code"),
    [
        ("<Size>4</Size><LastModified>2026-01-02T03:04:05.678Z</LastModified>", 200, ""),
        ("<Size/><LastModified/>", 200, ""),
        ("<Size>5</Size>", 400, "InvalidPart"),
        ("<Size>four</Size>", 400, "InvalidArgument"),
        ("<Size>4</Size><Size>4</Size>", 400, "MalformedXML"),
    ],
)
def test_parts_may_be_listed_as_list_parts_returns_them(
    s3: Any, signer: Signer, bucket: str, extra: str, status: int, code: str
) -> None:
    upload = Upload(s3, bucket)
    part = upload.put(1, b"four")
    body = (
        "<CompleteMultipartUpload><Part>"
        f"<PartNumber>1</PartNumber><ETag>{part['ETag']}</ETag>{extra}"
        "</Part></CompleteMultipartUpload>"
    ).encode()
    answer = signer.send("POST", f"/{bucket}/k?uploadId={upload.args['UploadId']}", body=body)
    assert (answer.status, answer.code) == (status, code)
