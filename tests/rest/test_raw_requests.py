"""What no well-behaved client sends: the answer is JSON all the same."""

from __future__ import annotations

import json

import pytest
import trio

from tests.rest.service import Service


async def send(service: Service, raw: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to one request that asks to close."""
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(raw)
        answer = b""
        while piece := await stream.receive_some(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"\xff",
        b"x" * 300,
        b"[::1",
        b"evil/../x",
        b"a:b:c",
        b"a\tb",
        b"localhost:99999",
    ],
)
async def test_an_odd_host_changes_nothing(service: Service, host: bytes) -> None:
    raw = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    status, body = await send(service, raw)
    assert status in (200, 400)
    assert json.loads(body)


async def test_http_1_0_without_a_host_is_served(service: Service) -> None:
    status, body = await send(service, b"GET /health HTTP/1.0\r\n\r\n")
    assert (status, json.loads(body)["status"]) == (200, "ok")


async def test_a_websocket_is_not_spoken_here(service: Service) -> None:
    raw = (
        b"GET /api/jobs HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(raw)
        answer = await stream.receive_some(65536)
    assert int(answer.split()[1]) in (400, 401, 404, 426)


@pytest.mark.parametrize(
    "query", [b"?%00", b"?%ff=%ff", b"?page=%zz", b"?" + b"a=1&" * 500, b"?=&&=", b"?page"]
)
async def test_an_odd_query_is_no_internal_error(service: Service, query: bytes) -> None:
    person = await service.person()
    await person.http.aclose()
    raw = (
        b"GET /api/jobs" + query + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer " + person.token.encode() + b"\r\n\r\n"
    )
    status, body = await send(service, raw)
    assert status in (200, 400)
    assert json.loads(body)


async def test_two_authorization_headers_are_none(service: Service) -> None:
    person = await service.person()
    await person.http.aclose()
    line = b"Authorization: Bearer " + person.token.encode() + b"\r\n"
    raw = b"GET /api/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line
    assert (await send(service, raw + b"\r\n"))[0] == 200
    assert (await send(service, raw + line + b"\r\n"))[0] == 401


async def test_a_client_that_leaves_in_the_middle_of_its_body_disturbs_nobody(
    service: Service,
) -> None:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(
            b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
        )
    assert (await service.http.get("/health")).status_code == 200
