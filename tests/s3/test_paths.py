"""Paths that are written in several ways, all of which one signature covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mediaconvert.settings import S3Settings
from tests.s3.errors import refused
from tests.s3.signing import Answer, Signer, read_answer
from tests.serving import serving


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """The path of the object `key`."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello")
    return f"/{bucket}/key"


def resend(
    signer: Signer, method: str, signed: str, sent: str, headers: dict[str, str] | None = None
) -> Answer:
    """A request that is signed with one path and sent with another."""
    head = signer.head(method, signed, headers).replace(signed.encode(), sent.encode(), 1)
    with signer.served.connect() as connection:
        connection.sendall(head)
        return read_answer(connection, method)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("slash", ["%2F", "%2f"])
def test_an_encoded_slash_is_part_of_the_buckets_name(
    signer: Signer, s3: Any, bucket: str, stored: str, method: str, slash: str
) -> None:
    for signed, sent in (
        (stored, f"/{bucket}{slash}key"),
        (f"/{bucket}{slash}key", f"/{bucket}{slash}key"),
        (f"/{bucket}/", f"/{bucket}{slash}"),
        (f"/{stored}", f"/{slash}{bucket}/key"),
    ):
        answer = resend(signer, method, signed, sent)
        assert (answer.status, answer.code) == (400, "InvalidBucketName")
    s3.head_object(Bucket=bucket, Key="key")


def test_a_path_without_a_bucket_is_refused(signer: Signer, stored: str) -> None:
    assert signer.error("GET", f"/{stored}") == (400, "InvalidBucketName")
    assert signer.error("GET", "//") == (400, "InvalidBucketName")


def test_encoded_letters_and_slashes_of_a_key_mean_the_same(
    signer: Signer, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello")
    encoded = "".join(f"%{ord(c):02x}" for c in bucket)
    for sent in (f"/{encoded}/a/b", f"/{bucket}/a%2Fb", f"/{bucket}/%61%2fb"):
        assert resend(signer, "GET", f"/{bucket}/a/b", sent).body == b"hello"


def test_a_presigned_url_does_not_reach_another_object(
    signer: Signer, s3: Any, bucket: str, stored: str
) -> None:
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    target = url.removeprefix(signer.served.url)
    assert target.startswith(stored)
    for sent, expected in ((target, 200), (target.replace(stored, f"/{bucket}%2Fkey"), 400)):
        with signer.served.connect() as connection:
            host = f"{signer.served.host}:{signer.served.port}"
            connection.sendall(f"GET {sent} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert read_answer(connection).status == expected


def test_a_copy_source_may_be_encoded_whole(s3: Any, signer: Signer, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello")
    # Clients encode the header as one value; the signature covers it as it is sent.
    headers = {"x-amz-copy-source": quote(f"{bucket}/a/b", safe=""), "Content-Length": "0"}
    assert signer.send("PUT", f"/{bucket}/copy", headers).status == 200
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"hello"


def test_no_bucket_has_a_slash_in_its_name(signer: Signer, s3: Any, bucket: str) -> None:
    empty = {"Content-Length": "0"}
    assert signer.error("PUT", f"/{bucket}%2Fx", empty) == (400, "InvalidBucketName")
    assert refused(s3.get_object, Bucket=bucket, Key="x") == (404, "NoSuchKey")


def test_a_leading_slash_is_part_of_the_key_where_the_host_names_the_bucket(tmp_path: Path) -> None:
    with serving(tmp_path, s3=S3Settings(domain="s3.test")) as served:
        person = served.person()
        s3 = served.client(person)
        s3.create_bucket(Bucket="in-the-host")
        s3.put_object(Bucket="in-the-host", Key="/a", Body=b"found")
        signer = Signer(served, person)
        for path in ("//a", "/%2Fa", "/%2fa"):
            answer = resend(signer, "GET", "//a", path, {"Host": "in-the-host.s3.test"})
            assert (answer.status, answer.body) == (200, b"found")
        assert signer.error("GET", "/a", {"Host": "in/the-host.s3.test"})[0] == 400
