"""A bug in an application costs one request, is logged once and answered in the door's form."""

from __future__ import annotations

import json
import logging

import pytest
import trio

from mediaconvert.api.asgi import Receive, Scope, Send
from tests.process.raw_http import only_http, respond, served


def get(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n"


@only_http
async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    match scope["path"].rsplit("/", 1)[1]:
        case "fine":
            await respond(send)
        case "at-once":
            raise ZeroDivisionError
        case "in-a-group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(respond, None)
        case "after-start":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ZeroDivisionError
        case "bad-header":
            await respond(send, 200, b"", ((b"x-bad", b"a\r\nb"),))
        case "in-the-middle":
            length = [(b"content-length", b"10")]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ZeroDivisionError
        case "too-short":
            length = [(b"content-length", b"10")]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": b"half"})


@pytest.mark.parametrize("how", ["at-once", "in-a-group", "after-start", "bad-header", "silent"])
async def test_a_crash_before_the_first_byte_is_a_500(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(crash) as server:
        client = await server.connect()
        answer = await client.ask(get(b"/api/" + how.encode()))
        assert answer.status == 500
        body = json.loads(answer.body)
        assert (body["code"], body["request_id"]) == (
            "internal_error",
            answer.headers["x-request-id"],
        )
        assert await client.is_closed()
        xml = await (await server.connect()).ask(get(b"/bucket/" + how.encode()))
        assert b"<Code>InternalError</Code>" in xml.body
        assert (await (await server.connect()).ask(get(b"/b/fine"))).status == 200
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in errors] == ["mediaconvert.server"] * 2
    assert errors[0].fields["request_id"] == body["request_id"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["in-the-middle", "too-short"])
async def test_a_crash_in_the_middle_of_an_answer_cuts_the_connection(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(crash) as server:
        client = await server.connect()
        await client.send(get(b"/bucket/" + how.encode()))
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await client.answer()
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
