"""The server and the schema, at the start of a process: is it fit, and is it up to date?

Migrations are applied one a transaction, under a lock that all processes of the installation
take, so that of those that start at once one applies them and the others find them done. Called
when PostgreSQL is opened, and by `mediaconvert migrate`.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from mediaconvert.backends.sql.migrations import Migration, pending
from mediaconvert.backends.sql.postgres_errors import SHARED
from mediaconvert.backends.sql.postgres_session import Session, transaction_timeout
from mediaconvert.errors import StartupError

OLDEST = 15
"""The oldest PostgreSQL that is still looked after by its makers and that we have what we use."""

# Any number that no other program on the same database uses: "mediacnv".
_LOCK = 0x6D65646961636E76
# Another process may be changing tables with many rows.
_LOCK_WAIT = "10min"

_TABLE = """create table if not exists schema_migrations (
  version bigint primary key, name text collate "C" not null)"""
_NEWEST = "select coalesce(max(version), 0) from schema_migrations"
_NOTE = "insert into schema_migrations (version, name) values ($1, $2)"


def check_server(session: Session, shown: str) -> str:
    """The server's version, for people. Raises StartupError where it does not do."""
    version = session.raw.get_server_version()
    text = f"PostgreSQL {version.major}.{version.micro}"
    encoding: str = session.raw.get_settings().server_encoding
    refuse_unfit(f"the database {shown}", version.major, text, encoding)
    return text


def refuse_unfit(where: str, major: int, text: str, encoding: str) -> None:
    """Raises StartupError for a server that is too old (`text` is its version in words) or a
    database whose text is not UTF-8."""
    if major < OLDEST:
        raise StartupError(f"{where} is {text}; {OLDEST} or newer is needed: upgrade the server")
    if encoding != "UTF8":
        raise StartupError(
            f"{where} stores text as {encoding}; make one with "
            "createdb --encoding=UTF8 --template=template0"
        )


async def refuse_shared(one: Session, other: Session, shown: str) -> None:
    """Raises StartupError where two connections reach the same server process: a pooler lends
    it to one transaction after the other. Prepared statements, settings of a connection and
    the question what became of a commit would meet another's."""
    first, second = [
        await session.raw.fetchval("select pg_backend_pid()") for session in (one, other)
    ]
    if first == second:
        raise StartupError(f"the database {shown} {SHARED}")


async def schema_version(session: Session) -> int:
    """0 for an empty database. Takes no lock."""
    if await session.raw.fetchval("select to_regclass('schema_migrations')") is None:
        return 0
    return int(await session.raw.fetchval(_NEWEST))


async def migrate(
    session: Session, migrations: Sequence[Migration], shown: str
) -> tuple[Migration, ...]:
    """Bring the schema up to date; answers what was applied here. Raises StartupError for a
    schema that is newer than the program, or that the user may not change."""
    where = f"the database {shown}"
    if not pending(migrations, await schema_version(session), where):
        return ()
    applied: list[Migration] = []
    try:
        while True:
            migration = await _apply_next(session, migrations, where)
            if migration is None:
                return tuple(applied)
            applied.append(migration)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"{where} does not let this user change its tables ({error}); make the user its "
            "owner, or run `mediaconvert migrate` once as one who is"
        ) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise StartupError(
            f"{where} is a read-only replica; name the primary in DATABASE_URL, or several hosts "
            "with target_session_attrs=read-write"
        ) from error
    except asyncpg.LockNotAvailableError as error:
        raise StartupError(
            f"{where} is being changed by another process for more than {_LOCK_WAIT}; wait for "
            "it to end, then start again"
        ) from error


async def _apply_next(
    session: Session, migrations: Sequence[Migration], where: str
) -> Migration | None:
    async with session.raw.transaction():
        await session.raw.execute(
            f"set local lock_timeout = '{_LOCK_WAIT}'; set local statement_timeout = 0"
            f"; {transaction_timeout(0, is_local=True)}"
        )
        # With the transaction it goes, however that ends.
        await session.raw.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await session.raw.execute(_TABLE)
        left = pending(migrations, int(await session.raw.fetchval(_NEWEST)), where)
        if not left:
            return None
        migration = left[0]
        try:
            for statement in migration.statements:
                await session.raw.execute(statement)
        except (asyncpg.SyntaxOrAccessError, asyncpg.IntegrityConstraintViolationError) as error:
            if isinstance(error, asyncpg.InsufficientPrivilegeError):
                raise
            raise StartupError(
                f"{where} does not take the migration {migration.version:04}_{migration.name}: "
                f"{error}; nothing of it was changed"
            ) from error
        await session.raw.execute(_NOTE, migration.version, migration.name)
        return migration
