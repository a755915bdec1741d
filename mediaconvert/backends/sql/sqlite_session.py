"""One SQLite connection and the transactions on it, one after another, in whatever thread.

Opened at first use and opened again when an error left it unusable. Turns SQLite's errors into
the domain's. Called by `sqlite.py` only; never touches the event loop.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mediaconvert.backends.sql.clock import CatalogClock, Reading, boot_us
from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.backends.sql.driver import (
    Body,
    Connection,
    Param,
    QueryError,
    UniqueViolation,
    no_row,
    nothing_changed,
)
from mediaconvert.backends.sql.sqlite_check import NOT_TEXT, file_damaged, is_damage
from mediaconvert.errors import DamagedRecord, InvalidRequest, StorageFull, Unavailable

T = TypeVar("T")

_CLOCK, _CLOCK_OFFSET = "clock", "clock_offset"
"""The named queries that the driver itself calls."""

_PARAM = re.compile(r"\?(\d+)")

# How often a running statement looks at the clock: some 10,000 of SQLite's steps take well
# under a millisecond.
_STEPS_BETWEEN_LOOKS = 10_000

# What its JSON functions say of values that our statements do not write.
_JSON_ERRORS = ("malformed JSON", "JSON cannot hold BLOB values")

# SQLite's integers (and PostgreSQL's bigint).
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1

_UNIQUE = frozenset(
    (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
)


class ReadOnlyFile(Exception):
    """For the driver, not for its callers. The file is open for reading only: SQLite falls back
    to that when it is refused more, be it for want of a descriptor. The index of the log beside
    it is opened once for all connections of the process, and remains what it is until the last
    of them is closed."""


class Session:
    def __init__(
        self,
        path: Path,
        queries: Mapping[str, str],
        clock: CatalogClock,
        damage: DamageLog,
        *,
        is_writer: bool,
    ) -> None:
        self._path = path
        self._clock = clock
        self._damage = damage
        self._queries = queries
        self._is_writer = is_writer
        self._raw: sqlite3.Connection | None = None
        self._stop_at = 0.0
        self.is_stale = False
        """To be closed as soon as nobody uses it."""

    def transact(self, body: Body[T], deadline_seconds: float) -> T:
        """Run a body to its end and commit, or roll back and raise what it raised."""
        self._stop_at = time.monotonic() + deadline_seconds
        try:
            raw = self._open()
            # IMMEDIATE takes the write lock at once: a body never finds after its first read
            # that somebody else has written.
            raw.execute("begin immediate" if self._is_writer else "begin")
            try:
                connection = _SqliteConnection(
                    raw, self._queries, self._clock, self._damage, self._stop_at
                )
                result = _drive(body, connection)
                # Whoever asked has been told by now that it failed.
                connection.check_deadline()
                raw.execute("commit")
            except BaseException:
                self._roll_back(raw)
                raise
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"the text {error.object!r} holds half a surrogate pair; send valid Unicode"
            ) from error
        except UnicodeDecodeError as error:
            self.close()
            raise file_damaged(self._path, NOT_TEXT) from error
        except MemoryError as error:
            # SQLite's way to say that it got none; a damaged row may ask for gigabytes.
            self.close()
            raise Unavailable("the catalog has no memory left", 5) from error
        except sqlite3.Error as error:
            failure = self._translated(error)
            if isinstance(failure, (Unavailable, ReadOnlyFile)):
                # The next transaction starts on a fresh connection.
                self.close()
            raise failure from error
        return result

    def _translated(self, error: sqlite3.Error) -> Exception:
        return file_damaged(self._path, str(error)) if is_damage(error) else _translated(error)

    def check_queries(self) -> None:
        """Have SQLite read the whole schema and prepare every query. Raises CatalogDamaged where
        the schema is not what the migrations made, sqlite3.Error."""
        self._stop_at = float("inf")
        raw = self._open()
        for text in self._queries.values():
            count = max((int(number) for number in _PARAM.findall(text)), default=0)
            try:
                raw.execute(f"explain {text}", (None,) * count).close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                why = f"its schema is not what this program made: {error}"
                raise file_damaged(self._path, why) from error

    def schema_version(self) -> int:
        """0 for a new file."""
        self._stop_at = float("inf")
        raw = self._open()
        raw.execute(
            "create table if not exists schema_migrations (version integer primary key,"
            " name text not null) strict"
        )
        row = raw.execute("select coalesce(max(version), 0) from schema_migrations").fetchone()
        return int(row[0])

    def apply(self, version: int, name: str, statements: Sequence[str]) -> None:
        """Change the schema and note it, in one transaction."""
        self._stop_at = float("inf")
        raw = self._open()
        raw.execute("begin immediate")
        try:
            for statement in statements:
                raw.execute(statement)
            raw.execute("insert into schema_migrations values (?1, ?2)", (version, name))
            raw.execute("commit")
        except BaseException:
            self._roll_back(raw)
            raise

    def close(self) -> None:
        raw, self._raw = self._raw, None
        self.is_stale = False
        if raw is not None:
            with contextlib.suppress(sqlite3.Error):
                raw.close()

    def _open(self) -> sqlite3.Connection:
        if self._raw is not None:
            return self._raw
        raw = sqlite3.connect(
            self._path,
            timeout=5.0,
            isolation_level=None,  # transactions are begun and ended here, in so many words
            check_same_thread=False,  # used by one thread at a time, not always the same
            cached_statements=512,  # all of our queries stay prepared
        )
        try:
            self._prepare(raw)
        except sqlite3.Error:
            raw.close()
            raise
        self._raw = raw
        return raw

    def _prepare(self, raw: sqlite3.Connection) -> None:
        raw.row_factory = sqlite3.Row
        # What is not UTF-8 is found row by row (values.py), and not by the whole answer failing.
        raw.text_factory = _decode
        raw.execute("pragma journal_mode = wal")
        # In WAL only FULL syncs at every commit: an acknowledged one survives power loss.
        raw.execute("pragma synchronous = full")
        raw.execute("pragma foreign_keys = on")
        raw.execute("pragma temp_store = memory")
        raw.execute("pragma cache_size = -8192")  # 8 MiB; with four readers at most 40 in all
        if not self._is_writer:
            raw.execute("pragma query_only = on")
        raw.set_progress_handler(self._look_at_clock, _STEPS_BETWEEN_LOOKS)

    def _look_at_clock(self) -> int:
        # Anything but 0 interrupts the statement. In the statement's own thread, unlike
        # Connection.interrupt(), which from outside can hit the next transaction instead.
        return int(time.monotonic() > self._stop_at)

    def _roll_back(self, raw: sqlite3.Connection) -> None:
        try:
            if raw.in_transaction:
                # An expired deadline would interrupt this too.
                self._stop_at = float("inf")
                raw.execute("rollback")
        except sqlite3.Error:
            # Closing rolls back whatever is left; the next transaction opens anew.
            self.close()


class _SqliteConnection:
    """A driver.Connection whose calls are over when they return, so that they never suspend."""

    reads_raw_indexes = True

    def __init__(
        self,
        raw: sqlite3.Connection,
        queries: Mapping[str, str],
        clock: CatalogClock,
        damage: DamageLog,
        stop_at: float,
    ) -> None:
        self._raw = raw
        self.damage = damage
        self._queries = queries
        self._clock = clock
        self._stop_at = stop_at
        self._now_us: int | None = None
        self._steady_us: int | None = None
        # Between which times of the boot clock that was.
        self._sent_us = self._received_us = 0

    async def fetch(self, query: str, *params: Param) -> Sequence[sqlite3.Row]:
        return self._run(query, params).fetchall()

    async def fetch_first(self, query: str, *params: Param) -> Sequence[sqlite3.Row]:
        return await self.fetch(query, *params)

    async def fetch_row(self, query: str, *params: Param) -> sqlite3.Row | None:
        # All rows, not the first: a statement that is not run to its end would go on living
        # (and one with RETURNING might not have made all of its changes).
        rows = self._run(query, params).fetchall()
        return rows[0] if rows else None

    async def fetch_one(self, query: str, *params: Param) -> sqlite3.Row:
        rows: list[sqlite3.Row] = self._run(query, params).fetchall()
        if not rows:
            raise no_row(query)
        return rows[0]

    async def execute(self, query: str, *params: Param) -> int:
        return self._run(query, params).rowcount

    async def execute_many(self, query: str, rows: Iterable[Sequence[Param]]) -> None:
        self.check_deadline()
        text = self._queries[query]
        if "returning" in text:
            # Python 3.12 and 3.13 refuse it at the second row; so that 3.11 does not hide it.
            raise QueryError(f"the query '{query}' answers rows, and cannot be run once a row")
        with _row_errors(query):
            self._raw.executemany(text, rows)

    async def now_us(self) -> int:
        if self._now_us is None:
            self._sent_us = boot_us()
            self._now_us = int(self._run(_CLOCK, ()).fetchall()[0][0])
            self._received_us = boot_us()
        return self._now_us

    async def steady_us(self) -> int:
        if self._steady_us is None:
            now = await self.now_us()
            found = self._run(_CLOCK_OFFSET, ()).fetchall()
            offset = int(found[0][0]) if found else 0
            self._clock.check(Reading(now - offset, offset, self._sent_us, self._received_us))
            self._steady_us = now - offset
        return self._steady_us

    def _run(self, query: str, params: Sequence[Param]) -> sqlite3.Cursor:
        self.check_deadline()
        text = self._queries[query]
        with _row_errors(query):
            try:
                return self._raw.execute(text, params)
            except OverflowError:
                # An id or an offset that no row can have: as good as the greatest there is.
                return self._raw.execute(text, [_in_range(param) for param in params])

    def check_deadline(self) -> None:
        if time.monotonic() > self._stop_at:
            raise nothing_changed("the catalog took too long")


def _in_range(param: Param) -> Param:
    return max(_LEAST, min(_GREATEST, param)) if isinstance(param, int) else param


@contextlib.contextmanager
def _row_errors(query: str) -> Iterator[None]:
    """UniqueViolation, or DamagedRecord where rows in the tables are not what our statements
    write: JSON that is none, values of a wrong type, references to nothing."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode in _UNIQUE:
            raise UniqueViolation(str(error)) from error
        raise DamagedRecord("query", query, str(error)) from error
    except sqlite3.OperationalError as error:
        if any(words in str(error) for words in _JSON_ERRORS):
            raise DamagedRecord("query", query, str(error)) from error
        raise


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _drive(body: Body[T], connection: Connection) -> T:
    coroutine = body(connection)
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a transaction's body may await nothing but its connection")


def _translated(error: sqlite3.Error) -> Exception:
    """What SQLite's failure means to a caller; mistakes in our SQL stay what they are."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    primary = code & 0xFF  # the rest tells the kinds of I/O error apart
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull()
    if primary == sqlite3.SQLITE_INTERRUPT:
        return nothing_changed("the catalog took too long")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return nothing_changed("the catalog is in use by another program")
    if primary == sqlite3.SQLITE_READONLY:
        return ReadOnlyFile(f"the catalog's file cannot be written: {error}")
    if primary in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    ):
        return Unavailable(f"the catalog's file cannot be used: {error}", 5)
    return error
