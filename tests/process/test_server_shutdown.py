"""Stopping: what is idle closes, what is under way gets its time, nothing gets more."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from mediaconvert.api.asgi import Receive, Scope, Send
from mediaconvert.api.server import serve
from mediaconvert.settings import ServerSettings
from tests.process.raw_http import (
    GUARD_SECONDS,
    echo,
    only_http,
    respond,
    served,
    settings,
    whole_body,
)

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MIB = 1 << 20


async def test_idle_connections_close_at_once() -> None:
    async with served(echo) as server:
        fresh, used = await server.connect(), await server.connect()
        await used.ask(GET)
        server.shutdown.set()
        assert await fresh.is_closed()
        assert await used.is_closed()


async def test_no_new_connections_are_taken() -> None:
    async with served(echo) as server:
        client = await server.connect()
        server.shutdown.set()
        assert await client.is_closed()
        with pytest.raises(OSError):
            await server.connect()


async def test_a_request_under_way_is_finished_and_told_that_the_connection_closes() -> None:
    go_on = trio.Event()

    @only_http
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        await go_on.wait()
        await respond(send, 200, body or b"")

    async with served(slow) as server:
        client = await server.connect()
        await client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        await client.settle()
        server.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        await client.send(b"cd")
        go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"abcd", "close")
        assert await client.is_closed()


async def test_a_request_whose_head_was_under_way_is_still_answered() -> None:
    async with served(echo) as server:
        client = await server.connect()
        await client.send(GET[:10])
        await client.settle()
        server.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        answer = await client.ask(GET[10:])
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_stalled_reader_and_a_stuck_handler_do_not_outlast_the_deadline() -> None:
    cancelled = trio.Event()
    begun = {"/": trio.Event(), "/stuck": trio.Event()}

    @only_http
    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        begun[scope["path"]].set()
        if scope["path"] == "/stuck":
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})

    shutdown = trio.Event()
    with trio.fail_after(GUARD_SECONDS):
        async with trio.open_nursery() as nursery:
            run = partial(
                serve,
                stuck,
                settings=settings(drain_requests_seconds=0.1, rate_grace_seconds=60),
                shutdown=shutdown,
            )
            addresses = await nursery.start(run)
            for path in (b"/", b"/stuck"):
                stream = await trio.open_tcp_stream(*addresses[0])
                nursery.start_soon(_never_reads, stream, path, cancelled)
            for each in begun.values():
                await each.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
            shutdown.set()
    assert cancelled.is_set()


async def _never_reads(stream: trio.SocketStream, path: bytes, until: trio.Event) -> None:
    async with stream:
        await stream.send_all(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        await until.wait()


async def test_cancelling_the_server_stops_everything() -> None:
    with trio.fail_after(GUARD_SECONDS):
        async with trio.open_nursery() as nursery:
            run = partial(serve, echo, settings=settings(), shutdown=trio.Event())
            addresses = await nursery.start(run)
            async with await trio.open_tcp_stream(*addresses[0]) as stream:
                await stream.send_all(GET)
                assert b" 200 OK" in await stream.receive_some()
                nursery.cancel_scope.cancel()


async def test_an_address_in_use_is_an_os_error() -> None:
    async with served(echo) as server:
        with pytest.raises(OSError):
            await serve(
                echo, settings=ServerSettings(port=server.address[1]), shutdown=trio.Event()
            )
