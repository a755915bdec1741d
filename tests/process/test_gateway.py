"""The gateway behind the real server: doors, ids, drain, paths, the access log."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from mediaconvert.api.asgi import App, Receive, Scope, Send
from mediaconvert.api.gateway import Gateway
from mediaconvert.metrics import Metrics
from mediaconvert.settings import ServerSettings
from tests.process.raw_http import Served, only_http, respond, served, whole_body


def door(name: bytes) -> App:
    @only_http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if body is not None:
            await respond(send, 200, name + b" " + body)

    return app


@asynccontextmanager
async def gated(gateway: Gateway) -> AsyncIterator[Served]:
    async with served(gateway) as server:
        yield server


def get(path: bytes, host: bytes = b"h") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/", b"s3"),
        (b"/?list-type=2", b"s3"),
        (b"/bucket", b"s3"),
        (b"/apis/key", b"s3"),
        (b"/bucket/api/me", b"s3"),
        (b"//api/me", b"s3"),
        (b"/API/me", b"s3"),
        (b"/api", b"rest"),
        (b"/api/me?x=/", b"rest"),
        (b"/%61pi/me", b"rest"),
        (b"/auth/login", b"rest"),
        (b"/health", b"rest"),
        (b"/ready", b"rest"),
        (b"/metrics", b"rest"),
        (b"/openapi.json", b"rest"),
        (b"/favicon.ico", b"rest"),
    ],
)
async def test_the_first_segment_chooses_the_door(path: bytes, name: bytes) -> None:
    async with gated(Gateway(door(b"rest"), door(b"s3"))) as server:
        answer = await (await server.connect()).ask(get(path))
    assert answer.body == name + b" "


async def test_a_virtual_host_is_always_s3() -> None:
    async with gated(Gateway(door(b"rest"), door(b"s3"), domain="s3.example")) as server:
        client = await server.connect()
        assert (await client.ask(get(b"/api/me", b"bucket.S3.example:8080"))).body == b"s3 "
        assert (await client.ask(get(b"/api/me", b"s3.example:8080"))).body == b"rest "
        assert (await client.ask(get(b"/api/me", b"evils3.example"))).body == b"rest "


@pytest.mark.parametrize("path", [b"/b/%00", b"/b/a%00b", b"/b/%ff", b"/b/%c0%af", b"/b/%ed%a0%80"])
async def test_undecodable_paths_are_a_400_in_the_doors_form(path: bytes) -> None:
    async with gated(Gateway(door(b"rest"), door(b"s3"))) as server:
        client = await server.connect()
        answer = await client.ask(get(path))
        assert (answer.status, answer.headers["content-type"]) == (400, "application/xml")
        assert b"<Code>InvalidURI</Code>" in answer.body
        answer = await client.ask(get(b"/api" + path))
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_uri")
        assert (await client.ask(get(b"/b/%C3%A4%20%2F.."))).status == 200


async def test_each_request_has_an_id_of_its_own_in_its_answer() -> None:
    states: list[str] = []

    @only_http
    async def remember(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(scope["state"]["request_id"])
        await respond(send)

    async with gated(Gateway(remember, remember)) as server:
        client = await server.connect()
        rest, s3 = await client.ask(get(b"/api/me")), await client.ask(get(b"/bucket"))
    assert [rest.headers["x-request-id"], s3.headers["x-amz-request-id"]] == states
    assert states[0] != states[1]


async def test_a_door_that_sends_the_id_itself_is_left_alone() -> None:
    @only_http
    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, b"", ((b"x-amz-request-id", b"OWN"),))

    async with gated(Gateway(own, own)) as server:
        answer = await (await server.connect()).ask(get(b"/bucket"))
    assert answer.headers["x-amz-request-id"] == "OWN"


async def test_while_draining_only_probes_are_answered() -> None:
    gateway = Gateway(door(b"rest"), door(b"s3"))
    async with gated(gateway) as server:
        client = await server.connect()
        assert (await client.ask(get(b"/bucket"))).status == 200
        gateway.begin_drain()
        assert gateway.draining
        for path in (b"/health", b"/ready", b"/health"):
            assert (await client.ask(get(path))).body == b"rest "
        for path in (b"/bucket", b"/api/me"):
            other = await server.connect()
            answer = await other.ask(get(path))
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert int(answer.headers["retry-after"]) > 0
            assert await other.is_closed()


async def test_the_drain_does_not_wait_for_a_probe_that_hangs() -> None:
    asked = trio.Event()

    @only_http
    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await trio.sleep_forever()

    gateway = Gateway(hanging, door(b"s3"))
    async with served(gateway, ServerSettings(port=0, drain_requests_seconds=0)) as server:
        client = await server.connect()
        await client.send(get(b"/ready"))
        await asked.wait()
        gateway.begin_drain()
        await gateway.wait_drained()


async def test_the_drain_waits_for_what_is_under_way() -> None:
    gateway = Gateway(door(b"rest"), door(b"s3"))
    async with gated(gateway) as server:
        client = await server.connect()
        await client.send(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        await client.settle()
        assert gateway.under_way == 1
        gateway.begin_drain()
        with trio.move_on_after(0) as waited:
            await gateway.wait_drained()
        assert waited.cancelled_caught
        assert (await client.ask(b"cd")).body == b"s3 abcd"
        await gateway.wait_drained()
        assert gateway.under_way == 0


async def test_a_drain_with_nothing_under_way_is_done_at_once() -> None:
    gateway = Gateway(door(b"rest"), door(b"s3"))
    gateway.begin_drain()
    await gateway.wait_drained()


async def test_one_line_a_request_without_secrets_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.access")
    async with gated(Gateway(door(b"rest"), door(b"s3"))) as server:
        client = await server.connect()
        target = b"/b/k?X-Amz-Signature=5ec4e7&partNumber=3&uploads&X-Amz-Credential=AK&token=t0k"
        answer = await client.ask(
            b"PUT " + target + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        )
    (record,) = [r for r in caplog.records if r.name == "mediaconvert.access"]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["path"] == (
        "/b/k?X-Amz-Signature=...&partNumber=3&uploads&X-Amz-Credential=...&token=..."
    )
    assert fields["request_id"] == answer.headers["x-amz-request-id"]
    assert (fields["door"], fields["method"], fields["status"]) == ("s3", "PUT", 200)
    assert (fields["received"], fields["sent"]) == (3, 6)
    assert fields["ms"] > 0


async def test_a_client_that_left_is_logged_as_499(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.access")
    left = trio.Event()

    @only_http
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with gated(Gateway(wait, wait)) as server:
        client = await server.connect()
        await client.send(get(b"/b/k"))
        await client.stream.aclose()
        await left.wait()
    (record,) = [r for r in caplog.records if r.name == "mediaconvert.access"]
    assert record.fields["status"] == 499  # type: ignore[attr-defined]


async def test_metrics_are_told_once_of_each_s3_request() -> None:
    metrics = Metrics()
    async with gated(Gateway(door(b"rest"), door(b"s3"), metrics=metrics)) as server:
        client = await server.connect()
        await client.ask(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        await client.ask(get(b"/b/%00"))
    text = metrics.render(None).decode()
    assert 'request_seconds_count{door="s3",method="PUT",status="200"} 1.0' in text
    assert 'request_seconds_count{door="s3",method="GET",status="400"} 1.0' in text
    assert 'received_bytes_total{door="s3"} 3.0' in text
