"""What is refused before an application sees it, and how that looks."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.process.raw_http import Answer, echo, served, settings

MALFORMED = {
    "length_and_chunked": b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    "chunked_and_length": b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n",
    "chunked_in_1_0": b"PUT /b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two_lengths": b"PUT /b/k HTTP/1.1\r\nHost: h\r\n"
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "signed_length": b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
    "endless_length": b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: %s\r\n\r\n" % (b"9" * 30),
    "folded_header": b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n",
    "nul_in_header": b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: 1\x002\r\n\r\n",
    "control_in_header": b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: 1\x072\r\n\r\n",
    "bare_line_feeds": b"GET /b/k HTTP/1.1\nHost: h\n\n",
    "bare_carriage_return": b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: 1\r2\r\n\r\n",
    "space_before_colon": b"GET /b/k HTTP/1.1\r\nHost : h\r\n\r\n",
    "no_host": b"GET /b/k HTTP/1.1\r\n\r\n",
    "two_hosts": b"GET /b/k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no_version": b"GET /b/k\r\nHost: h\r\n\r\n",
    "non_ascii_target": b"GET /b/\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n",
    "nul_in_target": b"GET /b\0/k HTTP/1.1\r\nHost: h\r\n\r\n",
    "no_slash": b"GET b/k HTTP/1.1\r\nHost: h\r\n\r\n",
    "tls_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http_2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def s3_code(answer: Answer) -> str | None:
    root = ElementTree.fromstring(answer.body)
    assert root.tag == "Error"
    assert answer.headers["content-type"] == "application/xml"
    assert root.findtext("RequestId") == answer.headers["x-amz-request-id"]
    assert root.findtext("Message")
    return root.findtext("Code")


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_a_400_in_xml_and_ends_the_connection(name: str) -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(MALFORMED[name])
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert s3_code(answer) == "BadRequest"
        assert await client.is_closed()


SECRETS = {
    "header": b"GET /b/k HTTP/1.1\r\nHost: h\r\nAuthorization : Bearer s3cret\r\n\r\n",
    "presigned": b"GET /b/\xc3\xa4?X-Amz-Signature=s3cret HTTP/1.1\r\nHost: h\r\n\r\n",
    "chunk": b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"password=s3cret\r\n\r\n",
}


@pytest.mark.parametrize("name", SECRETS)
async def test_what_could_not_be_read_is_neither_answered_nor_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(SECRETS[name])
    assert answer.status == 400
    assert b"s3cret" not in answer.body
    logged = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert not [line for line in logged if "s3cret" in line]


async def test_the_rest_door_is_refused_in_json() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"GET /api/me HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n")
        body = json.loads(answer.body)
    assert answer.status == 400
    assert body["code"] == "bad_request"
    assert "folded" in body["error"]
    assert body["request_id"] == answer.headers["x-request-id"]


async def test_another_transfer_coding_is_not_implemented() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n")
        assert (answer.status, s3_code(answer)) == (501, "NotImplemented")


async def test_connect_is_refused() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert answer.status == 405
        assert await client.is_closed()


@pytest.mark.parametrize("ended", [b"", b"\r\n\r\n"])
async def test_a_head_over_the_limit_is_a_431(ended: bytes) -> None:
    async with served(echo, settings(max_header_bytes=8192)) as server:
        client = await server.connect()
        head = b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 8192 + ended
        answer = await client.ask(head)
        assert answer.status == 431
        assert s3_code(answer) == "RequestHeaderSectionTooLarge"
        assert await client.is_closed()


async def test_a_head_just_under_the_limit_is_served_with_its_body() -> None:
    async with served(echo, settings(max_header_bytes=8192)) as server:
        client = await server.connect()
        start, end = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\nX-A: ", b"\r\n\r\n"
        head = start + b"a" * (8192 - len(start) - len(end)) + end
        answer = await client.ask(head + bytes(20_000))
        assert answer.body == b"PUT / \n" + bytes(20_000)


async def test_a_refused_head_request_gets_no_body() -> None:
    async with served(echo) as server:
        client = await server.connect()
        await client.send(b"HEAD /b/k HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n")
        assert (await client.rest()).endswith(b"\r\n\r\n")


async def test_a_broken_chunk_is_a_400_and_ends_the_connection() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(
            b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\nnot a size\r\n"
        )
        assert (answer.status, s3_code(answer)) == (400, "BadRequest")
        assert await client.is_closed()


async def test_a_request_that_never_ended_gets_no_answer() -> None:
    async with served(echo) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHo")
        await client.stream.send_eof()
        assert await client.is_closed()
