"""Everything that listens: builds both doors, serves them on the port, drains them.

The one room that knows which application stands behind which door. Called by the supervisor;
without the api role only /health, /ready and /metrics are served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import trio

from mediaconvert.api.asgi import App
from mediaconvert.api.drain import Drain
from mediaconvert.api.gateway import Gateway
from mediaconvert.api.rest.app import RestApp, make_rest_app, make_status_app
from mediaconvert.api.rest.readiness import Readiness, service_checks
from mediaconvert.api.s3.app import make_s3_app
from mediaconvert.api.s3.auth import Authenticator
from mediaconvert.api.server import serve
from mediaconvert.errors import ConfigError, StartupError
from mediaconvert.intake import Intake
from mediaconvert.jobs import JobService
from mediaconvert.metrics import Metrics
from mediaconvert.ports.backends import Backends
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import ServerSettings, Settings
from mediaconvert.vault import Keys

# After the port has been told to close: answers under way to /health, no more.
CLOSE_SECONDS = 1.0


class Front:
    """The listeners of one process."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        readiness: Readiness,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self.readiness = readiness
        self._gateway: Gateway | None = None
        self._end_waits: Callable[[], None] = lambda: None
        self._app: App = make_status_app(
            catalog=catalog, settings=settings, readiness=readiness, metrics=metrics
        )
        self.metrics = metrics
        self.drain_clock = Drain()
        """What the drain waits for, and its end."""
        self._closed = trio.Event()

    def open_doors(self, gateway: Gateway, end_waits: Callable[[], None]) -> None:
        """Serve the gateway instead of the status calls alone. `end_waits` has requests
        answered that only wait."""
        self._gateway = gateway
        seconds = self._settings.server.drain_requests_seconds
        self.drain_clock.watch(lambda: gateway.under_way > 0, seconds, is_brief=True)
        self._end_waits = end_waits
        self._app = gateway

    async def serve(
        self, close_port: trio.Event, *, task_status: trio.TaskStatus[tuple[str, int]]
    ) -> None:
        """Listen until `close_port` is set; reports the address. Raises StartupError when it
        cannot be listened on."""
        server = self._settings.server
        listeners = await _listen(server.host, server.port)
        host, port = listeners[0].socket.getsockname()[:2]
        async with trio.open_nursery() as nursery:
            if server.metrics_listen:
                await nursery.start(self._serve_metrics, close_port)
            await nursery.start(
                partial(serve, self._app, settings=server, shutdown=close_port, listeners=listeners)
            )
            task_status.started((host, port))
            await close_port.wait()
            nursery.cancel_scope.deadline = trio.current_time() + CLOSE_SECONDS
        self._closed.set()

    async def _serve_metrics(
        self, close_port: trio.Event, *, task_status: trio.TaskStatus[object]
    ) -> None:
        """The operator's own listener: the same calls, /metrics without a token."""
        host, _, port = self._settings.server.metrics_listen.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(
                f"server.metrics_listen is '{self._settings.server.metrics_listen}'; "
                "it takes host:port, such as 127.0.0.1:9100"
            )
        app = make_status_app(
            catalog=self._catalog,
            settings=self._settings,
            readiness=self.readiness,
            metrics=self.metrics,
            is_metrics_open=True,
        )
        settings: ServerSettings = replace(self._settings.server, host=host, port=int(port))
        listeners = await _listen(host, int(port))
        await serve(
            app,
            settings=settings,
            shutdown=close_port,
            listeners=listeners,
            task_status=task_status,
        )

    async def drain(self) -> None:
        """New requests are refused from here on; those under way get their time."""
        self.readiness.drain()
        if self._gateway is not None:
            self._gateway.begin_drain()
            self._end_waits()
            with trio.move_on_after(self._settings.server.drain_requests_seconds):
                await self._gateway.wait_drained()

    async def wait_closed(self) -> None:
        """Until `serve` has ended by itself."""
        await self._closed.wait()


@asynccontextmanager
async def open_front(
    settings: Settings, backends: Backends, keys: Keys, tools: Tools | None, metrics: Metrics
) -> AsyncIterator[Front]:
    """Build what this process serves by its role, and run what the doors need beside them."""
    checks = service_checks(
        catalog=backends.catalog,
        blobs=backends.blobs,
        notices=backends.notices,
        analytics=backends.analytics,
        tools=tools,
        settings=settings,
    )
    front = Front(settings, backends.catalog, Readiness(checks), metrics)
    async with trio.open_nursery() as nursery:
        if settings.server.role != "worker":
            jobs = JobService(backends.catalog, backends.notices)
            rest = _rest_app(front, settings, backends, keys, jobs)
            authenticator = Authenticator(
                backends.catalog, backends.notices, keys.vault, settings.s3
            )
            s3 = make_s3_app(
                intake=Intake(backends.catalog, backends.blobs, backends.notices, settings.s3),
                catalog=backends.catalog,
                blobs=backends.blobs,
                authenticator=authenticator,
                settings=settings,
            )
            await nursery.start(authenticator.run)
            await nursery.start(rest.run)
            await nursery.start(jobs.run)
            gateway = Gateway(
                rest,
                s3,
                domain=settings.s3.domain,
                metrics=front.metrics,
                drain=front.drain_clock,
                max_connections=settings.server.max_connections,
            )
            front.open_doors(gateway, jobs.end_waits)
        yield front
        nursery.cancel_scope.cancel()


def _rest_app(
    front: Front, settings: Settings, backends: Backends, keys: Keys, jobs: JobService
) -> RestApp:
    return make_rest_app(
        catalog=backends.catalog,
        notices=backends.notices,
        analytics=backends.analytics,
        jobs=jobs,
        keys=keys,
        settings=settings,
        readiness=front.readiness,
        metrics=front.metrics,
    )


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another with --host and --port"
        ) from error
