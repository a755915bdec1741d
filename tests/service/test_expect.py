"""`Expect: 100-continue`: a client that asks first is refused before it sends its body."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from mediaconvert.errors import UnknownPipeline
from tests.program import Person


def ask(person: Person, metadata: dict[str, str]) -> bytes:
    """The first answer to a PUT whose body is never sent, unless a 100 asks for it."""
    url = person.s3.generate_presigned_url(
        "put_object",
        Params={"Bucket": person.bucket, "Key": "big.mp4", "Metadata": metadata},
    )
    parts = urlsplit(url)
    head = [
        f"PUT {parts.path}?{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Length: 5000000",
        "Expect: 100-continue",
        *(f"x-amz-meta-{k}: {v}" for k, v in metadata.items()),
    ]
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as client:
        client.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        answer = client.recv(65536)
        if not answer.startswith(b"HTTP/1.1 100"):
            while piece := client.recv(65536):  # and then the connection is closed
                answer += piece
        return answer


def test_a_client_that_names_an_unknown_pipeline_never_gets_the_100(person: Person) -> None:
    answer = ask(person, {"pipeline": "none-such"})
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>InvalidArgument</Code>" in answer
    assert str(UnknownPipeline("none-such", [])).split(";")[0].encode() in answer.replace(
        b"&apos;", b"'"
    ).replace(b"&#39;", b"'")
    assert person.keys_below("") == []


def test_a_client_that_may_send_is_told_so(person: Person) -> None:
    assert ask(person, {}).startswith(b"HTTP/1.1 100 ")
