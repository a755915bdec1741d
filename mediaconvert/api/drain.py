"""How long a drain still takes, for the clients that it turns away.

Knows what the drain waits for and how long each may take. Refuses nothing itself: the gateway
asks it what to suggest, the supervisor says when it begins and ends.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import trio

RESTART_SECONDS = 2
"""From the end of the drain until the next process listens, with a margin: about 1 s is usual."""
SETTLE_SECONDS = 5.0
"""After the time that jobs get: what is unfinished is put back into the queue."""

BRIEF_SECONDS = 1.0

# botocore: "ttl=20261130T221500Z; attempt=2; max=3", from the second attempt on.
_SDK_REQUEST = re.compile(rb"(?:ttl=\w+; )?attempt=(\d{1,3}); max=(\d{1,3})")


@dataclass(frozen=True, slots=True)
class _Wait:
    is_busy: Callable[[], bool]
    seconds: float
    is_brief: bool

    def bound(self, elapsed: float) -> float:
        return max(0.0, self.seconds - elapsed) if self.is_busy() else 0.0

    def expected(self, elapsed: float) -> float:
        """What is usually brief and still goes on will last about as long again."""
        bound = self.bound(elapsed)
        return min(bound, max(BRIEF_SECONDS, elapsed)) if self.is_brief else bound


class Drain:
    def __init__(self) -> None:
        self._waits: list[_Wait] = []
        self._begun_at: float | None = None
        self._ended = trio.Event()

    @property
    def has_begun(self) -> bool:
        return self._begun_at is not None

    def watch(self, is_busy: Callable[[], bool], seconds: float, *, is_brief: bool) -> None:
        """Count on waiting up to `seconds` from the beginning while `is_busy()`; with `is_brief`
        usually for much less."""
        self._waits.append(_Wait(is_busy, seconds, is_brief))

    def begin(self) -> None:
        """Idempotent."""
        if self._begun_at is None:
            self._begun_at = trio.current_time()

    def end(self) -> None:
        """Nothing is waited for any more: the port closes now. Idempotent."""
        self._ended.set()

    @property
    def retry_seconds(self) -> int:
        """When a refused request may succeed: after the drain and the start that follows."""
        return math.ceil(self._longest(_Wait.expected)) + RESTART_SECONDS

    async def wait_ended(self) -> None:
        """Until `end`, or until it is overdue."""
        with trio.move_on_after(self._longest(_Wait.bound) + SETTLE_SECONDS):
            await self._ended.wait()

    def _longest(self, estimate: Callable[[_Wait, float], float]) -> float:
        """Seconds; 0 when nothing is under way."""
        if self._begun_at is None or self._ended.is_set():
            return 0.0
        elapsed = trio.current_time() - self._begun_at
        return max((estimate(wait, elapsed) for wait in self._waits), default=0.0)


def retries_left(sdk_request: bytes | None) -> int | None:
    """How often an AWS SDK will try again if this attempt fails, by its `amz-sdk-request` header
    (`attempt=1; max=3`); None for other clients."""
    match = _SDK_REQUEST.fullmatch(sdk_request or b"")
    return None if match is None else int(match[2]) - int(match[1])
