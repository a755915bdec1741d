"""What Hypercorn takes for its task group: it keeps the application's call instead of
spawning it, so that `exchange.py` can run it where and when it wants, with its own `receive`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import h11
from hypercorn.config import Config
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGISendEvent, HTTPScope, TaskGroup

from mediaconvert.api.asgi import Message, Receive, Scope, Send
from mediaconvert.api.request_head import parse_target

if TYPE_CHECKING:
    from mediaconvert.api.exchange import Exchange


class ApplicationSlot:
    """One application call that waits to be made."""

    def __init__(self) -> None:
        self._app: AppWrapper
        self._scope: HTTPScope
        self._send: Callable[[ASGISendEvent | None], Awaitable[None]]
        self.method = ""
        self.path = "/"

    @property
    def state(self) -> dict[str, Any]:
        """`scope["state"]`, which the gateway writes the request's id into."""
        return self._scope["state"]

    def as_task_group(self) -> TaskGroup:
        return cast(TaskGroup, self)  # Hypercorn calls nothing but `spawn_app`

    async def fill(self, exchange: Exchange, request: h11.Request) -> None:
        """Have Hypercorn's stream make the scope. Raises BadRequest for an odd target."""
        target = parse_target(request.method, request.target)
        headers = list(request.headers)
        if target.authority is not None:
            headers = [(b"host", target.authority), *(h for h in headers if h[0] != b"host")]
        self.method, self.path = request.method.decode("ascii"), target.raw_path.decode("ascii")
        stream = HTTPStream(
            exchange.app,
            exchange.config,
            exchange.context,
            self.as_task_group(),
            exchange.ssl,
            exchange.client,
            exchange.server,
            exchange.stream_send,
            STREAM_ID,
        )
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode("ascii"),
                method=self.method,
                raw_path=target.raw_path + (b"?" + target.query if target.query else b""),
                state=exchange.connection_state,
            )
        )

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: HTTPScope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[Any], Awaitable[None]]:
        """Called by Hypercorn's stream."""
        self._app, self._scope, self._send = app, scope, send
        return self._ignore

    async def _ignore(self, event: Any) -> None:
        """Hypercorn would push the body at the application here; ours pulls."""

    async def run(self, receive: Receive, send: Send) -> None:
        app = cast(Callable[[Scope, Receive, Send], Awaitable[None]], self._app)
        await app(cast(Scope, self._scope), receive, send)

    async def send(self, message: Message) -> None:
        """Hypercorn's check of the order of messages, and their way to `stream_send`."""
        await self._send(cast(ASGISendEvent, message))
