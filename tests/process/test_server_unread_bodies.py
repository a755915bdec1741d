"""What becomes of a connection when an application has not read a request's body."""

from __future__ import annotations

import trio

from mediaconvert.api.asgi import Receive, Scope, Send
from tests.process.raw_http import never_reads, only_http, respond, served

MIB = 1 << 20


def put(size: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


async def test_a_small_unread_body_is_dropped_and_the_connection_goes_on() -> None:
    async with served(never_reads) as server:
        client = await server.connect()
        for size in (0, 5, 60_000):
            answer = await client.ask(put(size) + b"x" * size)
            assert answer.status == 403
            assert "connection" not in answer.headers


async def test_body_bytes_are_never_taken_for_a_request() -> None:
    paths: list[str] = []

    @only_http
    async def record(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await respond(send, 403)

    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    async with served(record) as server:
        client = await server.connect()
        await client.ask(put(len(smuggled)))
        await client.ask(smuggled + b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
        chunked = b"PUT /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.ask(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled))
        await client.ask(b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
        client = await server.connect()
        await client.send(put(10 * MIB), smuggled * 10_000)
        assert (await client.answer()).status == 403
    assert paths == ["/", "/next", "/chunked", "/last", "/"]


async def test_a_large_unread_body_closes_but_its_answer_arrives() -> None:
    async with served(never_reads) as server:
        client = await server.connect()
        # The client sends all of it before it looks for an answer, as many do.
        await client.send(put(16 * MIB), bytes(16 * MIB))
        answer = await client.answer()
        assert (answer.status, answer.body) == (403, b"denied")
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()


async def test_a_long_chunked_body_that_nobody_reads_closes() -> None:
    async with served(never_reads) as server:
        client = await server.connect()
        chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(head, chunk * 64)).status == 403
        await client.stream.send_eof()
        assert await client.is_closed()


async def test_a_slow_handler_slows_its_client_and_fills_no_memory() -> None:
    go_on = trio.Event()

    @only_http
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await go_on.wait()
        while (await receive())["more_body"]:
            pass
        await respond(send)

    sent = 0
    size = 256 * MIB
    async with served(slow) as server:
        client = await server.connect()
        await client.send(put(size))

        async def upload() -> None:
            nonlocal sent
            while sent < size:
                await client.send(bytes(MIB))
                sent += MIB

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload)
            await trio.testing.wait_all_tasks_blocked(0.05)
            # What has gone is in the kernel's buffers, but for one piece.
            assert sent < 64 * MIB
            go_on.set()
        assert (await client.answer()).status == 200
