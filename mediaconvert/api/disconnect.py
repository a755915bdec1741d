"""Runs a handler beside a task that owns `receive()`, and cancels it when the client leaves.

A raw ASGI handler is not cancelled by the server: without this, a GET whose client is gone
would read on, and a job's status would be waited for by nobody. Used by the S3 door around
every handler. Never reads a body before the handler wants it, never more than a piece ahead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from mediaconvert.api.asgi import ClientDisconnected, Receive, Scope
from mediaconvert.api.body import RequestBody, declared_length, receive_source

Handler = Callable[[RequestBody], Awaitable[None]]


async def run_with_disconnect(handler: Handler, scope: Scope, receive: Receive) -> bool:
    """Run `handler(body)`; True when it came to its end, False when the client left first.

    The handler is cancelled at `http.disconnect` (work that must not stop half-way shields
    itself) and what it raises is raised as it is, not in a group; `ClientDisconnected` from
    `send` counts as leaving. A body that the handler does not read is not read.
    """
    failure: Exception | None = None
    finished = False
    async with trio.open_nursery() as nursery:
        pump = _Pump(receive, nursery.cancel_scope)
        length = declared_length(scope)
        if length == 0:
            # Nothing can come but the empty body and the disconnect: listen from the start.
            pump.wanted.set()
        nursery.start_soon(pump.run)
        try:
            await handler(RequestBody(pump.next_piece, declared_length=length))
            finished = True
        except ClientDisconnected:
            pass
        # Not a fence: whatever it is goes on below, outside of the nursery's exception group.
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return finished


class _Pump:
    """Moves pieces from `receive()` to the handler; 2 x 1 MiB at most: one that waits here and
    one that the handler works on."""

    def __init__(self, receive: Receive, scope: trio.CancelScope) -> None:
        self._source = receive_source(receive, self._disconnected)
        self._receive = receive
        self._scope = scope
        self._send, self._pieces = trio.open_memory_channel[bytes](0)
        self.wanted = trio.Event()

    async def run(self) -> None:
        await self.wanted.wait()
        async with self._send:
            while (piece := await self._source()) is not None:
                await self._send.send(piece)
        while (await self._receive())["type"] != "http.disconnect":
            pass
        await self._disconnected()

    async def next_piece(self) -> bytes | None:
        self.wanted.set()
        try:
            return await self._pieces.receive()
        except trio.EndOfChannel:
            return None

    async def _disconnected(self) -> None:
        self._scope.cancel()
        await trio.lowlevel.checkpoint()
