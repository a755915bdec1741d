"""The minimum rate of a client, as a budget of seconds that it may keep us waiting.

Pure: the caller measures. Only waiting counts, so a slow handler costs its client nothing.
"""

from __future__ import annotations


class RateFloor:
    """`grace_seconds` of waiting, given anew whenever `grace_seconds` worth of bytes at the
    minimum rate have moved. A client at or above the rate never runs out of it."""

    def __init__(self, min_rate_bytes: int, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._worth = max(1, int(min_rate_bytes * grace_seconds))
        self._moved = 0
        self.seconds_left = grace_seconds

    def account(self, seconds: float, moved_bytes: int) -> None:
        """So long was waited, and so much moved."""
        self.seconds_left -= seconds
        self._moved += moved_bytes
        if self._moved >= self._worth:
            self._moved = 0
            self.seconds_left = self._grace_seconds

    @property
    def exhausted(self) -> bool:
        return self.seconds_left <= 0
