"""HTTP/1.1 as clients speak it, byte by byte."""

from __future__ import annotations

import trio

from mediaconvert.api.asgi import Receive, Scope, Send
from tests.process.raw_http import (
    Answer,
    echo,
    never_reads,
    only_http,
    respond,
    served,
    whole_body,
)

GET = b"GET /b/k?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
MIB = 1 << 20


async def test_a_connection_serves_one_request_after_another() -> None:
    async with served(echo) as server:
        client = await server.connect()
        for _ in range(3):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (200, b"GET /b/k x=1\n")


async def test_answers_carry_reason_date_and_our_name() -> None:
    async with served(never_reads) as server:
        answer = await (await server.connect()).ask(GET)
    assert answer.reason == "Forbidden"
    assert answer.headers["server"] == "MediaConvert"
    assert answer.headers["date"].endswith(" GMT")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served(echo) as server:
        client = await server.connect()
        put = b"PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        chunked = (
            b"PUT /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nde\r\n1;ext=1\r\nf\r\n0\r\nTrailer: x\r\n\r\n"
        )
        await client.send(GET + put + chunked + GET + chunked)
        bodies = [(await client.answer()).body for _ in range(5)]
    get, third = b"GET /b/k x=1\n", b"PUT /3 \ndef"
    assert bodies == [get, b"PUT /2 \nabc", third, get, third]


async def test_a_request_that_comes_byte_by_byte_is_understood() -> None:
    async with served(echo) as server:
        client = await server.connect()
        request = (
            b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
        )
        for n in range(len(request)):
            await client.send(request[n : n + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.answer()).body == b"PUT / \na"


async def test_empty_lines_before_a_request_are_ignored() -> None:
    async with served(echo) as server:
        client = await server.connect()
        await client.ask(GET)
        await client.send(b"\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert (await client.ask(b"\r\n" + GET)).status == 200


async def test_http_1_0_is_answered_and_closed() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"GET /old HTTP/1.0\r\n\r\n")
        assert answer.body == b"GET /old \n"
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()


async def test_connection_close_is_honoured() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()


async def test_a_target_in_absolute_form_brings_its_host() -> None:
    @only_http
    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        await respond(send, 200, b"%s|%s|%s" % (scope["raw_path"], scope["query_string"], hosts[0]))

    async with served(show) as server:
        client = await server.connect()
        answer = await client.ask(b"GET http://b.example:1/k?q HTTP/1.1\r\nHost: other\r\n\r\n")
        assert answer.body == b"/k|q|b.example:1"
        answer = await client.ask(b"GET http://b.example HTTP/1.1\r\nHost: other\r\n\r\n")
        assert answer.body == b"/||b.example"


async def test_upgrade_requests_are_answered_as_http_1_1() -> None:
    async with served(echo) as server:
        client = await server.connect()
        for protocol in (b"websocket", b"h2c"):
            answer = await client.ask(
                b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUpgrade: " + protocol + b"\r\n\r\n"
            )
            assert (answer.status, answer.body) == (200, b"GET / \n")


async def test_head_keeps_content_length_and_sends_no_body() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(b"HEAD /k HTTP/1.1\r\nHost: h\r\n\r\n", head_only=True)
        assert answer.headers["content-length"] == "9"
        assert (await client.ask(GET)).body == b"GET /b/k x=1\n"


async def test_204_and_304_have_no_body() -> None:
    @only_http
    async def statuses(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, int(scope["path"][1:]), b"not for the wire")

    async with served(statuses) as server:
        client = await server.connect()
        for status in (304, 204, 304):
            answer = await client.ask(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % status)
            assert (answer.status, answer.headers["content-length"]) == (status, "16")
        assert (await client.ask(b"GET /200 HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200


async def test_a_response_without_length_is_chunked() -> None:
    @only_http
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async with served(stream) as server:
        client = await server.connect()
        for _ in range(2):
            answer = await client.ask(GET)
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.body == b"onetwo"


async def test_large_bodies_arrive_whole_and_in_pieces_over_64_kib() -> None:
    sizes: list[int] = []

    @only_http
    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            sizes.append(len(message["body"]))
            if not message["more_body"]:
                break
        await respond(send, 200, b"x" * (3 * MIB))

    async with served(measure) as server:
        client = await server.connect()
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (32 * MIB)
        answer = await client.ask(head, bytes(32 * MIB))
        assert len(answer.body) == 3 * MIB
    assert sum(sizes) == 32 * MIB
    assert 65_536 < max(sizes) <= MIB


async def test_a_large_chunked_body_arrives_whole() -> None:
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    tiny = b"1\r\nx\r\n" * 50_000
    async with served(echo) as server:
        client = await server.connect()
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await client.ask(head, chunk, chunk, tiny, b"0\r\n\r\n" + GET)
        assert answer.body == b"PUT / \n" + bytes(2 * MIB) + b"x" * 50_000
        assert (await client.answer()).status == 200


# --- Expect: 100-continue -----------------------------------------------------------------------

EXPECT = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


async def test_the_100_is_sent_at_the_first_receive_and_not_before() -> None:
    may_read = trio.Event()

    @only_http
    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        await may_read.wait()
        await respond(send, 200, await whole_body(receive) or b"")

    async with served(patient) as server:
        client = await server.connect()
        await client.send(EXPECT)
        answers: list[Answer] = []

        async def first_answer() -> None:
            answers.append(await client.answer())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first_answer)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert answers == []
            may_read.set()
        answer = answers[0]
        # Three words: botocore takes a status line without a reason for the final answer.
        assert (answer.status, answer.reason) == (100, "Continue")
        assert (await client.ask(b"12345")).body == b"12345"
        assert (await client.ask(GET)).status == 200


async def test_an_application_that_answers_without_receiving_never_causes_a_100() -> None:
    async with served(never_reads) as server:
        client = await server.connect()
        answer = await client.ask(EXPECT)
        assert (answer.status, answer.body) == (403, b"denied")
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()


async def test_no_100_where_the_body_came_along() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(EXPECT + b"12345")
        assert (answer.status, answer.body) == (200, b"PUT / \n12345")


EXPECT_NOTHING = EXPECT.replace(b"Length: 5", b"Length: 0")


async def test_an_accepted_empty_body_that_was_asked_about_gets_its_100() -> None:
    # An older botocore (aws cli 2.9) keeps a final answer that came instead of the 100 for the
    # connection's next request as well, waits for what never comes and fails without an ETag.
    async with served(echo) as server:
        client = await server.connect()
        for _ in range(2):
            answer = await client.ask(EXPECT_NOTHING)
            assert (answer.status, answer.reason) == (100, "Continue")
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"PUT / \n")


async def test_a_refused_empty_body_that_was_asked_about_gets_no_100_and_closes() -> None:
    async with served(never_reads) as server:
        client = await server.connect()
        answer = await client.ask(EXPECT_NOTHING)
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert await client.is_closed()


async def test_an_http_1_0_client_gets_no_100() -> None:
    async with served(echo) as server:
        client = await server.connect()
        answer = await client.ask(EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0"), b"12345")
        assert answer.status == 200
