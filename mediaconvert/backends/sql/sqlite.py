"""SQLite as a Driver: one writer, several readers that never wait behind it.

A transaction's body crosses into a thread once and is driven there to its end over a connection
whose calls never suspend. Commits are durable (WAL, synchronous=FULL). The only module of the
package that imports sqlite3; knows no table of the catalog.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from mediaconvert.backends.sql.clock import CatalogClock
from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.backends.sql.driver import Body, Isolation, nothing_changed
from mediaconvert.backends.sql.migrations import Migration, pending
from mediaconvert.backends.sql.sqlite_check import (
    NOT_TEXT,
    START_BYTES,
    START_SECONDS,
    file_damaged,
    is_damage,
    quick_check,
)
from mediaconvert.backends.sql.sqlite_session import ReadOnlyFile, Session
from mediaconvert.errors import CatalogDamaged, DamagedRecord, StartupError, Unavailable

T = TypeVar("T")

# STRICT tables came with 3.37, RETURNING with 3.35.
_OLDEST = (3, 37, 0)
# Statements stop themselves at the deadline; what is longer hangs in the disk.
_GRACE_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


class SqliteDriver:
    """A Driver over one database file; made by `open_sqlite`."""

    def __init__(
        self,
        path: Path,
        queries: Mapping[str, str],
        *,
        readers: int,
        deadline_seconds: float,
    ) -> None:
        self._path = path
        self._deadline_seconds = deadline_seconds
        self.clock = CatalogClock()
        self.damage = damage = DamageLog()
        self._writers = _Pool([Session(path, queries, self.clock, damage, is_writer=True)])
        self._readers = _Pool(
            [Session(path, queries, self.clock, damage, is_writer=False) for _ in range(readers)]
        )
        # Threads of its own: the default ones may all be busy writing blobs.
        self._threads = trio.CapacityLimiter(1 + readers)
        self._is_closing = False
        self._is_checked = False

    @property
    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    async def write(self, body: Body[T], *, isolation: Isolation = Isolation.SERIALIZABLE) -> T:
        """As Driver.write: there is one writer, so whatever it does is serializable. Waiting
        for it can be cancelled; from then on it is shielded, and ends at the deadline (twice
        it, with the wait) as Unavailable."""
        return await self.clock.guard(self, lambda: self._transact(self._writers, body))

    async def read(self, body: Body[T]) -> T:
        """As Driver.read: a snapshot that no write waits for, nor waits for a write."""
        return await self.clock.guard(self, lambda: self._transact(self._readers, body))

    async def settle(self) -> None:
        """As Driver.settle. Nothing to do: there is one writer, and whoever writes next (or
        asks as a writer) waits for the commit that hangs."""
        await trio.lowlevel.checkpoint()

    async def _transact(self, pool: _Pool, body: Body[T]) -> T:
        session = await pool.take(self._deadline_seconds)
        try:
            return await self._in_thread(
                lambda: session.transact(body, self._deadline_seconds), session, pool
            )
        except (DamagedRecord, CatalogDamaged) as error:
            self.damage.note(error)
            raise
        except ReadOnlyFile as error:
            # The others hold it open as it is; those in use now are closed by their threads.
            await self._close_idle()
            raise Unavailable(str(error), 5) from error

    async def _close_idle(self) -> None:
        for pool in (self._writers, self._readers):
            for session in pool.sessions:
                session.is_stale = True
            while stale := pool.take_stale():
                await self._in_thread(stale.close, stale, pool)

    async def _in_thread(self, work: Callable[[], T], session: Session, pool: _Pool) -> T:
        token = trio.lowlevel.current_trio_token()
        is_started = False

        def run() -> T:
            nonlocal is_started
            is_started = True
            try:
                return work()
            finally:
                # By the thread itself: when it hangs in the disk and is given up below, the
                # session stays taken until the disk has answered.
                if self._is_closing or session.is_stale:
                    session.close()
                with contextlib.suppress(trio.RunFinishedError):
                    token.run_sync_soon(pool.put, session)

        limit = trio.current_time() + self._deadline_seconds + _GRACE_SECONDS
        try:
            with trio.CancelScope(shield=True, deadline=limit):
                return await trio.to_thread.run_sync(
                    run, abandon_on_cancel=True, limiter=self._threads
                )
        except RuntimeError as error:
            if is_started:
                raise
            # The machine gives us no more threads; nobody else puts the session back.
            pool.put(session)
            raise Unavailable(f"no thread can be started: {error}", 5) from error
        raise Unavailable(
            f"the disk under {self._path.name} did not answer within "
            f"{self._deadline_seconds:g} s; it is not known whether the change was made"
        )

    async def migrate(self, migrations: Sequence[Migration]) -> None:
        """Bring the schema up to date. Raises StartupError for a schema that is too new."""
        session = await self._writers.take(math.inf)

        def run() -> None:
            applied = session.schema_version()
            for migration in pending(migrations, applied, f"the database {self._path}"):
                session.apply(migration.version, migration.name, migration.statements)

        try:
            await trio.to_thread.run_sync(run)
        finally:
            self._writers.put(session)

    async def check_queries(self) -> None:
        """Have every query prepared, which reads the whole schema. Raises StartupError where the
        schema is not the one that the program's migrations made."""
        session = await self._writers.take(math.inf)
        try:
            await trio.to_thread.run_sync(session.check_queries)
        except CatalogDamaged as error:
            raise StartupError(error.reason) from error
        except UnicodeDecodeError as error:
            raise StartupError(file_damaged(self._path, NOT_TEXT).reason) from error
        except sqlite3.Error as error:
            if is_damage(error):
                raise StartupError(file_damaged(self._path, str(error)).reason) from error
            raise StartupError(f"the database {self._path} cannot be opened: {error}") from error
        finally:
            self._writers.put(session)

    async def check_at_start(self) -> None:
        """Look for damage, within START_SECONDS, in a file of START_BYTES at most; the rest is left
        to `check_file`. Raises CatalogDamaged where the file is not to be used; damaged records
        are noted."""
        if self._path.stat().st_size > START_BYTES:
            return
        checked = await trio.to_thread.run_sync(
            lambda: quick_check(self._path, seconds=START_SECONDS)
        )
        self._is_checked = checked.is_complete
        for record in checked.records:
            self.damage.note(record)
        if checked.file is not None:
            raise checked.file

    async def check_file(self) -> None:
        """As Driver.check_file."""
        if self._is_checked:
            await trio.lowlevel.checkpoint()
            return
        stopped = threading.Event()
        check = partial(
            quick_check, self._path, seconds=math.inf, is_stopped=stopped.is_set, is_gentle=True
        )
        try:
            checked = await trio.to_thread.run_sync(check, abandon_on_cancel=True)
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path.name} cannot be checked: {error}", 5) from error
        finally:
            stopped.set()
        self._is_checked = checked.is_complete
        for record in checked.records:
            self.damage.note(record)
        if checked.file is not None:
            self.damage.note(checked.file)

    async def close(self) -> None:
        """Close what is idle or becomes so within 5 s; what hangs in the disk is
        closed by its own thread when it comes back."""
        self._is_closing = True
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            for pool in (self._readers, self._writers):
                for _ in pool.sessions:
                    session = await pool.take(math.inf)
                    await trio.to_thread.run_sync(session.close)


