"""One client's connection: reads heads, one exchange after another, until it may be closed.

Made by `server.py` for each accepted socket; all that is slow about a client has a bound here
or in `transport.py`.
"""

from __future__ import annotations

import logging

import trio
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, WorkerContext
from hypercorn.utils import parse_socket_addr

from mediaconvert.api.asgi import ClientDisconnected
from mediaconvert.api.exchange import Exchange
from mediaconvert.api.refusals import answer_to_head
from mediaconvert.api.request_head import BadRequest, guess_request_line, head_end
from mediaconvert.api.transport import HEAD_READ_BYTES, Transport
from mediaconvert.settings import ServerSettings

access = logging.getLogger("mediaconvert.access")


class Draining:
    """Whether the server is about to stop, and the idle connections that then close at once."""

    def __init__(self) -> None:
        self._begun = False
        self._idle: set[trio.CancelScope] = set()

    def begin(self) -> None:
        self._begun = True
        for scope in self._idle:
            scope.cancel()

    def is_draining(self) -> bool:
        return self._begun

    async def read_idle(self, transport: Transport, idle_seconds: float) -> bytes:
        """The first bytes of a next request; empty when there will be none."""
        with trio.move_on_after(idle_seconds) as scope:
            self._idle.add(scope)
            if self._begun:
                scope.cancel()
            try:
                return await transport.read(HEAD_READ_BYTES)
            finally:
                self._idle.discard(scope)
        return b""


class Connection:
    """`await run()` serves one client to the end. Takes the place of Hypercorn's TCPServer."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        settings: ServerSettings,
        draining: Draining,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._settings = settings
        self._draining = draining
        self._transport = Transport(stream, settings)
        self._pending = bytearray()
        """What was read and belongs to no exchange yet."""

    async def run(self) -> None:
        try:
            while await self._serve_one():
                pass
        except OSError:
            pass  # the client left, or was cut: ClientDisconnected is one of these
        finally:
            self._transport.close()

    async def refuse(self, bad: BadRequest) -> None:
        """Answer whatever comes first with `bad`, and close."""
        try:
            await self._read_more()
            await self._answer(bad, bytes(self._pending))
        except OSError:
            pass  # it left without waiting for the answer
        finally:
            self._transport.close()

    async def _serve_one(self) -> bool:
        head = b""
        try:
            head = await self._read_head()
            if not head:
                return False
            socket = self._transport.socket
            addresses = (
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
            )
            exchange = Exchange(
                self._app,
                self._config,
                self._context,
                addresses,
                self._transport,
                self._pending,
                self._draining.is_draining,
            )
            return await exchange.run(head)
        except BadRequest as bad:
            await self._answer(bad, head or bytes(self._pending))
            return False

    async def _read_head(self) -> bytes:
        """The next request's head, taken out of `_pending`; empty when there is none."""
        if not self._pending:
            idle_seconds = self._settings.idle_seconds
            self._pending += await self._draining.read_idle(self._transport, idle_seconds)
            if not self._pending:
                return b""
        # From its first byte on a head has the grace of a slow client, whatever its rate.
        with trio.move_on_after(self._settings.rate_grace_seconds):
            while (end := head_end(self._pending, self._settings.max_header_bytes)) < 0:
                if not await self._read_more():
                    return b""
            head = bytes(self._pending[:end])
            del self._pending[:end]
            return head
        raise BadRequest(
            408, "request_timeout", "the request line and headers did not come in time"
        )

    async def _read_more(self) -> bool:
        data = await self._transport.read(HEAD_READ_BYTES)
        self._pending += data
        return bool(data)

    async def _answer(self, bad: BadRequest, head: bytes) -> None:
        method, target = guess_request_line(head)
        fields = {
            "method": method.decode("latin-1")[:20],
            "path": target.split(b"?", 1)[0].decode("latin-1")[:200],
            "status": bad.status,
            "reason": bad.message,
        }
        access.info("refused a request", extra={"fields": fields})
        try:
            await self._transport.send(answer_to_head(bad, head))
        except ClientDisconnected:
            return
        await self._transport.linger()
