"""One connection to PostgreSQL and the transactions on it, one after another.

Runs inside the asyncio loop, one task a transaction. Texts are carried so that any that SQLite
can hold can be held here too. Says how far a transaction came; what that means, `postgres.py`
decides. Called by it and by `postgres_schema.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from mediaconvert.backends.sql.clock import CatalogClock, Reading, boot_us
from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.backends.sql.driver import Body, Param, Row, UniqueViolation, no_row
from mediaconvert.backends.sql.postgres_uri import PostgresAddress
from mediaconvert.errors import InvalidRequest

T = TypeVar("T")

# All of the catalog's queries, and the analytics', stay prepared.
_CACHED_STATEMENTS = 512

# A server that lives answers BEGIN at once. Whoever does not is gone (a firewall may have
# forgotten the connection), and there is time left for another.
_BEGIN_SECONDS = 1.5

# PostgreSQL's bigint.
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1

_NOW = "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now_us"
# With what it takes to ask later what became of a transaction whose commit was not answered.
_NOW_OF_A_WRITE = f"""{_NOW},
  cast(pg_current_xact_id() as text) as xid, pg_backend_pid() as backend"""

# Within one history of a server a transaction's number is one transaction's. A promoted replica
# has another timeline: the first eight digits of a WAL file's name. After a crash the server
# gives numbers away again that it had not written to disk; it then begins its statistics anew
# (pgstat_discard_stats in its source), which a clean restart keeps.
HISTORY = """select concat_ws(' ', substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
  (select extract(epoch from stats_reset) from pg_stat_bgwriter))"""


@dataclass(frozen=True, slots=True)
class TransactionId:
    """A transaction as its server knows it, on which a commit was sent."""

    xid: str
    backend: int
    """The server process's pid."""
    history: str


def transaction_timeout(milliseconds: int, *, is_local: bool) -> str:
    """The statement that bounds a transaction (0: not at all), as servers can that know it."""
    return f"""select set_config('transaction_timeout', '{milliseconds}', {str(is_local).lower()})
where current_setting('transaction_timeout', true) is not null"""


