"""How long a drain still takes, for the clients that it turns away.

Knows what the drain waits for and how long each may take. Refuses nothing itself: the gateway
asks it what to suggest, the supervisor says when it begins and ends.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import trio

RESTART_SECONDS = 2
"""From the end of the drain until the next process listens, with a margin: about 1 s is usual."""
SETTLE_SECONDS = 5.0
"""After the time that jobs get: what is unfinished is put back into the queue."""

_SDK_REQUEST = re.compile(rb"attempt=(\d{1,3}); max=(\d{1,3})")


class Drain:
    def __init__(self) -> None:
        self._watched: list[tuple[Callable[[], bool], float]] = []
        self._begun_at: float | None = None
        self._ended = trio.Event()

    @property
    def has_begun(self) -> bool:
        return self._begun_at is not None

    def watch(self, is_busy: Callable[[], bool], seconds: float) -> None:
        """Count on waiting up to `seconds` from the beginning while `is_busy()`."""
        self._watched.append((is_busy, seconds))

    def begin(self) -> None:
        """Idempotent."""
        if self._begun_at is None:
            self._begun_at = trio.current_time()

    def end(self) -> None:
        """Nothing is waited for any more: the port closes now. Idempotent."""
        self._ended.set()

    @property
    def seconds_left(self) -> float:
        """At most; 0 when nothing is under way."""
        if self._begun_at is None or self._ended.is_set():
            return 0.0
        longest = max((seconds for is_busy, seconds in self._watched if is_busy()), default=0.0)
        return max(0.0, self._begun_at + longest - trio.current_time())

    @property
    def retry_seconds(self) -> int:
        """When a refused request may succeed: after the drain and the start that follows."""
        return math.ceil(self.seconds_left) + RESTART_SECONDS

    async def wait_ended(self) -> None:
        """Until `end`, or until it is overdue."""
        with trio.move_on_after(self.seconds_left + SETTLE_SECONDS):
            await self._ended.wait()


def retries_left(sdk_request: bytes | None) -> int | None:
    """How often an AWS SDK will try again if this attempt fails, by its `amz-sdk-request` header
    (`attempt=1; max=3`); None for other clients."""
    match = _SDK_REQUEST.fullmatch(sdk_request or b"")
    return None if match is None else int(match[2]) - int(match[1])
