"""Whether the S3 store answers, as the log tells it: once that it is away, once that it is back.

Told of every answer and of every request that came to none by `s3_http.py`, from any thread.
Decides nothing: who asks for something tries it, whatever stands here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("mediaconvert.backends.blobs")

AWAY_TRIES = 3
AWAY_SECONDS = 3.0
"""So many tries in a row, and over so long, have to fail: a store that is asked too often, or
of which one backend of several is ill, answers 503 now and then, and any connection may break.
The tries of a single call that gives up after its 5 s (s3_http.py) are enough: its last one is
made after 3 s."""
AGAIN_SECONDS = 60.0
"""A store that comes and goes is said to be away no more often; if it stays away, then still."""


class StoreHealth:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        """What requests are timed by."""
        self._lock = threading.Lock()
        self._is_watched = self._is_away = False
        self._answered_at = self._told_at = float("-inf")
        self._failures = 0
        self._failing_since = 0.0

    def watch(self) -> None:
        """From here on. What is wrong before, whoever opens the store says himself."""
        self._is_watched = True

    def answered(self) -> None:
        self._answered_at = self.now()
        # Without the lock: it is asked with every answer.
        if self._is_away:
            with self._lock:
                if self._is_away:
                    self._is_away = False
                    log.info("the blob store is back")

    def failed(self, asked_at: float, reason: str) -> None:
        """A try that was sent at `asked_at`, by `now`, came to no answer. Where another one has
        been answered since, it is that try's own misfortune."""
        if not self._is_watched:
            return
        with self._lock:
            if asked_at <= self._answered_at:
                return
            if not self._failures or self._failing_since <= self._answered_at:
                self._failures, self._failing_since = 0, asked_at
            self._failures += 1
            self._failing_since = min(self._failing_since, asked_at)
            now = self.now()
            is_outage = self._failures >= AWAY_TRIES and now - self._failing_since >= AWAY_SECONDS
            if is_outage and not self._is_away and now - self._told_at >= AGAIN_SECONDS:
                self._is_away = True
                self._told_at = now
                log.warning("the blob store is away: %s", reason)
