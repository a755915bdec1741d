"""A request's body as a bounded stream: at most one piece is read ahead of who consumes it.

Made by `disconnect.run_with_disconnect` for the S3 door; a handler iterates over it or calls
`read_all`. Never asks the server for a byte before the handler does, for the server answers
`Expect: 100-continue` at the first such question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from mediaconvert.api.asgi import Receive, Scope, header
from mediaconvert.errors import BodyTooLarge, IncompleteBody


class BodySource(Protocol):
    """Where pieces come from: the next non-empty one, or None at the end."""

    async def __call__(self) -> bytes | None: ...


class RequestBody:
    """The body of one request, to be consumed once, by one task.

    `async for piece in body` yields non-empty pieces of at most 1 MiB as they came over the
    wire, `aws-chunked` framing included. Iterating raises BodyTooLarge (before anything is
    read where the client declared the length) and IncompleteBody. When the client disconnects,
    or the server cuts it because it sends too slowly, the handler is cancelled.
    """

    def __init__(
        self, source: BodySource, *, declared_length: int | None, limit: int | None = None
    ) -> None:
        self._source = source
        self._ended = False
        self.declared_length = declared_length
        """Content-Length in bytes; None where the body is sent with Transfer-Encoding."""
        self.limit = limit
        """Most bytes that may come; None for no limit. A handler may set it before reading."""
        self.received = 0
        """Bytes handed out so far."""

    @property
    def ended(self) -> bool:
        """Whether the body has been consumed to its end."""
        return self._ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.check_declared()
        piece = None if self._ended else await self._source()
        if piece is None:
            self._ended = True
            if self.declared_length is not None and self.received < self.declared_length:
                raise IncompleteBody(self.declared_length, self.received)
            raise StopAsyncIteration
        self.received += len(piece)
        if self.limit is not None and self.received > self.limit:
            raise BodyTooLarge(self.received, self.limit)
        return piece

    def check_declared(self) -> None:
        """Raises BodyTooLarge where the declared length is over the limit."""
        if self.limit is not None and (self.declared_length or 0) > self.limit:
            raise BodyTooLarge(self.declared_length or 0, self.limit)

    async def read_all(self, limit: int) -> bytes:
        """The whole rest of the body, which must not be over `limit` bytes (BodyTooLarge)."""
        self.limit = limit if self.limit is None else min(limit, self.limit)
        return b"".join([piece async for piece in self])


def declared_length(scope: Scope) -> int | None:
    """Content-Length of a request in bytes; 0 without a body, None with Transfer-Encoding.

    The server has checked the header's syntax and that it does not stand beside
    Transfer-Encoding."""
    if header(scope, b"transfer-encoding") is not None:
        return None
    return int(header(scope, b"content-length") or 0)


def receive_source(receive: Receive, on_disconnect: Callable[[], Awaitable[None]]) -> BodySource:
    """Pieces out of ASGI's `receive`. At `http.disconnect` it awaits `on_disconnect` (which
    is expected to cancel) and then ends."""
    ended = False

    async def source() -> bytes | None:
        nonlocal ended
        while not ended:
            message = await receive()
            if message["type"] == "http.disconnect":
                await on_disconnect()
                return None
            ended = not message.get("more_body", False)
            if piece := message.get("body", b""):
                return bytes(piece)
        return None

    return source
