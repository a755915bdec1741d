"""The process tree: what is opened, what runs, and in which order all of it ends.

Nesting is the order of start and stop: backends around the flusher, the flusher around the
services, and only the services are touched by a signal. A bug in a service ends the process
(systemd starts it again, leases recover the work); a failing job or request never does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

import trio

from mediaconvert import __version__, logs, systemd
from mediaconvert.analytics.flusher import Flusher
from mediaconvert.api.front import Front, open_front
from mediaconvert.backends import open_backends
from mediaconvert.errors import ConfigError, StartupError
from mediaconvert.held_folders import tools_folder
from mediaconvert.keys import sweep_unfinished_keys
from mediaconvert.metrics import Metrics
from mediaconvert.ports.backends import Backends
from mediaconvert.settings import Settings
from mediaconvert.tools.toolbox import Toolbox, open_toolbox
from mediaconvert.vault import load_keys, verify_keys
from mediaconvert.verified_blobs import VerifiedBlobs
from mediaconvert.workers.janitor import Janitor
from mediaconvert.workers.pool import Pool
from mediaconvert.workers.scrubber import Scrubber

log = logging.getLogger("mediaconvert.supervisor")

# The port closes within CLOSE_SECONDS of being told to; this is the bound on that.
FORCED_STOP_SECONDS = 2.0
# Jobs: shutdown. Only a catalog or a disk that hangs takes longer; all that is left open then
# is what a crash leaves, and the next start takes it back.
STOP_SECONDS = 24.5
SECOND_STOP_SECONDS = 2.5
ALARM_SECONDS = 0.4
"""After these, for a process whose other threads are stuck as well."""


@dataclass(frozen=True, slots=True)
class Running:
    """What somebody who waits for the start is told."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def _ignore(_running: Running) -> None:
    """Nobody wants to be told."""


async def supervise(
    settings: Settings,
    *,
    stop: trio.Event | None = None,
    reload: Callable[[], Settings] | None = None,
    announce: Callable[[Running], None] = _ignore,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the service until it is told to stop, by a signal or by `stop` being set.

    With `stop` the caller owns the process, and signals are left alone. `reload` reads the
    settings again at SIGHUP. Raises StartupError with one sentence when it cannot start."""
    make_data_dir(settings.server.data_dir)
    keys = load_keys(settings)
    async with AsyncExitStack() as stack:
        backends = await stack.enter_async_context(open_backends(settings))
        _sweep_secrets(settings.server.data_dir, is_alone=backends.is_embedded)
        await verify_keys(backends.catalog, keys, is_embedded=backends.is_embedded)
        metrics = _watched_by_metrics(backends)
        blobs = VerifiedBlobs(backends.blobs, backends.catalog, metrics.damage_found)
        backends = replace(backends, blobs=blobs)
        # Before anything is asked what is due: the clock may have been set since the last stop.
        await backends.catalog.housekeeping.watch_clock()
        tools = None if settings.server.role == "api" else await _open_tools(stack, settings)
        flusher = Flusher(
            backends.catalog.outbox,
            backends.analytics,
            settings.analytics,
            is_alone=backends.is_embedded,
        )
        async with trio.open_nursery() as around:
            around.start_soon(flusher.run)
            try:
                async with open_front(settings, backends, keys, tools, metrics) as front:
                    flusher.observe(metrics.events_dropped)
                    scrubber = Scrubber(backends.catalog, blobs, settings.storage, metrics)
                    tree = _Tree(
                        settings, backends, tools, front, scrubber, reload, announce, task_status
                    )
                    await tree.run(stop)
            finally:
                around.cancel_scope.cancel()
                await flusher.final_flush()
        systemd.notify("STOPPING=1")
    log.info("stopped")


async def _open_tools(stack: AsyncExitStack, settings: Settings) -> Toolbox:
    slots = settings.workers.slots or os.cpu_count() or 1
    scratch = tools_folder(settings.server.data_dir)
    return await stack.enter_async_context(
        open_toolbox(settings.tools, slots=slots, scratch=scratch)
    )


def _watched_by_metrics(backends: Backends) -> Metrics:
    metrics = Metrics()
    metrics.watch_log(logs.lost_lines)
    backends.catalog.housekeeping.damage.observe(metrics.catalog_damaged)
    return metrics


def make_data_dir(folder: Path) -> None:
    """0700: blobs and catalog are nobody else's to read."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"the data directory {folder} cannot be made: {error.strerror}; "
            "set server.data_dir to a folder that the service may write to"
        ) from error


def _sweep_secrets(data_dir: Path, *, is_alone: bool) -> None:
    """Writing a key takes milliseconds; only another node that starts just now may be at it."""
    with contextlib.suppress(OSError):
        sweep_unfinished_keys(data_dir / "secrets", older_than_seconds=0.0 if is_alone else 60.0)


