"""Whether the S3 store answers, as the log tells it: each change once a process.

Told of every answer and of every request that came to none by `s3_http.py`, from any thread.
Decides nothing: who asks for something tries it, whatever stands here.
"""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger("mediaconvert.backends.blobs")


class StoreHealth:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_watched = self._is_away = False
        self._answered_at = float("-inf")

    def watch(self) -> None:
        """From here on. What is wrong before, whoever opens the store says himself."""
        self._is_watched = True

    def answered(self) -> None:
        self._answered_at = time.monotonic()
        # Without the lock: it is asked with every answer.
        if self._is_away:
            self._change(is_away=False)

    def failed(self, asked_at: float, reason: str) -> None:
        """A request that was sent at `asked_at` (the monotonic clock) came to no answer. Where
        another one has been answered since, it is that request's own misfortune."""
        if self._is_watched and self._answered_at < asked_at:
            self._change(is_away=True, reason=reason)

    def _change(self, *, is_away: bool, reason: str = "") -> None:
        with self._lock:
            if is_away == self._is_away:
                return
            self._is_away = is_away
            if is_away:
                log.warning("the blob store is away: %s", reason)
            else:
                log.info("the blob store is back")