def encode_text(text: str) -> str:
    """PostgreSQL's texts cannot hold U+0000, which a key may. It is stored as U+0001 U+0002,
    and U+0001 as U+0001 U+0003: whatever was less than, equal to or a prefix of another text
    still is, and finding one in another still does."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x03").replace("\x00", "\x01\x02")
    return text


def decode_text(text: str) -> str:
    if "\x01" in text:
        return text.replace("\x01\x02", "\x00").replace("\x01\x03", "\x01")
    return text


async def open_session(address: PostgresAddress, seconds: float, settings: str = "") -> Session:
    """`settings` are statements that hold for all transactions. Raises what asyncpg raises:
    OSError, TimeoutError, PostgresError, InterfaceError."""
    raw = await asyncpg.connect(
        dsn=address.dsn,
        host=list(address.hosts) or None,
        port=list(address.ports) or None,
        # A small file of this machine, as are the certificates.
        password=address.password_file.password() if address.password_file else None,
        ssl=ssl.create_default_context() if address.trusts_system else None,
        timeout=min(seconds, address.connect_seconds or seconds),
        server_settings=dict(address.server_settings),
        statement_cache_size=_CACHED_STATEMENTS,
        max_cached_statement_lifetime=0,
    )
    session = Session(raw)
    try:
        # Without a round trip: asyncpg knows the type.
        await raw.set_type_codec(
            "text", schema="pg_catalog", encoder=encode_text, decoder=decode_text, format="text"
        )
        with session.cut_at(asyncio.get_running_loop().time() + seconds):
            if settings:
                await raw.execute(settings)
            await session.learn_history()
    except BaseException as error:
        session.end()
        if session.is_expired and isinstance(error, Exception):
            raise TimeoutError from error
        raise
    return session


class Session:
    """Made by `open_session`."""

    def __init__(self, raw: asyncpg.Connection) -> None:
        self.raw = raw
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        self._history: str | None = None
        self._is_cut = False
        self.is_expired = False
        """Ended by the deadline of its transaction."""
        self.has_begun = False
        """The transaction is open: what failed before has certainly changed nothing."""
        self.is_committing = False
        """A commit was sent and has not been answered."""
        self.committing: TransactionId | None = None
        """That transaction, where it is known."""

    @property
    def is_usable(self) -> bool:
        return not self.raw.is_closed() and not self.raw.is_in_transaction()

    async def transact(
        self,
        body: Body[T],
        begin: str,
        queries: Mapping[str, str],
        clock: CatalogClock,
        damage: DamageLog,
        *,
        is_write: bool,
        stop_at: float,
    ) -> T:
        """Run a body to its end and commit, or roll back and raise what it raised. `stop_at` is
        by the loop's clock; then the connection is cut, and whatever waits for it fails."""
        connection = _PostgresConnection(self.raw, queries, clock, damage, is_write=is_write)
        self.is_committing = False
        self.committing = None
        self.has_begun = False
        with self.cut_at(stop_at):
            try:
                with self.cut_at(min(stop_at, self._loop.time() + _BEGIN_SECONDS)):
                    await self.raw.execute(begin)
                self.has_begun = True
                result = await body(connection)
                if is_write:
                    self.committing = self._identify(connection)
                    self.is_committing = True
                # On a transaction that an error has ended, COMMIT succeeds and rolls back.
                if await self.raw.execute("commit") != "COMMIT":
                    raise RuntimeError("a transaction's body went on after an error")
            except BaseException as error:
                await self._roll_back(error)
                raise
        self.is_committing = False
        return result

    @contextlib.contextmanager
    def cut_at(self, stop_at: float) -> Iterator[None]:
        """Cut the connection at a time of the loop's clock, unless the block ends before. Then
        what waits for it in the block raises what a lost connection raises."""

        def expire() -> None:
            self.is_expired = True
            self.end()

        timer = self._loop.call_at(stop_at, expire)
        try:
            yield
        except AttributeError as error:
            # asyncpg, cut between the answer to one message and the sending of the next, finds
            # its protocol gone.
            if not self._is_cut:
                raise
            raise asyncpg.ConnectionDoesNotExistError("the connection was cut") from error
        finally:
            timer.cancel()
            self.used_at = self._loop.time()

    async def close(self, seconds: float) -> None:
        """Say goodbye; cut the connection where that does not work within so long."""
        try:
            await self.raw.close(timeout=seconds)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.end()

    def end(self) -> None:
        """Cut the connection, without a goodbye."""
        self._is_cut = True
        self.raw.terminate()

    def _identify(self, connection: _PostgresConnection) -> TransactionId | None:
        if connection.xid is None or connection.backend is None or self._history is None:
            return None
        return TransactionId(connection.xid, connection.backend, self._history)

    async def learn_history(self) -> None:
        try:
            self._history = await self.raw.fetchval(HISTORY)
        except asyncpg.PostgresError:
            # A replica does not say.
            if self.raw.is_closed():
                raise

    async def _roll_back(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            # Whatever ended the task does not wait for a rollback.
            self.end()
        elif not self.raw.is_closed() and self.raw.is_in_transaction():
            try:
                await self.raw.execute("rollback")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self.end()


class _PostgresConnection:
    """A driver.Connection."""

    reads_raw_indexes = False

    def __init__(
        self,
        raw: asyncpg.Connection,
        queries: Mapping[str, str],
        clock: CatalogClock,
        damage: DamageLog,
        *,
        is_write: bool,
    ) -> None:
        self._raw = raw
        self.damage = damage
        self._queries = queries
        self._clock = clock
        self._is_write = is_write
        columns = _NOW_OF_A_WRITE if is_write else _NOW
        # Other databases than the catalog's have no such row, and nobody asks for it.
        offset = queries.get("clock_offset", "select null").rstrip(";")
        self._clock_columns = f"{columns}, ({offset}) as steady_offset"
        self._now_us: int | None = None
        self._offset_us = 0
        # Between which times of the boot clock that was read.
        self._sent_us = self._received_us = 0
        self.xid: str | None = None
        self.backend: int | None = None

    async def fetch(self, query: str, *params: Param) -> Sequence[Row]:
        return await self._fetch(self._queries[query], params)

    async def _fetch(self, text: str, params: Sequence[Param]) -> Sequence[Row]:
        try:
            rows: list[asyncpg.Record] = await self._raw.fetch(text, *params)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(str(error)) from error
        except asyncpg.DataError as error:
            rows = await self._raw.fetch(text, *_mended(params, error))
        return rows

    async def fetch_first(self, query: str, *params: Param) -> Sequence[Row]:
        if self._now_us is not None or not self._is_write:
            return await self.fetch(query, *params)
        sent = boot_us()
        rows = await self._fetch(_with_clock(self._queries[query], self._clock_columns), params)
        # The last row's lock is the last that was waited for.
        self._note_clock(rows[-1], sent)
        return [row for row in rows if row["is_found"]]

    async def fetch_row(self, query: str, *params: Param) -> Row | None:
        # All rows: a statement that is not run to its end might not make all of its changes.
        rows = await self.fetch(query, *params)
        return rows[0] if rows else None

    async def fetch_one(self, query: str, *params: Param) -> Row:
        rows = await self.fetch(query, *params)
        if not rows:
            raise no_row(query)
        return rows[0]

    async def execute(self, query: str, *params: Param) -> int:
        text = self._queries[query]
        try:
            tag = await self._raw.execute(text, *params)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(str(error)) from error
        except asyncpg.DataError as error:
            tag = await self._raw.execute(text, *_mended(params, error))
        # `UPDATE 3`, `INSERT 0 1`
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, query: str, rows: Iterable[Sequence[Param]]) -> None:
        # Mended before they are sent: some rows would have been inserted by the time that
        # another cannot be.
        batch = [_in_range(row) for row in rows]
        if not batch:
            return
        try:
            await self._raw.executemany(self._queries[query], batch)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(str(error)) from error
        except asyncpg.DataError as error:
            _refuse_surrogates(error)
            raise

    async def now_us(self) -> int:
        if self._now_us is None:
            sent = boot_us()
            row = await self._raw.fetchrow(f"select {self._clock_columns}")
            assert row is not None
            self._note_clock(row, sent)
        assert self._now_us is not None
        return self._now_us

    async def steady_us(self) -> int:
        steady = await self.now_us() - self._offset_us
        self._clock.check(Reading(steady, self._offset_us, self._sent_us, self._received_us))
        return steady

    def _note_clock(self, row: Row, sent_us: int) -> None:
        self._now_us = int(row["now_us"])
        self._offset_us = int(row["steady_offset"] or 0)
        self._sent_us, self._received_us = sent_us, boot_us()
        if self._is_write:
            self.xid, self.backend = row["xid"], row["backend"]


@functools.cache
def _with_clock(query: str, clock_columns: str) -> str:
    """The same rows, each with the clock beside it as it was when the row was locked; or the
    clock alone."""
    return f"""select {clock_columns}, found.* from (select 1) one
left join (select true as is_found, q.* from ({query.rstrip().rstrip(";")}) q) found on true"""


def _mended(params: Sequence[Param], error: asyncpg.DataError) -> Sequence[Param]:
    """Parameters that asyncpg could not send (so that nothing has happened yet), for another
    try. Raises InvalidRequest, or the error where there is nothing to mend."""
    _refuse_surrogates(error)
    if not isinstance(error.__cause__, OverflowError):
        raise error
    return _in_range(params)


def _refuse_surrogates(error: asyncpg.DataError) -> None:
    cause = error.__cause__
    if isinstance(cause, UnicodeEncodeError):
        raise InvalidRequest(
            f"the text {cause.object!r} holds half a surrogate pair; send valid Unicode"
        ) from error


def _in_range(params: Sequence[Param]) -> Sequence[Param]:
    # An id or an offset that no row can have: as good as the greatest there is.
    return [
        max(_LEAST, min(_GREATEST, param)) if isinstance(param, int) else param for param in params
    ]
