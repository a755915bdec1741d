"""A served port and a client that sends exactly the bytes it is told to."""

from __future__ import annotations

import fcntl
import socket as stdlib_socket
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from mediaconvert.api.asgi import App, Message, Receive, Scope, Send
from mediaconvert.api.server import serve
from mediaconvert.settings import ServerSettings

# No test waits this long; one that hangs fails with a traceback instead of hanging the suite.
GUARD_SECONDS = 120


@dataclass
class Answer:
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawClient:
    stream: trio.SocketStream
    buffer: bytearray = field(default_factory=bytearray)

    async def settle(self) -> None:
        """Until the server has read all that was sent, and waits for more. The kernel may take
        its time even between two ends on one machine."""
        waiting = bytearray(struct.calcsize("i"))
        while True:
            fcntl.ioctl(self.stream.socket.fileno(), termios.TIOCOUTQ, waiting)
            if not any(waiting):
                break
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.stream.send_all(piece)

    async def ask(self, *pieces: bytes, head_only: bool = False) -> Answer:
        await self.send(*pieces)
        return await self.answer(head_only=head_only)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next response, one with status 1xx included."""
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        _, status, reason = first.split(" ", 2)
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        without_body = head_only or int(status) in (204, 304) or int(status) < 200
        body = b"" if without_body else await self._body(headers)
        return Answer(int(status), reason, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(await self._line(), 16)
                body += (await self.exactly(size + 2))[:-2]
                if not size:
                    return body
        if "content-length" in headers:
            return await self.exactly(int(headers["content-length"]))
        return await self.rest()

    async def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            await self._more()
        line, _, rest = bytes(self.buffer).partition(b"\r\n")
        self.buffer[:] = rest
        return line

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self._more()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def _more(self) -> None:
        data = await self.stream.receive_some(1 << 20)
        if not data:
            raise EOFError(f"the server closed after {bytes(self.buffer)!r}")
        self.buffer += data

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        while data := await self.stream.receive_some(1 << 20):
            self.buffer += data
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken

    async def is_closed(self) -> bool:
        """Waits until the server closes, and says whether it sent nothing more."""
        try:
            return await self.rest() == b""
        except trio.BrokenResourceError:
            return True


class Served:
    """A running server."""

    def __init__(self, address: tuple[str, int], shutdown: trio.Event) -> None:
        self.address = address
        self.shutdown = shutdown
        self.ended = trio.Event()
        self._clients: list[trio.SocketStream] = []

    async def connect(self) -> RawClient:
        stream = await trio.open_tcp_stream(*self.address)
        self._clients.append(stream)
        return RawClient(stream)

    async def connect_and_send(self, data: bytes) -> RawClient:
        """A client whose bytes are there before the server looks at it: without them it waits
        only for so long, and the two are tasks of one process that may pause."""
        connection = stdlib_socket.create_connection(self.address)
        connection.sendall(data)  # what fits into the kernel's buffer waits for nobody
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        self._clients.append(stream)
        await trio.lowlevel.checkpoint()
        return RawClient(stream)

    async def close_clients(self) -> None:
        for stream in self._clients:
            await stream.aclose()


@asynccontextmanager
async def served(app: App, settings: ServerSettings | None = None) -> AsyncIterator[Served]:
    """`app` on a free port. Leaving closes the clients and shuts the server down."""
    settings = settings or ServerSettings(port=0)
    shutdown = trio.Event()
    with trio.fail_after(GUARD_SECONDS):
        async with trio.open_nursery() as nursery:
            run = partial(serve, app, settings=settings, shutdown=shutdown)
            addresses: list[tuple[str, int]] = await nursery.start(run)
            server = Served(addresses[0], shutdown)
            failure: Exception | None = None
            try:
                yield server
            except Exception as error:
                failure = error
            await server.close_clients()
            shutdown.set()
    if failure is not None:
        raise failure


def settings(**changes: object) -> ServerSettings:
    return ServerSettings(port=0, **changes)  # type: ignore[arg-type]


async def answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def respond(
    send: Send,
    status: int = 200,
    body: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    fields = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes | None:
    """None when the client left first."""
    body = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


def only_http(handle: App) -> App:
    """An application out of a handler of requests."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        else:
            await handle(scope, receive, send)

    return app


@only_http
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with method, path, query and body, each on a line."""
    body = await whole_body(receive)
    if body is not None:
        line = b"%s %s %s\n" % (scope["method"].encode(), scope["raw_path"], scope["query_string"])
        await respond(send, 200, line + body)


@only_http
async def never_reads(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 403, b"denied")
