"""The HTTP server: listeners, the bound on connections, and a shutdown with a deadline.

Hypercorn 0.18 with its connection and protocol classes replaced by ours (`connection.py`,
`exchange.py`); HTTP/1.1 without TLS, upgrades or HTTP/2. Run by the supervisor, with the
gateway as its application.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework

from mediaconvert.api.asgi import App
from mediaconvert.api.connection import Connection, Draining
from mediaconvert.api.fence import fenced
from mediaconvert.api.refusals import SERVER_NAME, http_date
from mediaconvert.api.request_head import BadRequest
from mediaconvert.settings import ServerSettings

logger = logging.getLogger("mediaconvert.server")

# Clients over the limit that are told so; over this, too, they are just closed.
MAX_REFUSING = 100
REFUSE_SECONDS = 2.0

BoundAddress = tuple[str, int]


async def serve(
    app: App,
    *,
    settings: ServerSettings,
    shutdown: trio.Event,
    listeners: list[trio.SocketListener] | None = None,
    task_status: trio.TaskStatus[list[BoundAddress]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `shutdown` is set, and then finish what is under way.

    Listens on `settings.host` and `settings.port`, or on `listeners`, which it closes. Reports
    the addresses it listens on when it does. At shutdown: no new connections, idle ones close,
    requests under way get `settings.drain_requests_seconds`, then are cancelled. Raises OSError
    when the address cannot be listened on.
    """
    if listeners is None:
        listeners = await trio.open_tcp_listeners(settings.port, host=settings.host)
    config = _ServerConfig()
    lifespan = Lifespan(ASGIWrapper(cast(ASGIFramework, app)), config, {})
    async with trio.open_nursery() as around:
        await around.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        await _Server(app, config, settings).run(listeners, shutdown, task_status)
        await lifespan.wait_for_shutdown()
        around.cancel_scope.cancel()


class _ServerConfig(Config):
    """Hypercorn's settings: no log of its own, our name."""

    accesslog = None
    errorlog = logger

    _date = (0, b"")

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, http_date())
        return [(b"date", self._date[1]), (b"server", SERVER_NAME)]


class _Server:
    def __init__(self, app: App, config: Config, settings: ServerSettings) -> None:
        self._app = app
        self._config = config
        self._settings = settings
        self._context = WorkerContext(None)
        self._draining = Draining()
        self._connections = 0
        self._refusing = 0

    async def run(
        self,
        listeners: list[trio.SocketListener],
        shutdown: trio.Event,
        task_status: trio.TaskStatus[list[BoundAddress]],
    ) -> None:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(self._accept, listeners, connections)
                task_status.started([listener.socket.getsockname()[:2] for listener in listeners])
                await shutdown.wait()
                accepting.cancel_scope.cancel()
            self._draining.begin()
            seconds = self._settings.drain_requests_seconds
            connections.cancel_scope.deadline = trio.current_time() + seconds

    async def _accept(
        self, listeners: list[trio.SocketListener], connections: trio.Nursery
    ) -> None:
        await trio.serve_listeners(self._handle, listeners, handler_nursery=connections)

    async def _handle(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        try:
            await fenced(partial(self._serve_client, stream), "a connection failed", dict)
        finally:
            self._connections -= 1
            stream.socket.close()

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        connection = Connection(
            cast(AppWrapper, self._app),
            self._config,
            self._context,
            stream,
            self._settings,
            self._draining,
        )
        if self._connections - self._refusing <= self._settings.max_connections:
            await connection.run()
        else:
            await self._refuse(connection)

    async def _refuse(self, connection: Connection) -> None:
        if self._refusing >= MAX_REFUSING:
            return
        self._refusing += 1
        try:
            with trio.move_on_after(REFUSE_SECONDS):
                limit = self._settings.max_connections
                message = f"the server has {limit} connections, which is its limit; try again"
                await connection.refuse(BadRequest(503, "too_many_connections", message))
        finally:
            self._refusing -= 1
