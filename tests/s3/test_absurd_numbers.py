"""Numbers beyond 63 bits, and beyond what Python converts, in all places that take one."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from tests.s3.signing import Signer, read_answer

ABSURD = [
    "9223372036854775808",
    "99999999999999999999999",
    "1" + "0" * 5000,
    "000000001" + "0" * 30,
]
STREAMING_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.fixture
def upload_id(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    uploaded: str = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    return uploaded


@pytest.mark.parametrize("number", ABSURD, ids=lambda text: text[:24])
@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "?max-buckets="),
        ("GET", "{bucket}?max-keys="),
        ("GET", "{bucket}?list-type=2&max-keys="),
        ("GET", "{bucket}?uploads&max-uploads="),
        ("GET", "{bucket}/k?uploadId={upload_id}&max-parts="),
        ("GET", "{bucket}/k?uploadId={upload_id}&part-number-marker="),
        ("GET", "{bucket}/k?partNumber="),
        ("HEAD", "{bucket}/k?partNumber="),
        ("PUT", "{bucket}/k?uploadId={upload_id}&partNumber="),
    ],
)
def test_in_a_query(
    signer: Signer, bucket: str, upload_id: str, method: str, query: str, number: str
) -> None:
    target = "/" + query.format(bucket=bucket, upload_id=upload_id) + number
    answer = signer.send(method, target, {"Content-Length": "0"})
    assert (answer.status, answer.code) == (400, "" if method == "HEAD" else "InvalidArgument")


@pytest.mark.parametrize("number", ABSURD, ids=lambda text: text[:24])
def test_in_a_header(signer: Signer, bucket: str, upload_id: str, number: str) -> None:
    key = f"/{bucket}/k"
    part = {"x-amz-copy-source": key, "x-amz-copy-source-range": f"bytes=0-{number}"}
    complete = {"x-amz-mp-object-size": number, "Content-Length": "0"}
    for method, target, headers in (
        (
            "GET",
            f"{key}?attributes",
            {"x-amz-object-attributes": "ETag", "x-amz-max-parts": number},
        ),
        ("DELETE", key, {"x-amz-if-match-size": number}),
        ("PUT", f"{key}?uploadId={upload_id}&partNumber=1", part),
        ("POST", f"{key}?uploadId={upload_id}", complete),
    ):
        assert signer.send(method, target, headers).status == 400
    assert signer.error("GET", key, {"Range": f"bytes={number}-"}) == (416, "InvalidRange")
    cut = signer.send("GET", key, {"Range": f"bytes=1-{number}"})
    assert (cut.status, cut.body) == (206, b"ello")
    decoded = {"Content-Length": "10", "x-amz-decoded-content-length": number}
    with signer.served.connect() as connection:
        connection.sendall(signer.head("PUT", key, decoded, payload=STREAMING_TRAILER))
        assert read_answer(connection).status == 400


@pytest.mark.parametrize("number", ABSURD, ids=lambda text: text[:24])
def test_in_a_document(signer: Signer, bucket: str, upload_id: str, number: str) -> None:
    part = f"<Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>"
    entry = f"<Object><Key>k</Key><Size>{number}</Size></Object>"
    for target, text, status in (
        (
            f"/{bucket}/k?uploadId={upload_id}",
            f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>",
            400,
        ),
        # An error of this entry alone.
        (f"/{bucket}?delete", f"<Delete>{entry}</Delete>", 200),
    ):
        body = text.encode()
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        answer = signer.send("POST", target, {"Content-MD5": md5}, body)
        assert (answer.status, answer.code) == (status, "InvalidArgument")


@pytest.mark.parametrize("length", [str(2**63), "9" * 20, "9" * 21, "9" * 5000])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_as_a_content_length(
    signer: Signer, bucket: str, upload_id: str, method: str, length: str
) -> None:
    with signer.served.connect() as connection:
        connection.sendall(signer.head(method, f"/{bucket}/k", {"Content-Length": length}))
        assert read_answer(connection).status == 400


@pytest.mark.parametrize("size", ["8000000000000000", "f" * 16, "f" * 20, "f" * 21, "f" * 5000])
def test_as_the_size_of_a_chunk(signer: Signer, bucket: str, upload_id: str, size: str) -> None:
    inner = {"x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"}
    framed = {"Content-Length": "1000000", **inner}
    chunked = {"Transfer-Encoding": "chunked", **inner}
    for sent, payload in (
        (framed, STREAMING_TRAILER),
        (chunked, STREAMING_TRAILER),
        ({"Transfer-Encoding": "chunked"}, "UNSIGNED-PAYLOAD"),
    ):
        method = "PUT" if inner.items() <= sent.items() else "GET"
        with signer.served.connect() as connection:
            head = signer.head(method, f"/{bucket}/k", sent, payload=payload)
            connection.sendall(head + size.encode() + b"\r\nhello\r\n")
            assert read_answer(connection).status == 400
