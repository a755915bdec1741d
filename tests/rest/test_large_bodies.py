"""Bodies cost memory, so only who may send them gets to send them."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from mediaconvert.api.rest.bodies import LARGE_BODIES_OF_ONE_USER, SMALL_BODY_BYTES
from tests.program import WAIT_SECONDS
from tests.rest.service import Person, Service

LARGE = b" " * (SMALL_BODY_BYTES + 1)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/auth/login/", "/health"])
async def test_a_public_call_takes_no_large_body(service: Service, path: str) -> None:
    answer = await service.http.post(path, content=LARGE)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/api/pipelines", "/api/nothing"])
async def test_a_large_body_of_a_stranger_is_not_taken_in(service: Service, path: str) -> None:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(head.encode() + LARGE)
        answer = b""
        with trio.fail_after(WAIT_SECONDS):
            while piece := await stream.receive_some(65536):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"not_authenticated"' in answer
    assert b"connection: close" in answer


async def test_a_large_body_with_a_token_is_taken_in(service: Service, person: Person) -> None:
    answer = await person.http.post("/api/pipelines", content=b" " * (1 << 19) + b"{}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_large_bodies_at_once_have_a_limit_that_ends_with_them(
    service: Service, person: Person, stranger: Person
) -> None:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    head = (
        f"POST /api/pipelines HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n"
        "Content-Length: 1000000\r\n\r\n"
    )
    with trio.fail_after(WAIT_SECONDS):
        async with AsyncExitStack() as stack:
            begun = 0
            # One that comes to the server after such a question may itself be one too many.
            while (await person.http.post("/api/pipelines", content=LARGE)).status_code != 503:
                stream = await stack.enter_async_context(
                    await trio.open_tcp_stream(host, int(port))
                )
                await stream.send_all(head.encode() + LARGE)
                begun += 1
            assert begun >= LARGE_BODIES_OF_ONE_USER
            small = await person.http.post("/api/pipelines", content=b"{}")
            assert small.status_code == 400
            others = await stranger.http.post("/api/pipelines", content=LARGE)
            assert others.status_code == 400
        while (await person.http.post("/api/pipelines", content=LARGE)).status_code != 400:
            pass
