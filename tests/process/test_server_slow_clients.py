"""Clients that drip, stall or are too many are cut, and nobody else notices."""

from __future__ import annotations

import trio

from mediaconvert.api.asgi import ClientDisconnected, Receive, Scope, Send
from tests.process.raw_http import Answer, RawClient, Served, echo, only_http, served, settings

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MIB = 1 << 20


async def test_a_head_that_does_not_end_in_time_is_a_408() -> None:
    async with served(echo, settings(rate_grace_seconds=0.1)) as server:
        client = await server.connect()
        answer = await client.ask(b"GET /b/k HTTP/1.1\r\nHost: h\r\nX-A:")
        assert answer.status == 408
        assert b"<Code>RequestTimeout</Code>" in answer.body
        assert await client.is_closed()


async def test_a_body_that_stops_is_a_408_and_the_application_is_told() -> None:
    messages: list[str] = []
    told = trio.Event()

    @only_http
    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        while not messages or messages[-1] != "http.disconnect":
            messages.append((await receive())["type"])
        told.set()

    async with served(listen, settings(rate_grace_seconds=0.1)) as server:
        client = await server.connect()
        answer = await client.ask(
            b"PUT /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"
        )
        assert answer.status == 408
        assert b'"code": "request_timeout"' in answer.body
        assert await client.is_closed()
        await told.wait()
    assert messages == ["http.request", "http.disconnect"]


async def test_a_chunked_body_that_stops_is_a_408() -> None:
    async with served(echo, settings(rate_grace_seconds=0.1)) as server:
        client = await server.connect()
        answer = await client.ask(
            b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
        )
        assert answer.status == 408


async def test_a_client_that_does_not_read_is_cut() -> None:
    cut = trio.Event()

    @only_http
    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        except ClientDisconnected:
            cut.set()
            raise

    async with served(pour, settings(rate_grace_seconds=0.1)) as server:
        client = await server.connect()
        await client.send(GET)
        await cut.wait()


async def test_a_reader_above_the_minimum_rate_gets_everything() -> None:
    @only_http
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(32):
            await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        await send({"type": "http.response.body"})

    # Longer than the pauses of a machine: none of them is the client's.
    async with served(large, settings(rate_grace_seconds=20, min_rate_bytes=1024)) as server:
        client = await server.connect()
        assert len((await client.ask(GET)).body) == 32 * MIB


async def test_an_idle_connection_is_closed() -> None:
    async with served(echo, settings(idle_seconds=0.1)) as server:
        fresh = await server.connect()
        assert await fresh.is_closed()
        used = await server.connect_and_send(GET)
        assert (await used.answer()).status == 200
        assert await used.is_closed()


async def test_a_connection_over_the_limit_gets_a_503_and_the_others_go_on() -> None:
    async with served(echo, settings(max_connections=2)) as server:
        first, second = await server.connect(), await server.connect()
        assert (await first.ask(GET)).status == (await second.ask(GET)).status == 200
        third = await server.connect_and_send(GET)
        answer = await third.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert b"<Code>SlowDown</Code>" in answer.body
        assert await third.is_closed()
        assert (await first.ask(GET)).status == (await second.ask(GET)).status == 200
        await first.stream.aclose()
        assert (await _first_served(server)).status == 200


async def _first_served(server: Served) -> Answer:
    """The first answer that is no 503: the server may need a moment to see that one left."""
    while True:
        client: RawClient = await server.connect_and_send(GET)
        answer = await client.answer()
        if answer.status != 503:
            return answer
        await client.stream.aclose()
