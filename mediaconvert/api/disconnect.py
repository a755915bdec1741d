"""Runs a handler beside a task that owns `receive()`, and cancels it when the client leaves.

A raw ASGI handler is not cancelled by the server: without this, a GET whose client is gone
would read on, and a job's status would be waited for by nobody. Used by the S3 door around
every handler. Never reads a body before the handler wants it, never more than a piece ahead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

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
    length = declared_length(scope)
    # Where nothing can come but the disconnect, it is listened for from the start.
    pump = _Pump(receive, is_wanted=length == 0)
    finished = False
    with suppress(ClientDisconnected):
        async with pump:
            await handler(RequestBody(pump.next_piece, declared_length=length))
            finished = True
    return finished


class _Pump:
    """Moves pieces from `receive()` to the handler; 2 x 1 MiB at most: one that waits here and
    one that the handler works on. Its block is cancelled when the client leaves."""

    def __init__(self, receive: Receive, *, is_wanted: bool) -> None:
        self._source = receive_source(receive, self._disconnected)
        self._receive = receive
        self._nurseries = trio.open_nursery()
        self._nursery: trio.Nursery
        self._send, self._pieces = trio.open_memory_channel[bytes](0)
        self._wanted = trio.Event()
        if is_wanted:
            self._wanted.set()

    async def __aenter__(self) -> None:
        self._nursery = await self._nurseries.__aenter__()
        self._nursery.start_soon(self._run)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._nursery.cancel_scope.cancel()
        if isinstance(error, Exception):
            # The nursery does not see it, and so cannot put it into a group.
            await self._nurseries.__aexit__(None, None, None)
            return False
        return bool(await self._nurseries.__aexit__(kind, error, trace))

    async def _run(self) -> None:
        await self._wanted.wait()
        async with self._send:
            while (piece := await self._source()) is not None:
                await self._send.send(piece)
        while (await self._receive())["type"] != "http.disconnect":
            pass
        await self._disconnected()

    async def next_piece(self) -> bytes | None:
        self._wanted.set()
        try:
            return await self._pieces.receive()
        except trio.EndOfChannel:
            return None

    async def _disconnected(self) -> None:
        self._nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()
