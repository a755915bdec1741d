"""Whether notices get through: what both connections and the probes say, as one state.

Pure but for the log: it is told what happens, with the time, and says each change once. Well
again means that a probe sent after the last failure was heard, so the whole way works.
"""

from __future__ import annotations

import logging
from enum import Enum, auto

import trio

from mediaconvert.errors import Unavailable

log = logging.getLogger("mediaconvert.notices")

SILENT_SECONDS = 3.0
LOST_PROBES = 3
"""Acknowledged by the server and not heard: then the listening connection is dead."""


class Side(Enum):
    SENDING = auto()
    LISTENING = auto()


class Health:
    def __init__(self) -> None:
        self.known = trio.Event()
        """Set when both sides are up for the first time, or one has failed."""
        self._up: set[Side] = set()
        self._failure = ""
        self._sent = 0
        self._acknowledged = 0
        self._heard = 0
        self._heard_at = float("-inf")
        self._proof = 0
        """The first probe that proves anything after the last failure."""

    @property
    def is_well(self) -> bool:
        return not self._failure and len(self._up) == len(Side)

    def came_up(self, side: Side, now: float) -> None:
        self._up.add(side)
        if len(self._up) == len(Side):
            # Until the first probe has had its time.
            self._heard, self._heard_at = self._sent, now
            self.known.set()

    def failed(self, side: Side, sentence: str) -> None:
        self._up.discard(side)
        self._proof = self._sent + 1
        if not self._failure:
            log.warning("notices do not get through; workers poll meanwhile: %s", sentence)
        self._failure = sentence
        self.known.set()

    def next_probe(self) -> int:
        """The number that the probe to be sent carries."""
        self._sent += 1
        return self._sent

    def acknowledged(self) -> None:
        """The server has taken all probes sent so far."""
        self._acknowledged = self._sent

    def heard(self, probe: int, now: float) -> None:
        self._heard, self._heard_at = probe, now
        if self._failure and probe >= self._proof and len(self._up) == len(Side):
            self._failure = ""
            log.info("notices get through again")

    @property
    def is_deaf(self) -> bool:
        """By count, not by time: a process that was stopped for a while has missed nothing."""
        return self._acknowledged - self._heard >= LOST_PROBES

    def check(self, now: float) -> None:
        """Raises Unavailable while notices do not get through."""
        if self._failure:
            raise Unavailable(self._failure)
        if len(self._up) < len(Side):
            raise Unavailable("Redis has not answered yet")
        silent = now - self._heard_at
        if silent > SILENT_SECONDS:
            raise Unavailable(f"no notice of our own has come back from Redis for {silent:.0f} s")
