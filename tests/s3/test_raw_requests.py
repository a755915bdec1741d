"""What no client sends, and what a client does not show: raw sockets."""

from __future__ import annotations

import hashlib
import select
import zlib
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from mediaconvert.api.s3.app import LARGE_DOCUMENTS_OF_ONE_USER
from mediaconvert.settings import S3Settings, ServerSettings
from tests.program import WAIT_SECONDS
from tests.s3.signing import Signer, read_answer
from tests.serving import Served, serving

STREAMING_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def wait_for_blobs(served: Served, expected: set[str]) -> None:
    """Until the store holds just these files."""

    async def wait() -> None:
        with trio.fail_after(WAIT_SECONDS):
            while served.blob_files() != expected:
                await trio.lowlevel.checkpoint()

    served.run(wait)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amz-meta-pipeline": "no-such-pipeline"}, (400, "InvalidArgument")),
        ({"x-amz-tagging": "a=b"}, (501, "NotImplemented")),
        ({"If-Match": '"other"'}, (404, "NoSuchKey")),
        ({"x-amz-storage-class": "CHEAP"}, (400, "InvalidStorageClass")),
        ({"Content-MD5": "nonsense"}, (400, "InvalidDigest")),
    ],
    ids=lambda v: str(v)[:30],
)
def test_a_refused_upload_never_gets_its_100_continue(
    served: Served, signer: Signer, bucket: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    before = served.blob_files()
    sent = {"Content-Length": "1000000", "Expect": "100-continue", **headers}
    with served.connect() as connection:
        connection.sendall(signer.head("PUT", f"/{bucket}/k", sent))
        answer = read_answer(connection)
    assert (answer.status, answer.code) == expected
    assert served.blob_files() == before


def test_the_unknown_pipeline_is_named_with_what_would_be_right(
    served: Served, signer: Signer, bucket: str
) -> None:
    served.pipeline(signer.person, "video-complete")
    headers = {"x-amz-meta-Pipeline": "video-complet", "Content-Length": "5"}
    answer = signer.send("PUT", f"/{bucket}/k", headers)
    assert b"pipeline &apos;video-complet&apos;" in answer.body.replace(b"'", b"&apos;")
    assert b"did you mean" in answer.body
    assert b"video-complete" in answer.body


def test_a_stranger_never_gets_a_100_continue(served: Served, bucket: str) -> None:
    head = (
        f"PUT /{bucket}/k HTTP/1.1\r\nHost: {served.host}\r\n"
        "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    )
    with served.connect() as connection:
        connection.sendall(head.encode())
        answer = read_answer(connection)
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_an_accepted_upload_gets_its_100_continue(
    served: Served, signer: Signer, s3: Any, bucket: str
) -> None:
    sent = {"Content-Length": "5", "Expect": "100-continue"}
    with served.connect() as connection:
        connection.sendall(signer.head("PUT", f"/{bucket}/k", sent))
        assert read_answer(connection).status == 100
        connection.sendall(b"hello")
        assert read_answer(connection).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


def test_an_aborted_body_leaves_no_blob_and_no_object(
    served: Served, signer: Signer, s3: Any, bucket: str
) -> None:
    before = served.blob_files()
    with served.connect() as connection:
        connection.sendall(signer.head("PUT", f"/{bucket}/k", {"Content-Length": "9000000"}))
        connection.sendall(b"x" * 3_000_000)
    wait_for_blobs(served, before)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_object_attributes_that_name_none_are_refused(signer: Signer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert signer.error("GET", f"/{bucket}/k?attributes") == (400, "InvalidArgument")


def test_one_user_cannot_fill_the_memory_with_documents(
    served: Served, signer: Signer, s3: Any, bucket: str
) -> None:
    large = {"Content-Length": "8000000", "Content-MD5": b64encode(bytes(16)).decode()}
    head = signer.head("POST", f"/{bucket}?delete", large, payload="UNSIGNED-PAYLOAD")
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(served.connect()) for _ in range(LARGE_DOCUMENTS_OF_ONE_USER + 1)
        ]
        for connection in waiting:
            connection.sendall(head + b" " * 100_000)
        answered, _, _ = select.select(waiting, [], [], WAIT_SECONDS)
        assert [read_answer(connection).status for connection in answered] == [503]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "small"}]})


def test_a_put_without_a_length_is_refused(signer: Signer, bucket: str) -> None:
    assert signer.error("PUT", f"/{bucket}/k") == (411, "MissingContentLength")
    chunked = {"Transfer-Encoding": "chunked"}
    assert signer.error("PUT", f"/{bucket}/k", chunked) == (411, "MissingContentLength")


def test_a_body_over_5_gib_is_refused_before_it_is_sent(signer: Signer, bucket: str) -> None:
    too_large = {"Content-Length": str((5 << 30) + 1)}
    assert signer.error("PUT", f"/{bucket}/k", too_large) == (400, "EntityTooLarge")
    decoded = {"Content-Length": "100", "x-amz-decoded-content-length": str((5 << 30) + 1)}
    with signer.served.connect() as connection:
        head = signer.head("PUT", f"/{bucket}/k", decoded, payload=STREAMING_TRAILER)
        connection.sendall(head)
        assert read_answer(connection).code == "EntityTooLarge"


