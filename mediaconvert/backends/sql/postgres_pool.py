"""PostgreSQL's connections, and one asyncio coroutine a transaction.

Everything that a transaction does (a connection, BEGIN, body, COMMIT, giving it back) happens
in one coroutine that crosses into asyncio's loop once and is never cancelled there: a
transaction that must not go on has its connection cut instead. So the pool cannot lose one.
Called by `postgres.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import trio
import trio_asyncio

from mediaconvert.backends.sql.clock import CatalogClock
from mediaconvert.backends.sql.damage import DamageLog
from mediaconvert.backends.sql.driver import Body, Connection, UniqueViolation, nothing_changed
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres_errors import (
    CONNECTION_ERRORS,
    is_conflict,
    is_passing,
    is_read_only,
    is_stale,
    is_starting,
    reason,
    startup_error,
    translated,
)
from mediaconvert.backends.sql.postgres_schema import (
    check_server,
    migrate,
    refuse_shared,
    schema_version,
)
from mediaconvert.backends.sql.postgres_session import (
    Session,
    TransactionId,
    open_session,
    transaction_timeout,
)
from mediaconvert.backends.sql.postgres_uri import PostgresAddress
from mediaconvert.backends.sql.postgres_verdict import Verdict, ask_verdict
from mediaconvert.errors import Unavailable

T = TypeVar("T")

log = logging.getLogger("mediaconvert.backends.sql.postgres")

MAX_CONFLICTS = 5
"""How often a transaction is run again because of others."""
MAX_TAKEN = 20
"""How often because a value that it adds was there already: each time somebody else has got
further, so many who write one key at once come through in turn."""
MAX_LOSSES = 3
"""How often because its connection was lost."""
PATIENCE_SECONDS = 2.0
"""How long a server that refuses connections is asked again: it may be starting."""

_ASK_AGAIN_SECONDS = 0.1
# A firewall on the way may have forgotten a connection that was silent for longer.
_IDLE_SECONDS = 300.0
START_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
# Beyond the deadline, for the coroutine to notice that its connection was cut.
_GRACE_SECONDS = 5.0


class Begin(Enum):
    """How each kind of transaction begins. Deferrable would wait for writers."""

    SERIALIZABLE = "begin isolation level serializable read write"
    STATEMENT = "begin isolation level read committed read write"
    READ = "begin isolation level repeatable read read only"


def _not_known(
    retry_after_seconds: int = 1, reason: str = "the database did not answer"
) -> Unavailable:
    return Unavailable(
        "the database did not answer; it is not known whether the change was made",
        retry_after_seconds,
        reason=reason,
    )


@dataclass(slots=True)
class _Attempts:
    """What has happened to one transaction so far. Times are by the loop's clock."""

    began_at: float
    stop_at: float
    conflicts: int = 0
    losses: int = 0
    refused_since: float | None = None