class _Pool:
    """Sessions that are lent to one transaction each, first come first served."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = tuple(sessions)
        self._idle = list(sessions)
        self._free = trio.Semaphore(len(sessions))

    async def take(self, within_seconds: float) -> Session:
        with trio.move_on_after(within_seconds) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise nothing_changed("the catalog is overloaded")
        # The one used last: its page cache is the warmest.
        return self._idle.pop()

    def take_stale(self) -> Session | None:
        """One that nobody has taken and that is to be closed."""
        stale = next((session for session in self._idle if session.is_stale), None)
        if stale is None:
            return None
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            # Promised to those who waited; their threads will close them.
            return None
        self._idle.remove(stale)
        return stale

    def put(self, session: Session) -> None:
        self._idle.append(session)
        self._free.release()


@contextlib.asynccontextmanager
async def open_sqlite(
    path: Path,
    queries: Mapping[str, str],
    migrations: Sequence[Migration],
    *,
    readers: int = 4,
    deadline_seconds: float = 5.0,
) -> AsyncIterator[SqliteDriver]:
    """The database file at `path`, made and brought up to date where needed. Raises
    StartupError where it cannot be opened or is newer than the program."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StartupError(
            f"this Python's SQLite is {sqlite3.sqlite_version}; 3.37 or newer is needed"
        )
    driver = SqliteDriver(path, queries, readers=readers, deadline_seconds=deadline_seconds)
    try:
        try:
            # Ours alone, and SQLite gives its -wal and -shm files the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            await driver.migrate(migrations)
            await driver.check_at_start()
        except CatalogDamaged as error:
            raise StartupError(error.reason) from error
        except UnicodeDecodeError as error:
            raise StartupError(file_damaged(path, NOT_TEXT).reason) from error
        except (OSError, sqlite3.Error, Unavailable) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                raise StartupError(file_damaged(path, str(error)).reason) from error
            raise StartupError(
                f"the database {path} cannot be opened: {error}; check the folder, its "
                "permissions and its disk, or restore a backup"
            ) from error
        yield driver
    finally:
        await driver.close()
