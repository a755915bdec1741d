"""A client that leaves stops its handler at once."""

from __future__ import annotations

import pytest
import trio

from mediaconvert.api.asgi import ClientDisconnected, Receive, Scope, Send
from mediaconvert.api.body import RequestBody
from mediaconvert.api.disconnect import run_with_disconnect
from mediaconvert.errors import BodyTooLarge, Refusal
from tests.process.raw_http import only_http, respond, served

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MIB = 1 << 20


def put(size: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


async def test_receive_tells_of_a_client_that_left() -> None:
    told = trio.Event()

    @only_http
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive()) == {"type": "http.request", "body": b"", "more_body": False}
        assert (await receive()) == {"type": "http.disconnect"}
        with pytest.raises(ClientDisconnected):
            await respond(send)
        told.set()

    async with served(wait) as server:
        client = await server.connect()
        await client.send(GET)
        await client.stream.aclose()
        await told.wait()


async def test_receive_tells_of_a_client_that_left_behind_pipelined_requests() -> None:
    told = trio.Event()

    @only_http
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    async with served(wait) as server:
        client = await server.connect()
        await client.send(GET * 20)
        await client.stream.aclose()
        await told.wait()


async def test_a_client_that_leaves_within_its_body_is_a_disconnect() -> None:
    told = trio.Event()

    @only_http
    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"half"
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    async with served(listen) as server:
        for head in (
            put(10),
            b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n",
        ):
            client = await server.connect()
            await client.send(head + b"half")
            await client.stream.aclose()
            await told.wait()
            told = trio.Event()


async def test_sending_to_a_client_that_left_stops_a_download() -> None:
    stopped = trio.Event()

    @only_http
    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        length = [(b"content-length", b"%d" % (4 << 30))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        try:
            for _ in range(4 << 10):
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        except ClientDisconnected:
            stopped.set()
            raise

    async with served(pour) as server:
        client = await server.connect()
        await client.send(GET)
        await client.exactly(MIB)
        await client.stream.aclose()
        await stopped.wait()


async def test_receive_after_the_answer_is_a_disconnect_and_wakes_who_waits() -> None:
    seen: list[str] = []

    @only_http
    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            while not seen or seen[-1] != "http.disconnect":
                seen.append((await receive())["type"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await respond(send)
        seen.append((await receive())["type"])

    async with served(both) as server:
        client = await server.connect()
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(GET)).status == 200
    assert seen[:3] == ["http.request", "http.disconnect", "http.disconnect"]


# --- run_with_disconnect --------------------------------------------------------------------------


async def test_the_handler_is_cancelled_when_its_client_leaves() -> None:
    cancelled, finished = trio.Event(), []

    async def handler(body: RequestBody) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        finished.append(await run_with_disconnect(handler, scope, receive))

    async with served(app) as server:
        client = await server.connect()
        await client.send(GET)
        await client.settle()
        await client.stream.aclose()
        await cancelled.wait()
    assert finished == [False]


async def test_the_handler_is_cancelled_in_the_middle_of_a_body() -> None:
    cancelled = trio.Event()

    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def handler(body: RequestBody) -> None:
            try:
                async for _ in body:
                    pass
                raise AssertionError("the body cannot end")
            finally:
                cancelled.set()

        await run_with_disconnect(handler, scope, receive)

    async with served(app) as server:
        client = await server.connect()
        await client.send(put(10) + b"half")
        await client.settle()
        await client.stream.aclose()
        await cancelled.wait()


async def test_a_handler_gets_the_whole_body_and_may_answer() -> None:
    data = bytes(range(256)) * 4096 * 3

    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def handler(body: RequestBody) -> None:
            declared = body.declared_length
            got = await body.read_all(10 * MIB)
            assert (declared, body.received, body.ended) == (len(data), len(data), True)
            await respond(send, 200, got)

        assert await run_with_disconnect(handler, scope, receive)

    async with served(app) as server:
        client = await server.connect()
        for _ in range(2):
            assert (await client.ask(put(len(data)), data)).body == data


async def test_a_handler_that_does_not_want_the_body_causes_no_100() -> None:
    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def handler(body: RequestBody) -> None:
            await trio.testing.wait_all_tasks_blocked()
            await respond(send, 403)

        await run_with_disconnect(handler, scope, receive)

    async with served(app) as server:
        client = await server.connect()
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        assert (await client.ask(head)).status == 403


async def test_what_a_handler_raises_is_not_wrapped_in_a_group() -> None:
    raised: list[Exception] = []

    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def handler(body: RequestBody) -> None:
            body.limit = 3
            await body.read_all(10)

        try:
            await run_with_disconnect(handler, scope, receive)
        except Refusal as refusal:
            raised.append(refusal)
            await respond(send, 400)

    async with served(app) as server:
        client = await server.connect()
        assert (await client.ask(put(4) + b"four")).status == 400
        chunked = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(chunked + b"4\r\nfour\r\n0\r\n\r\n")).status == 400
    assert [type(error) for error in raised] == [BodyTooLarge, BodyTooLarge]