class PostgresPool:
    """At most `size` connections, each lent to one transaction at a time."""

    def __init__(
        self,
        loop: trio_asyncio.BaseTrioEventLoop,
        address: PostgresAddress,
        *,
        size: int,
        deadline_seconds: float,
    ) -> None:
        self.size = size
        self.version = "PostgreSQL"
        self.damage = DamageLog()
        self._loop = loop
        self._address = address
        self._deadline_seconds = deadline_seconds
        self._places = trio.Semaphore(size)
        self._idle: list[Session] = []
        # Their commits may still be on the way.
        self._unsettled: set[TransactionId] = set()
        self._is_away = False
        # Bounds of the server's own, in case it never hears that we have cut a connection.
        # Below our deadline, so that a busy table is told apart from a lost server.
        milliseconds = round(deadline_seconds * 1000)
        self._settings = (
            f"set statement_timeout = {milliseconds * 9 // 10}"
            f"; set lock_timeout = {milliseconds * 8 // 10}"
            f"; set idle_in_transaction_session_timeout = {milliseconds}"
            # PostgreSQL 17 and newer. The others count no time within a statement that waits for
            # its client; older servers are told by other nodes (the query `stalled_end`).
            f"; {transaction_timeout(milliseconds + 1000, is_local=False)}"
            # Our queries are short: compiling one takes longer than running it.
            "; set jit = off"
        )

    @property
    def idle(self) -> Sequence[Session]:
        """Connections that no transaction uses at the moment, the one used last at the end."""
        return tuple(self._idle)

    @property
    def free_places(self) -> int:
        """How many more transactions could begin at once."""
        return self._places.value

    async def transact(
        self, body: Body[T], begin: Begin, queries: Mapping[str, str], clock: CatalogClock
    ) -> T:
        """See PostgresDriver.write and read."""
        return await self._with_place(self._run(body, begin, queries, clock))

    async def settle(self) -> None:
        """See Driver.settle."""
        if self._unsettled:
            await self._with_place(self._settle())

    async def _with_place(self, work: Coroutine[Any, Any, T]) -> T:
        with contextlib.closing(work):
            with trio.move_on_after(self._deadline_seconds) as waiting:
                await self._places.acquire()
            if waiting.cancelled_caught:
                raise nothing_changed("the catalog is overloaded")
            limit = trio.current_time() + self._deadline_seconds + _GRACE_SECONDS
            try:
                with trio.CancelScope(shield=True, deadline=limit):
                    result: T = await self._loop.run_aio_coroutine(work)
                    return result
                raise _not_known()
            finally:
                self._places.release()

    # --- in asyncio's loop -------------------------------------------------------------------

    async def _run(
        self, body: Body[T], begin: Begin, queries: Mapping[str, str], clock: CatalogClock
    ) -> T:
        results: list[T] = []

        async def keeping(conn: Connection) -> None:
            results[:] = [await body(conn)]

        attempts = self._attempts()
        is_write = begin is not Begin.READ
        while True:
            session = await self._take(attempts)
            try:
                await session.transact(
                    keeping,
                    begin.value,
                    queries,
                    clock,
                    self.damage,
                    is_write=is_write,
                    stop_at=attempts.stop_at,
                )
                return results[0]
            except (*CONNECTION_ERRORS, UniqueViolation) as error:
                failure = error
            finally:
                self._put(session)
            if await self._after_failure(session, failure, attempts) is Verdict.COMMITTED:
                return results[0]

    async def _take(self, attempts: _Attempts) -> Session:
        """An idle connection, or a new one. Raises Unavailable."""
        while self._idle:
            session = self._idle.pop()
            if session.is_usable and self._loop.time() - session.used_at < _IDLE_SECONDS:
                return session
            session.end()
        while True:
            try:
                return await self.connect(attempts.stop_at - self._loop.time())
            except CONNECTION_ERRORS as error:
                self._note_away(error)
                now = self._loop.time()
                attempts.refused_since = attempts.refused_since or now
                give_up_at = min(attempts.stop_at, attempts.refused_since + PATIENCE_SECONDS)
                if now + _ASK_AGAIN_SECONDS >= give_up_at or not is_passing(error):
                    raise translated(error) from error
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def connect(self, seconds: float) -> Session:
        """A connection that nobody has used. Raises CONNECTION_ERRORS."""
        session = await open_session(self._address, seconds, self._settings)
        if self._is_away:
            self._is_away = False
            log.info("the database is back")
        return session

    async def _after_failure(
        self, session: Session, error: Exception, attempts: _Attempts
    ) -> Verdict:
        """ABORTED: nothing was changed, and it may run again. COMMITTED: it was done after all.
        Raises what whoever asked is told."""
        is_cut = session.raw.is_closed()
        if is_cut:
            # Those that were silent since then share its fate, most likely.
            self._forget_idle_since(attempts.began_at)
        if is_cut and session.is_committing:
            return await self._verdict(session.committing, attempts)
        if session.is_expired and session.has_begun:
            raise nothing_changed("the catalog took too long") from error
        if is_cut or is_stale(error):
            attempts.losses += 1
            if attempts.losses <= MAX_LOSSES:
                return Verdict.ABORTED
            raise translated(error) from error
        # A unique value that the body did not reckon with: somebody else has just added it.
        is_taken = isinstance(error, UniqueViolation)
        if is_conflict(error) or is_taken:
            attempts.conflicts += 1
            if attempts.conflicts <= (MAX_TAKEN if is_taken else MAX_CONFLICTS):
                pause = 0.005 * 2 ** min(attempts.conflicts, MAX_CONFLICTS)
                await asyncio.sleep(random.uniform(0, pause))
                return Verdict.ABORTED
            raise nothing_changed("too many want to change the same at once") from error
        if is_read_only(error):
            # Of several hosts another may be the primary by now.
            self._forget_idle_since(self._loop.time())
        raise translated(error) from error

    async def _verdict(self, transaction: TransactionId | None, attempts: _Attempts) -> Verdict:
        """Of a transaction whose commit was not answered."""
        if transaction is None:
            raise _not_known()
        self._unsettled.add(transaction)
        try:
            verdict = await self._ask(transaction, attempts)
        except Unavailable as error:
            raise _not_known(error.retry_after_seconds, error.reason) from error
        if verdict in (Verdict.COMMITTED, Verdict.ABORTED):
            return verdict
        raise _not_known()

    async def _ask(self, transaction: TransactionId, attempts: _Attempts) -> Verdict:
        session = await self._take(attempts)
        try:
            verdict = await ask_verdict(session, transaction, attempts.stop_at)
        except CONNECTION_ERRORS as error:
            raise translated(error) from error
        finally:
            self._put(session)
        if verdict is not Verdict.PENDING:
            self._unsettled.discard(transaction)
        return verdict

    async def _settle(self) -> None:
        attempts = self._attempts()
        for transaction in tuple(self._unsettled):
            if await self._ask(transaction, attempts) is Verdict.PENDING:
                raise Unavailable("it is not known yet what became of an earlier change")

    def _attempts(self) -> _Attempts:
        now = self._loop.time()
        return _Attempts(began_at=now, stop_at=now + self._deadline_seconds)

    def _forget_idle_since(self, moment: float) -> None:
        """End idle connections that have not been used since."""
        kept = [session for session in self._idle if session.used_at > moment]
        for session in self._idle:
            if session not in kept:
                session.end()
        self._idle = kept

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning("the database is away: %s", reason(error))

    def _put(self, session: Session) -> None:
        """Back for the next one, or away with it."""
        if session.is_usable:
            self._idle.append(session)
        else:
            session.end()

    # --- opening and closing -----------------------------------------------------------------

    async def prepare(self, migrations: Sequence[Migration], *, only_look: bool = False) -> int:
        """The first connection: check the server and bring the schema up to date; answers the
        version that the schema had. Raises StartupError."""
        version: int = await self._loop.run_aio_coroutine(
            self._prepare(migrations, only_look=only_look)
        )
        return version

    async def _prepare(self, migrations: Sequence[Migration], *, only_look: bool) -> int:
        shown = self._address.shown
        try:
            session = await self._first_session()
            try:
                self.version = check_server(session, shown)
                await self._refuse_shared(session)
                version = await schema_version(session)
                if not only_look:
                    for migration in await migrate(session, migrations, shown):
                        fields = {"version": migration.version, "migration": migration.name}
                        log.info("changed the database's schema", extra={"fields": fields})
                return version
            finally:
                self._put(session)
        except CONNECTION_ERRORS as error:
            raise startup_error(error, self._address) from error

    async def _refuse_shared(self, session: Session) -> None:
        try:
            other = await self.connect(START_SECONDS)
        except CONNECTION_ERRORS as error:
            log.debug("no second connection to compare with: %s", reason(error))
            return
        try:
            await refuse_shared(session, other, self._address.shown)
        finally:
            self._put(other)

    async def _first_session(self) -> Session:
        """A server that is starting is waited for; one that is not there is not."""
        give_up_at = self._loop.time() + START_SECONDS
        while True:
            try:
                return await self.connect(give_up_at - self._loop.time())
            except CONNECTION_ERRORS as error:
                if not is_starting(error) or self._loop.time() + _ASK_AGAIN_SECONDS > give_up_at:
                    raise
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def close(self) -> None:
        """Take leave of idle connections; a server that does not answer is left within 2 s."""
        with trio.CancelScope(shield=True):
            await self._loop.run_aio_coroutine(self._close())

    async def _close(self) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.close(_CLOSE_SECONDS) for session in idle))
