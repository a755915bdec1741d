"""Threads for a store that may hang: bounded in number, and left behind by who is cancelled.

A thread that nobody waits for any more ends by itself (every wait in it has a bound) and keeps
its place until then, so that a dead store holds these places and none of the process's other
threads. Used by `s3.py` and its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import outcome
import trio

from mediaconvert.errors import Unavailable

_Result = TypeVar("_Result")

TURN_SECONDS = 15.0
"""Longest wait for a place, unless told otherwise."""


class Running(Generic[_Result]):
    """Work that goes on in a thread, whoever waits for it."""

    def __init__(self) -> None:
        self.ended = trio.Event()
        self._outcome: outcome.Outcome[_Result] | None = None

    @property
    def has_succeeded(self) -> bool:
        return isinstance(self._outcome, outcome.Value)

    def end(self, result: outcome.Outcome[_Result]) -> None:
        self._outcome = result
        self.ended.set()

    async def wait(self) -> _Result:
        """What the work answers or raises. Cancelled, the work goes on."""
        await self.ended.wait()
        if isinstance(self._outcome, outcome.Error):
            raise self._outcome.error
        assert isinstance(self._outcome, outcome.Value)
        result: _Result = self._outcome.value
        return result


class StoreThreads:
    """At most `places` threads at once, for each of which one waits its turn."""

    def __init__(self, places: int, *, turn_seconds: float = TURN_SECONDS) -> None:
        self._limiter = trio.CapacityLimiter(places)
        self._turn_seconds = turn_seconds

    @property
    def busy(self) -> int:
        """Threads at work, those that nobody waits for included."""
        return self._limiter.borrowed_tokens

    async def start(self, work: Callable[[], _Result]) -> Running[_Result]:
        """Returns when the thread has been started. Raises Unavailable when no place became
        free or there are no threads to be had; cancelled before, nothing was started."""
        running: Running[_Result] = Running()
        with trio.move_on_after(self._turn_seconds) as turn:
            await self._limiter.acquire_on_behalf_of(running)
        if turn.cancelled_caught:
            raise Unavailable("the blob store is overloaded: too many calls wait for it", 5)
        token = trio.lowlevel.current_trio_token()

        def tell(result: outcome.Outcome[_Result]) -> None:
            self._limiter.release_on_behalf_of(running)
            running.end(result)

        def deliver(result: outcome.Outcome[_Result]) -> None:
            # The program may have ended without waiting for this thread.
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(tell, result)

        try:
            trio.lowlevel.start_thread_soon(work, deliver, "blob store")
        except RuntimeError as error:
            # The machine gives us no more of them.
            self._limiter.release_on_behalf_of(running)
            raise Unavailable(f"no thread can be started: {error}", 5) from error
        return running

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """`work` in a thread. Cancelled, it goes on there."""
        running = await self.start(work)
        return await running.wait()
