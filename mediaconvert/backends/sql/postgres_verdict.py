"""What became of a transaction whose COMMIT was sent and not answered: the server knows.

A commit may still be on its way, or hang in the server, when its connection is long gone: then
the server process that would do it is ended first, so that the answer stays true. Called by
`postgres.py`, on another connection.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto

import asyncpg

from mediaconvert.backends.sql.postgres_session import HISTORY, Session, TransactionId


class Verdict(Enum):
    COMMITTED = auto()
    ABORTED = auto()
    PENDING = auto()
    """Not yet one or the other."""
    UNKNOWN = auto()
    """Nobody knows any more, and nothing will change: another server has taken over, or this
    one has crashed."""


_STATUS = f"select pg_xact_status(cast(cast($1 as text) as xid8)) as status, ({HISTORY}) as history"
# By the transaction too: the pid may be somebody else's by now.
_END = """select pg_terminate_backend(pid) from pg_stat_activity
where pid = $1 and backend_xid = cast(cast(cast($2 as text) as xid8) as xid)"""

_VERDICTS = {
    "committed": Verdict.COMMITTED,
    "aborted": Verdict.ABORTED,
    "in progress": Verdict.PENDING,
}
_ASK_AGAIN_SECONDS = 0.05


async def ask_verdict(session: Session, transaction: TransactionId, stop_at: float) -> Verdict:
    """PENDING only where `stop_at` (the loop's clock) came first. Raises what a lost connection
    raises."""
    loop = asyncio.get_running_loop()
    with session.cut_at(stop_at):
        while True:
            verdict = await _ask(session, transaction)
            if verdict is not Verdict.PENDING or loop.time() + _ASK_AGAIN_SECONDS >= stop_at:
                return verdict
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            await session.raw.execute(_END, transaction.backend, transaction.xid)


async def _ask(session: Session, transaction: TransactionId) -> Verdict:
    try:
        row = await session.raw.fetchrow(_STATUS, transaction.xid)
    except asyncpg.PostgresError:
        if session.raw.is_closed():
            raise
        # A replica, or a server that has not come so far: not the one that had it.
        return Verdict.UNKNOWN
    if row is None or row["history"] != transaction.history:
        return Verdict.UNKNOWN
    return _VERDICTS.get(row["status"], Verdict.UNKNOWN)
