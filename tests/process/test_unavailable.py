"""Every 503 on the wire: one `Connection: close`, and the time to retry in both spellings."""

from __future__ import annotations

from collections import Counter

import trio

from mediaconvert.api.asgi import Receive, Scope, Send
from mediaconvert.api.drain import RESTART_SECONDS, Drain
from mediaconvert.api.gateway import Gateway
from tests.process.raw_http import RawClient, Served, echo, only_http, respond, served, settings

Fields = list[tuple[str, str]]
ONE_OF_A_KIND = ("connection", "retry-after", "x-amz-retry-after", "date", "server")


@only_http
async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 503, b"", ((b"connection", b"close"),))


def head_of(answer: bytes) -> tuple[int, Fields]:
    """Of the last response in `answer`, the status and every field as it was sent."""
    head = answer[answer.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")[0].decode()
    first, *lines = head.split("\r\n")
    fields = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), [(name.lower(), value) for name, value in fields]


def check_refusal(answer: bytes, seconds: int) -> None:
    status, fields = head_of(answer)
    counts = Counter(name for name, _ in fields)
    assert (status, [counts[name] for name in ONE_OF_A_KIND]) == (503, [1] * 5), fields
    assert ("connection", "close") in fields
    assert ("retry-after", str(seconds)) in fields
    assert ("x-amz-retry-after", str(seconds * 1000)) in fields


def request(path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: h", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_drains_refusal_whatever_the_request() -> None:
    drain = Drain()
    gateway = Gateway(echo, echo, drain=drain)
    requests = (
        request("/b/k", "Content-Length: 0"),
        request("/b/k", "Content-Length: 5", body=b"hello"),
        request("/b/k", "Content-Length: 99999999", "Expect: 100-continue"),
        request("/b/k", "Content-Length: 99999999", body=b"x"),
        request("/b/k", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        request("/b/k", "Content-Length: 0", "Connection: close"),
        request("/b/k", "Content-Length: 0", "Connection: keep-alive, x"),
        request("/api/me", "Content-Length: 0"),
    )
    async with served(gateway) as server:
        gateway.begin_drain()
        for each in requests:
            client = await server.connect()
            await client.send(each)
            await client.stream.send_eof()
            check_refusal(await client.rest(), RESTART_SECONDS)


async def test_an_applications_503() -> None:
    async with served(refusing) as server:
        client = await server.connect_and_send(request("/b/k", "Content-Length: 9"))
        check_refusal(await client.rest(), 1)


async def test_too_many_connections() -> None:
    async with served(echo, settings(max_connections=1)) as server:
        first = await server.connect()
        assert (await first.ask(request("/b/k", "Content-Length: 0"))).status == 200
        client = await server.connect_and_send(request("/b/k", "Content-Length: 0"))
        check_refusal(await client.rest(), 1)


async def test_the_time_to_retry_spans_what_the_drain_still_waits_for() -> None:
    drain = Drain()
    jobs_run = True
    drain.watch(lambda: jobs_run, 20, is_brief=False)
    drain.watch(lambda: True, 10, is_brief=True)
    drain.watch(lambda: False, 60, is_brief=False)
    assert drain.retry_seconds == RESTART_SECONDS
    drain.begin()
    assert 10 + RESTART_SECONDS < drain.retry_seconds <= 20 + RESTART_SECONDS
    jobs_run = False
    assert RESTART_SECONDS < drain.retry_seconds < 10 + RESTART_SECONDS
    drain.end()
    assert drain.retry_seconds == RESTART_SECONDS


async def test_an_sdks_last_attempt_but_one_is_held_until_the_drain_ends() -> None:
    drain = Drain()
    drain.watch(lambda: True, 300, is_brief=True)
    gateway = Gateway(echo, echo, drain=drain)
    async with served(gateway) as server:
        gateway.begin_drain()
        for header in ("attempt=1; max=3", "attempt=3; max=3"):
            client = await server.connect()
            await client.send(request("/b/k", f"amz-sdk-request: {header}", "Content-Length: 0"))
            assert (await client.answer()).status == 503
        held = await server.connect()
        await held.send(request("/b/k", "amz-sdk-request: attempt=2; max=3", "Content-Length: 0"))
        with trio.move_on_after(0.2) as waited:
            await held.answer()
        assert waited.cancelled_caught
        drain.end()
        check_refusal(await held.rest(), RESTART_SECONDS)


MIB = 1 << 20
SECOND = "amz-sdk-request: attempt=2; max=3"


async def is_held(client: RawClient) -> bool:
    """Whether the server waits for something else than the client's bytes."""
    with trio.move_on_after(0.2) as waited:
        await client.answer()
    return waited.cancelled_caught


async def test_the_body_of_a_held_attempt_is_read() -> None:
    """The client sends all of it before it looks for an answer, as many do."""
    drain = Drain()
    drain.watch(lambda: True, 300, is_brief=True)
    gateway = Gateway(echo, echo, drain=drain)
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    requests = (
        request("/b/k", SECOND, f"Content-Length: {64 * MIB}", body=bytes(64 * MIB)),
        request("/b/k", SECOND, "Transfer-Encoding: chunked", body=chunk * 64 + b"0\r\n\r\n"),
        request("/b/k", SECOND, "Content-Length: 5", "Expect: 100-continue", body=b"hello"),
        request("/b/k", SECOND, f"Content-Length: {MIB}", body=b"half"),
    )
    async with served(gateway) as server:
        gateway.begin_drain()
        clients = []
        for each in requests:
            clients.append(await server.connect())
            await clients[-1].send(each)
            await clients[-1].settle()
        drain.end()
        for client in clients:
            check_refusal(await client.rest(), RESTART_SECONDS)


async def hold(server: Served) -> RawClient:
    client = await server.connect()
    await client.send(request("/b/k", SECOND, "Content-Length: 0"))
    await client.settle()
    return client


async def test_held_attempts_leave_connections_for_probes() -> None:
    drain = Drain()
    drain.watch(lambda: True, 300, is_brief=True)
    gateway = Gateway(echo, echo, drain=drain, max_connections=4)
    async with served(gateway, settings(max_connections=4)) as server:
        gateway.begin_drain()
        first, second = await hold(server), await hold(server)
        refused = [await hold(server) for _ in range(3)]
        for client in refused:
            assert head_of(await client.rest())[0] == 503
            await client.stream.aclose()
        probe = await server.connect()
        assert (await probe.ask(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
        assert await is_held(first) and await is_held(second)
        await first.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert await is_held(await hold(server)), "a client that left frees its place"
        drain.end()
        check_refusal(await second.rest(), RESTART_SECONDS)
