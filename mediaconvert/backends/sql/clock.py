"""The catalog's steady clock, by which it measures leases, backoffs and ages.

Dates that users see are wall time: this machine's with SQLite, the server's with PostgreSQL. A
wall clock can be set. Steady time is wall time minus the sum of all its steps, which is one row
of `meta` (`clock_offset`). A step changes that row and nothing else, so every deadline in the
catalog stays right in either direction, whatever its table's size.

Each process predicts steady time from its own boot clock, and every transaction that asks for
steady time compares the two. Nothing is therefore read or written by a clock that has stepped
until one process has put the step into the row; the others then find nothing left to do. Called
by the drivers and by housekeeping.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.errors import Unavailable

T = TypeVar("T")

log = logging.getLogger("mediaconvert.backends.sql.clock")

TOLERANCE_US = 2_000_000
"""What differs by less is left alone: no lease and no backoff depends on it."""
_DRIFT = 0.001
"""Of the time since the last look: two clocks on two machines may each be 500 ppm off, which is
the most that NTP corrects without a step."""
_WIDEST_US = 1_000_000
"""A reading that took longer does not replace a better one."""
_TRIES = 3

_BUSY_REFRESH_US = 2_000_000
_IDLE_REFRESH_US = 60_000_000
"""How old `clock_seen` may become while jobs have not ended, and otherwise. After a restart, a
wall clock behind it has been set back; a job may then be late by as much."""

# It goes on while the machine is suspended, as the wall clock does: waking up is no step.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_us() -> int:
    """Microseconds by a clock of this machine that nobody can set."""
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """Steady time, read at some moment between two of the boot clock."""

    steady_us: int
    offset_us: int
    """Which made it steady."""
    sent_us: int
    received_us: int

    @property
    def width_us(self) -> int:
        return self.received_us - self.sent_us

    def step_from(self, known: Reading) -> int:
        """By how much the wall clock has been set since; 0 for nothing that is certain."""
        passed = self.steady_us - known.steady_us
        least = self.sent_us - known.received_us
        most = self.received_us - known.sent_us
        tolerance = TOLERANCE_US + round(max(0, most) * _DRIFT)
        if least - tolerance <= passed <= most + tolerance:
            return 0
        return passed - (least + most) // 2


class ClockStepped(Exception):
    """For the driver, not for its callers: this transaction has read a clock that was set."""


class CatalogClock:
    """What one process knows of its catalog's clock. One per driver."""

    def __init__(self) -> None:
        self._known: Reading | None = None

    def check(self, reading: Reading) -> None:
        """Raises ClockStepped where the reading is not what this process expects."""
        known = self._known
        if known is None:
            return
        if reading.offset_us != known.offset_us or reading.step_from(known):
            raise ClockStepped

    async def guard(self, driver: Driver, transact: Callable[[], Awaitable[T]]) -> T:
        """Run a transaction, again after a step of the clock. Raises Unavailable."""
        for _ in range(_TRIES):
            try:
                return await transact()
            except ClockStepped:
                await self.settle(driver)
        raise Unavailable("the catalog's clock is being set again and again; nothing was changed")

    async def watch(self, driver: Driver) -> float:
        """Look for a step, and put it into the catalog; the seconds of the step that this call
        dealt with, else 0. Writes only where there is something to write. Raises Unavailable."""
        known = self._known
        if known is None:
            return await self.settle(driver)

        async def body(conn: Connection) -> tuple[Reading, Row]:
            state = await conn.fetch_one("clock_state")
            return await _read(conn, int(state["clock_offset"])), state

        reading, state = await driver.read(body)
        age = reading.steady_us - int(state["seen"])
        is_stale = age > (_BUSY_REFRESH_US if state["is_busy"] else _IDLE_REFRESH_US)
        if reading.offset_us != known.offset_us or reading.step_from(known):
            return await self.settle(driver)
        self._note(reading)
        if is_stale:
            await _note_seen(driver, reading.steady_us)
        return 0.0

    async def settle(self, driver: Driver) -> float:
        """`watch` in a transaction that writes: of all processes that see a step, the first
        changes the offset. The others take over what it found: one that has just started may
        have seen the clock only after the step, and must not undo it."""
        known = self._known

        async def body(conn: Connection) -> tuple[Reading, int]:
            await conn.execute("meta_add", "clock_offset", "0")
            row = await conn.fetch_one("clock_lock")
            reading = await _read(conn, int(row["clock_offset"]))
            step = _unsettled_step(reading, known, int(row["newest"]))
            if step:
                reading = replace(
                    reading,
                    steady_us=reading.steady_us - step,
                    offset_us=reading.offset_us + step,
                )
                await conn.execute("meta_set", "clock_offset", str(reading.offset_us))
            await conn.execute("meta_set", "clock_seen", str(reading.steady_us))
            return reading, step

        reading, step = await driver.write(body, isolation=Isolation.STATEMENT)
        self._note(reading)
        if step:
            fields = {"seconds": step / 1e6, "direction": "forward" if step > 0 else "back"}
            log.warning("clock stepped", extra={"fields": fields})
        return step / 1e6

    def _note(self, reading: Reading) -> None:
        known = self._known
        if (
            known is None
            or known.offset_us != reading.offset_us
            or reading.width_us <= max(_WIDEST_US, known.width_us)
        ):
            self._known = reading


def _unsettled_step(reading: Reading, known: Reading | None, newest_us: int) -> int:
    """Of a reading under the lock of the offset; `newest_us` as in `clock_lock`."""
    if known is None:
        # Since the catalog was last open time has passed, and never backwards.
        back = reading.steady_us - newest_us
        return back if back < -TOLERANCE_US else 0
    if reading.offset_us != known.offset_us:
        return 0
    return reading.step_from(known)


async def _note_seen(driver: Driver, steady_us: int) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("clock_note", str(steady_us))

    await driver.write(body, isolation=Isolation.STATEMENT)


async def _read(conn: Connection, offset_us: int) -> Reading:
    sent = boot_us()
    wall_us = int((await conn.fetch_one("clock"))["now_us"])
    return Reading(wall_us - offset_us, offset_us, sent, boot_us())