def put_framed(
    signer: Signer, target: str, body: bytes, headers: dict[str, str]
) -> tuple[int, str]:
    sent = {"Content-Length": str(len(body)), **headers}
    with signer.served.connect() as connection:
        connection.sendall(signer.head("PUT", target, sent, payload=STREAMING_TRAILER) + body)
        answer = read_answer(connection)
    return answer.status, answer.code


def test_framed_bodies_and_their_trailers(
    served: Served, signer: Signer, s3: Any, bucket: str
) -> None:
    crc = b64encode(zlib.crc32(b"hello world").to_bytes(4, "big"))
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n"
    headers = {"x-amz-decoded-content-length": "11", "x-amz-trailer": "x-amz-checksum-crc32"}
    before = served.blob_files()

    def put(body: bytes, changed: dict[str, str] | None = None) -> tuple[int, str]:
        return put_framed(signer, f"/{bucket}/k", body, headers | (changed or {}))

    wrong = b64encode(b"\0\0\0\0")
    assert put(chunks + b"x-amz-checksum-crc32:" + wrong + b"\r\n\r\n") == (400, "BadDigest")
    assert put(chunks + b"\r\n") == (400, "InvalidRequest")
    assert put(chunks + b"unannounced:1\r\n\r\n") == (400, "MalformedTrailerError")
    length = {"x-amz-decoded-content-length": "12"}
    assert put(chunks + b"x-amz-checksum-crc32:" + crc + b"\r\n\r\n", length)[1] == "IncompleteBody"
    assert put(b"zz\r\nhello\r\n")[0] == 400
    assert put(b"5\r\nhel")[1] == "IncompleteBody"
    assert served.blob_files() == before
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert put(chunks + b"x-amz-checksum-crc32:" + crc + b"\r\n\r\n") == (200, "")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello world"


def test_a_body_that_is_not_what_was_signed_is_refused(
    served: Served, signer: Signer, s3: Any, bucket: str
) -> None:
    before = served.blob_files()
    digest = hashlib.sha256(b"hello").hexdigest()
    with served.connect() as connection:
        head = signer.head("PUT", f"/{bucket}/k", {"Content-Length": "5"}, payload=digest)
        connection.sendall(head + b"jello")
        assert read_answer(connection).code == "XAmzContentSHA256Mismatch"
    assert served.blob_files() == before


def test_refusals_of_head_have_no_body(signer: Signer, bucket: str) -> None:
    with signer.served.connect() as connection:
        connection.sendall(signer.head("HEAD", f"/{bucket}/none", {}))
        connection.sendall(signer.head("GET", f"/{bucket}?location", {}))
        first = read_head(connection)
    assert first.count(b"HTTP/1.1 404") == 1
    assert b"<Error>" not in first
    assert b"<LocationConstraint" in first


def read_head(connection: Any) -> bytes:
    """Two answers on one connection, as they came."""
    data = b""
    while b"LocationConstraint" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def test_every_refusal_carries_the_requests_id(signer: Signer, bucket: str) -> None:
    answer = signer.send("GET", f"/{bucket}/none")
    request_id = answer.headers["x-amz-request-id"]
    assert f"<RequestId>{request_id}</RequestId>".encode() in answer.body
    assert f"<Resource>/{bucket}/none</Resource>".encode() in answer.body
    assert answer.headers["content-type"] == "application/xml"


def test_bad_percent_encoding_is_an_invalid_uri(signer: Signer, bucket: str) -> None:
    for target in (f"/{bucket}/%ff", f"/{bucket}/%zz", f"/{bucket}/a%00b"):
        assert signer.error("GET", target)[0] == 400
    assert signer.error("GET", f"/{bucket}?prefix=%ff") == (400, "InvalidURI")


def test_the_bucket_may_stand_in_the_host(tmp_path: Path) -> None:
    with serving(tmp_path, s3=S3Settings(domain="s3.test")) as served:
        person = served.person()
        s3 = served.client(person)
        s3.create_bucket(Bucket="in-the-host")
        s3.put_object(Bucket="in-the-host", Key="a/b", Body=b"found")
        signer = Signer(served, person)
        answer = signer.send("GET", "/a/b", {"Host": "in-the-host.s3.test"})
        assert (answer.status, answer.body) == (200, b"found")
        listed = signer.send("GET", "/?list-type=2", {"Host": "in-the-host.s3.test:80"})
        assert b"<Key>a/b</Key>" in listed.body


def test_more_uploads_than_the_limit_are_told_to_slow_down(tmp_path: Path) -> None:
    limits = ServerSettings(port=0, data_dir=tmp_path, max_uploads=1, drain_requests_seconds=1.0)
    with serving(tmp_path, server=limits) as served:
        person = served.person()
        s3 = served.client(person)
        s3.create_bucket(Bucket="narrow")
        signer = Signer(served, person)
        sent = {"Content-Length": "5", "Expect": "100-continue"}
        with served.connect() as first:
            first.sendall(signer.head("PUT", "/narrow/first", sent))
            # The 100 says that the first upload holds its slot.
            assert first.recv(12) == b"HTTP/1.1 100"
            answer = signer.send("PUT", "/narrow/second", body=b"hello")
            assert (answer.status, answer.code) == (503, "SlowDown")
            assert answer.headers["retry-after"] == "1"
            first.sendall(b"hello")
            while b"HTTP/1.1 200" not in (piece := first.recv(4096)):
                assert piece
        assert signer.send("PUT", "/narrow/second", body=b"hello").status == 200
