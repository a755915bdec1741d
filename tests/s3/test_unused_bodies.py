"""Bodies that an operation has no use for: checked against the signature, then dropped."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from mediaconvert.api.s3.payload import MAX_UNUSED_BYTES
from tests.s3.errors import refused
from tests.s3.signing import Answer, Signer, read_answer

EMPTY = hashlib.sha256().hexdigest()
BODY = b"GET / HTTP/1.1\r\nHost: smuggled\r\n\r\n"

REQUESTS = [
    ("GET", "/{bucket}/k", {}),
    ("HEAD", "/{bucket}/k", {}),
    ("DELETE", "/{bucket}/k", {}),
    ("GET", "/{bucket}?list-type=2", {}),
    ("GET", "/{bucket}", {}),
    ("GET", "/", {}),
    ("GET", "/{bucket}?uploads", {}),
    ("DELETE", "/{bucket}", {}),
    ("POST", "/{bucket}/new?uploads", {}),
    ("PUT", "/{bucket}/new", {"x-amz-copy-source": "/{bucket}/k"}),
]


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    return bucket


def exchange(
    signer: Signer, method: str, target: str, headers: dict[str, str], body: bytes, payload: str
) -> tuple[Answer, Answer | None]:
    """The answer to a request, and to a GET of `k` behind it unless the connection is closed."""
    bucket = target.split("?")[0].split("/")[1] or headers.pop("bucket")
    head = signer.head(method, target, headers, payload=payload)
    with signer.served.connect() as connection:
        connection.sendall(head + body + signer.head("GET", f"/{bucket}/k"))
        first = read_answer(connection, method)
        if first.headers.get("connection") == "close":
            return first, None
        return first, read_answer(connection)


def named(bucket: str, target: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    filled = {name: value.format(bucket=bucket) for name, value in headers.items()}
    return target.format(bucket=bucket), filled | ({"bucket": bucket} if target == "/" else {})


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("method", "target", "headers"), REQUESTS)
def test_a_body_that_is_not_what_was_signed_is_refused(
    signer: Signer,
    s3: Any,
    stored: str,
    method: str,
    target: str,
    headers: dict[str, str],
    framing: str,
) -> None:
    target, sent = named(stored, target, headers)
    body = BODY
    if framing == "chunked":
        sent["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    else:
        sent["Content-Length"] = str(len(BODY))
    first, second = exchange(signer, method, target, sent, body, EMPTY)
    assert first.status == 400
    assert method == "HEAD" or first.code == "XAmzContentSHA256Mismatch"
    assert second is not None and second.body == b"hello"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=stored)["Contents"]] == ["k"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=stored)


@pytest.mark.parametrize("payload", [hashlib.sha256(BODY).hexdigest(), "UNSIGNED-PAYLOAD"])
def test_a_body_that_the_signature_allows_has_no_effect(
    signer: Signer, stored: str, payload: str
) -> None:
    for target in (f"/{stored}/k", f"/{stored}?list-type=2"):
        sent = {"Content-Length": str(len(BODY))}
        first, second = exchange(signer, "GET", target, sent, BODY, payload)
        assert first.status == 200
        assert second is not None and second.body == b"hello"


def test_a_signed_body_that_does_not_come_is_refused(signer: Signer, s3: Any, stored: str) -> None:
    payload = hashlib.sha256(BODY).hexdigest()
    first, _ = exchange(signer, "DELETE", f"/{stored}/k", {}, b"", payload)
    assert (first.status, first.code) == (400, "XAmzContentSHA256Mismatch")
    s3.head_object(Bucket=stored, Key="k")


@pytest.mark.parametrize("payload", [EMPTY, "UNSIGNED-PAYLOAD"])
def test_a_large_unused_body_is_refused_before_it_is_sent(
    signer: Signer, s3: Any, stored: str, payload: str
) -> None:
    sent = {"Content-Length": str(MAX_UNUSED_BYTES + 1)}
    first, second = exchange(signer, "DELETE", f"/{stored}/k", sent, b"", payload)
    assert (first.status, first.code) == (400, "EntityTooLarge")
    assert second is None
    s3.head_object(Bucket=stored, Key="k")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Content-MD5", b64encode(bytes(16)).decode(), "BadDigest"),
        ("x-amz-checksum-crc32", "AAAAAQ==", "BadDigest"),
        ("x-amz-checksum-crc99", "AAAAAA==", "InvalidRequest"),
        ("x-amz-trailer", "x-amz-checksum-crc32", "InvalidRequest"),
    ],
)
def test_what_is_declared_of_an_empty_body_is_compared(
    signer: Signer, s3: Any, stored: str, name: str, value: str, code: str
) -> None:
    assert signer.error("DELETE", f"/{stored}/k", {name: value}) == (400, code)
    s3.head_object(Bucket=stored, Key="k")


# The SDK for Java 2 sends the checksum of no bytes with GetObject; some clients send an empty MD5.
@pytest.mark.parametrize("header", [("x-amz-checksum-crc32", "AAAAAA=="), ("Content-MD5", "")])
@pytest.mark.parametrize(("method", "target", "headers"), REQUESTS)
def test_what_declares_nothing_of_an_empty_body_is_accepted(
    signer: Signer,
    stored: str,
    method: str,
    target: str,
    headers: dict[str, str],
    header: tuple[str, str],
) -> None:
    target, sent = named(stored, target, headers)
    sent.pop("bucket", None)
    answer = signer.send(method, target, sent | dict([header]) | {"Content-Length": "0"})
    is_bucket_in_use = (method, target) == ("DELETE", f"/{stored}")
    assert answer.status == (409 if is_bucket_in_use else 204 if method == "DELETE" else 200)


def test_an_empty_md5_of_an_object_is_refused(signer: Signer, stored: str) -> None:
    sent = {"Content-MD5": "", "Content-Length": "0"}
    assert signer.error("PUT", f"/{stored}/new", sent) == (400, "InvalidDigest")


def test_the_document_of_a_new_bucket_is_what_was_signed(
    signer: Signer, s3: Any, stored: str
) -> None:
    body = b"<CreateBucketConfiguration/>"
    for payload, status in ((EMPTY, 400), (hashlib.sha256(body).hexdigest(), 200)):
        sent = {"Content-Length": str(len(body))}
        with signer.served.connect() as connection:
            head = signer.head("PUT", f"/{stored}-two", sent, payload=payload)
            connection.sendall(head + body)
            assert read_answer(connection).status == status
        if status == 400:
            assert refused(s3.head_bucket, Bucket=f"{stored}-two")[0] == 404
