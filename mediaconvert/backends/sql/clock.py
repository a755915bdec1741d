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
"""Share of the time since the last look: two machines' clocks may each be 500 ppm off, which is
the most that NTP corrects without a step."""
_WIDEST_US = 1_000_000
"""A reading that took longer does not replace a better one."""
_TRIES = 3

_BUSY_REFRESH_US = 2_000_000
_IDLE_REFRESH_US = 60_000_000
"""How old `clock_seen` may become while jobs have not ended, and otherwise. After a restart, a
wall clock behind it has been set back; a job may then be late by as much. In a cluster, a pause of
one machine that is shorter is taken for a step of the wall clock (see `_step_of_running`)."""

_NEAR_US = _IDLE_REFRESH_US + 60_000_000
"""A change of a job may be ahead of `clock_seen` by the refresh interval, and by what a busy
database adds to it. One that is further ahead is damage."""
_PLAUSIBLE_US = 10 * 365 * 86_400_000_000
"""A stored time or offset that is off by more than ten years is damage."""

# It goes on while the machine is suspended, as the wall clock does: waking up is no step.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_us() -> int:
    """Microseconds by a clock of this machine that cannot be set."""
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
        refresh_us = _BUSY_REFRESH_US if state["is_busy"] else _IDLE_REFRESH_US
        is_stale = not -_NEAR_US <= age <= refresh_us
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
            noted = Noted(_integer(row["seen"]), _integer(row["changed"]))
            step = unsettled_step(reading, known, noted)
            if step:
                reading = replace(
                    reading,
                    steady_us=reading.steady_us - step,
                    offset_us=reading.offset_us + step,
                )
                await conn.execute("meta_set", "clock_offset", str(reading.offset_us))
            if known is not None or noted.seen_us is None:
                # One that has just started must not hide from the others a step that they have
                # not seen yet.
                await conn.execute("meta_set", "clock_seen", str(reading.steady_us))
            return reading, step

        reading, step = await driver.write(body, isolation=Isolation.STATEMENT)
        if known is not None and reading.step_from(known):
            # Our boot clock has stood still: predict from here on.
            self._known = reading
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


@dataclass(frozen=True, slots=True)
class Noted:
    """Steady times in the catalog; None where there is none, or none that can be read."""

    seen_us: int | None
    """When any process last looked at the clock."""
    changed_us: int | None
    """When a job last changed."""

    def newest_us(self, steady_us: int) -> int | None:
        """The later of the two, if it is plausible beside the clock's own answer."""
        seen, changed = (
            None if at is None or abs(at - steady_us) > _PLAUSIBLE_US else at
            for at in (self.seen_us, self.changed_us)
        )
        if (seen, changed) != (self.seen_us, self.changed_us):
            log.error("a time in the catalog is damaged; it is ignored")
        if seen is None or changed is None:
            return changed if seen is None else seen
        return max(seen, changed) if changed <= seen + _NEAR_US else seen


def unsettled_step(reading: Reading, known: Reading | None, noted: Noted) -> int:
    """By how much the offset has to change, of a reading under its lock; 0 if it is right."""
    if known is None:
        return _step_while_closed(reading, noted)
    if reading.offset_us == known.offset_us:
        return _step_of_running(reading, known, noted)
    step = reading.step_from(known)
    if abs(step) <= _PLAUSIBLE_US:
        # Another process has found a step.
        return 0
    log.error("the clock offset in the catalog is damaged; it is replaced")
    return step


def _step_while_closed(reading: Reading, noted: Noted) -> int:
    """Since the catalog was last open time has passed, and never backwards."""
    newest = noted.newest_us(reading.steady_us)
    if newest is None:
        return 0
    back = reading.steady_us - newest
    return back if back < -TOLERANCE_US else 0


def _step_of_running(reading: Reading, known: Reading, noted: Noted) -> int:
    """Steady time never falls below what other processes have noted. If it would, it was not the
    wall clock that was set forward: this machine was paused, and its boot clock with it."""
    step = reading.step_from(known)
    newest = noted.newest_us(reading.steady_us)
    if step > 0 and newest is not None and reading.steady_us - step < newest - TOLERANCE_US:
        return 0
    return step


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


async def _note_seen(driver: Driver, steady_us: int) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("clock_note", str(steady_us))

    await driver.write(body, isolation=Isolation.STATEMENT)


async def _read(conn: Connection, offset_us: int) -> Reading:
    sent = boot_us()
    wall_us = int((await conn.fetch_one("clock"))["now_us"])
    return Reading(wall_us - offset_us, offset_us, sent, boot_us())