class _Tree:
    """The services nursery and its signals."""

    def __init__(
        self,
        settings: Settings,
        backends: Backends,
        tools: Toolbox | None,
        front: Front,
        scrubber: Scrubber,
        reload: Callable[[], Settings] | None,
        announce: Callable[[Running], None],
        task_status: trio.TaskStatus[Running],
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._front = front
        self._scrubber = scrubber
        self._reload = reload
        self._announce = announce
        self._task_status = task_status
        self._janitor = Janitor(
            backends.catalog,
            backends.blobs,
            backends.notices,
            settings,
            embedded=backends.is_embedded,
        )
        self._pool = (
            None
            if tools is None
            else Pool(
                backends.catalog,
                backends.blobs,
                backends.notices,
                tools,
                settings,
                embedded=backends.is_embedded,
            )
        )
        self._scope = trio.CancelScope()

    async def run(self, stop: trio.Event | None) -> None:
        stopping = trio.Event() if stop is None else stop
        close_port = trio.Event()
        with self._scope:
            async with trio.open_nursery() as services:
                if stop is None:
                    await services.start(self._signals, stopping)
                if self._pool is not None:
                    self._watch_pool(self._pool)
                    await services.start(self._pool.run)
                # Whatever the role: blobs are deleted and parts put wherever the doors are open.
                services.start_soon(self._janitor.run)
                host, port = await services.start(partial(self._front.serve, close_port))
                services.start_soon(self._scrubber.run)
                services.start_soon(_watchdog)
                self._started(Running(host, port))
                await stopping.wait()
                await self._drain()
                self._front.drain_clock.end()
                close_port.set()
                with trio.move_on_after(FORCED_STOP_SECONDS):
                    await self._front.wait_closed()
                services.cancel_scope.cancel()

    def _watch_pool(self, pool: Pool) -> None:
        self._front.metrics.watch_pool(pool)
        pool.observe(self._front.metrics.job_ended)
        seconds = self._settings.server.drain_jobs_seconds
        self._front.drain_clock.watch(lambda: pool.slots_busy > 0, seconds, is_brief=False)

    def _started(self, running: Running) -> None:
        fields = {"url": running.url, "role": self._settings.server.role, "version": __version__}
        log.info("ready", extra={"fields": fields})
        systemd.notify("READY=1")
        self._announce(running)
        self._task_status.started(running)

    async def _drain(self) -> None:
        """Requests and jobs under way get their time; the port goes on answering /health."""
        log.info("draining")
        systemd.notify("STOPPING=1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._front.drain)
            if self._pool is not None:
                nursery.start_soon(self._pool.drain)

    async def _signals(self, stopping: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            _arm_alarm()
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload_settings()
                elif stopping.is_set():
                    log.warning("second signal: stopping at once")
                    _exit_within(SECOND_STOP_SECONDS)
                    self._scope.cancel()
                else:
                    _exit_within(STOP_SECONDS)
                    log.info("stopping", extra={"fields": {"signal": signal.Signals(number).name}})
                    stopping.set()

    def _reload_settings(self) -> None:
        """Takes over what can change while running: the log's form and level."""
        if self._reload is None:
            return
        systemd.notify("RELOADING=1")
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.warning("the configuration was not reloaded: %s", error)
        else:
            logs.configure(fresh.logging)
            log.info("reloaded the log settings; other settings take effect at the next start")
        systemd.notify("READY=1")


def _arm_alarm() -> None:
    """Have the first two signals to stop set an alarm, whatever becomes of the event loop.

    A loop that hangs in a system call reads no signals, but Python's handlers interrupt it.
    Called after Trio has installed its own handlers, which go on."""
    bounds = [SECOND_STOP_SECONDS, STOP_SECONDS]

    def chain(number: signal.Signals) -> None:
        then = signal.getsignal(number)
        assert callable(then)  # Trio's

        def handler(received: int, frame: FrameType | None) -> None:
            if bounds:
                signal.setitimer(signal.ITIMER_REAL, bounds.pop() + ALARM_SECONDS)
            then(received, frame)

        signal.signal(number, handler)

    # No lock, no log: the handler may have interrupted their owner.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    chain(signal.SIGTERM)
    chain(signal.SIGINT)


def _exit_within(seconds: float) -> None:
    """End the process then, whatever still hangs; its children die with it."""

    def give_up() -> None:
        log.warning("stopping took too long: the rest is left to the next start")
        logs.flush(ALARM_SECONDS / 2)
        os._exit(0)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread can be started; there is the alarm
        timer.start()


async def _watchdog() -> None:
    """Tells systemd that the event loop turns."""
    seconds = systemd.watchdog_seconds()
    while seconds is not None:
        systemd.notify("WATCHDOG=1")
        await trio.sleep(seconds)
