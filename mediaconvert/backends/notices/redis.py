"""Notices between processes, through a Redis channel of the installation.

Implements ports.notices.Notices. Own subscribers are served directly, so that one process
works as well with Redis dead; what goes out waits in a bounded queue, and two tasks, each with
a connection of its own, send and listen. A process hears its own probes every second, or says
that notices do not get through. The blocking client runs in threads: none of its steps is on
the way of a request or a job.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio

from mediaconvert.backends.notices.memory import MAX_WAITING, MemoryNotices
from mediaconvert.backends.notices.redis_address import RedisAddress
from mediaconvert.backends.notices.redis_health import Health, Side
from mediaconvert.backends.notices.redis_link import (
    OLDEST,
    STEP_SECONDS,
    Link,
    LinkError,
    is_too_old,
)
from mediaconvert.backends.notices.redis_messages import Message, decode, encode
from mediaconvert.ports.notices import Notice, Subscription, Topic

log = logging.getLogger("mediaconvert.notices")

T = TypeVar("T")

PROBE_SECONDS = 1.0
BATCH = 500
"""Notices sent in one trip: at ~150 bytes each 75 kB."""
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 2.0
START_SECONDS = 2.0
"""How long the start waits for Redis; afterwards the service runs without."""
_THREADS = 4
"""One for sending, one for listening, and two that may still be in a step that was given up."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long Redis is waited for."""

    step_seconds: float = STEP_SECONDS
    call_seconds: float = 5.0
    """For one call into the client, which bounds everything but the resolution of names."""
    flush_seconds: float = 1.0
    """At the end."""


class RedisNotices:
    """ports.notices.Notices. Made by `open_redis_notices`."""

    def __init__(self, address: RedisAddress, installation: str, bounds: Bounds) -> None:
        self._address = address
        self._bounds = bounds
        self._sender = secrets.token_hex(8)
        self._channel = f"mediaconvert:{installation}"
        # Probes on a channel of one's own: a hundred processes do not hear each other's.
        self._probes = f"{self._channel}:{self._sender}"
        self._local = MemoryNotices()
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._wake = trio.Event()
        self._flushed = trio.Event()
        self._health = Health()
        self._version = ""
        self._probe_at = float("-inf")
        self._threads = trio.CapacityLimiter(_THREADS)

    async def publish(self, notice: Notice) -> None:
        # No checkpoint: an announcement right after a commit must not be lost to a
        # cancellation that comes between the two.
        await self._local.publish(notice)
        self._waiting.append(encode(Message(self._sender, notice)))
        if self._flushed.is_set():
            self._flushed = trio.Event()
        self._wake.set()

    def subscribe(self, *topics: Topic) -> AbstractAsyncContextManager[Subscription]:
        return self._local.subscribe(*topics)

    async def check(self) -> str:
        """As the port says: both ways, proven by a probe of the last seconds."""
        await trio.lowlevel.checkpoint()
        self._health.check(trio.current_time())
        return self._version

    async def run(self) -> None:
        """Send and listen until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, Side.SENDING, self._send)
            nursery.start_soon(self._keep, Side.LISTENING, self._listen)

    async def wait_known(self) -> None:
        """Until both connections stand, or one could not be made."""
        await self._health.known.wait()

    async def flush(self) -> None:
        """Until nothing waits any more, or what waits cannot be sent now."""
        while self._health.is_well and not self._flushed.is_set():
            self._wake.set()
            await self._flushed.wait()

    async def _keep(self, side: Side, use: Callable[[Link], Awaitable[None]]) -> None:
        """One connection after the other, each until it fails."""
        failures = 0
        while True:
            link = Link(self._address, self._bounds.step_seconds)
            began = trio.current_time()
            try:
                await use(link)
            except LinkError as error:
                self._health.failed(side, str(error))
                self._flushed.set()
            finally:
                link.close()
            lasted = trio.current_time() - began
            is_quick = lasted < MAX_BACKOFF_SECONDS + self._bounds.step_seconds
            failures = failures + 1 if is_quick else 0
            wait = min(FIRST_BACKOFF_SECONDS * 2.0**failures, MAX_BACKOFF_SECONDS)
            # Not all of an installation at the same moment.
            await trio.sleep(wait * random.uniform(0.5, 1.0))

    async def _send(self, link: Link) -> None:
        self._note_version(await self._step(link.open))
        self._health.came_up(Side.SENDING, trio.current_time())
        while True:
            self._wake = trio.Event()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            await self._send_batch(link, batch)
            if not self._waiting:
                self._flushed.set()
                with trio.move_on_at(self._probe_at):
                    await self._wake.wait()

    async def _send_batch(self, link: Link, batch: list[bytes]) -> None:
        messages = [(self._channel, content) for content in batch]
        now = trio.current_time()
        is_probing = now >= self._probe_at
        if is_probing:
            probe = Message(self._sender, probe=self._health.next_probe())
            messages.append((self._probes, encode(probe)))
            self._probe_at = now + PROBE_SECONDS
        if not messages:
            return
        try:
            await self._step(partial(link.publish, messages))
        except LinkError:
            # Once more over the next connection: doubled is allowed, lost is not needed.
            room = MAX_WAITING - len(self._waiting)
            self._waiting.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))
            raise
        if is_probing:
            self._health.acknowledged()

    async def _listen(self, link: Link) -> None:
        await self._step(link.open)
        await self._step(partial(link.subscribe, (self._channel, self._probes)))
        self._health.came_up(Side.LISTENING, trio.current_time())
        # What was published while nobody listened is missed. Whoever waits looks for itself;
        # the caches of keys and tokens do so within a second anyway.
        await self._local.publish(Notice(Topic.JOB_READY))
        while True:
            for content in await self._step(partial(link.read, PROBE_SECONDS)):
                await self._hear(content)
            if self._health.is_deaf:
                raise LinkError(f"Redis at {self._address} takes notices and does not deliver them")

    async def _hear(self, content: bytes) -> None:
        message = decode(content)
        if message is None:
            return
        if message.sender != self._sender:
            if message.notice is not None:
                await self._local.publish(message.notice)
        elif message.probe is not None:
            self._health.heard(message.probe, trio.current_time())

    def _note_version(self, version: str) -> None:
        if version != self._version and is_too_old(version):
            oldest = ".".join(map(str, OLDEST))
            log.warning(
                "%s at %s is older than %s, which notices are tested with; update it",
                *(version, self._address, oldest),
            )
        self._version = version

    async def _step(self, work: Callable[[], T]) -> T:
        """One call into the client, in a thread; given up when its time is over."""
        with trio.move_on_after(self._bounds.call_seconds):
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._threads
            )
        raise LinkError(
            f"Redis at {self._address} did not answer within {self._bounds.call_seconds:g} s"
        )


@asynccontextmanager
async def open_redis_notices(
    address: RedisAddress, installation: str, bounds: Bounds = Bounds()
) -> AsyncIterator[RedisNotices]:
    """Notices among all processes that name the same installation. An absent Redis refuses
    nothing: it is waited for a moment, said in the log, and used when it comes."""
    notices = RedisNotices(address, installation, bounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notices.run)
        with trio.move_on_after(START_SECONDS):
            await notices.wait_known()
        try:
            yield notices
        finally:
            # The last words of a drain: jobs that were put back.
            with trio.move_on_after(bounds.flush_seconds):
                await notices.flush()
            nursery.cancel_scope.cancel()
