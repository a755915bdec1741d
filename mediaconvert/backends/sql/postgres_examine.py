"""A look at PostgreSQL that changes nothing: version, and what the next start would migrate.

For `mediaconvert doctor`. One connection, no lock, no table made.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.migrations import Migration, load_migrations, pending
from mediaconvert.backends.sql.postgres_errors import CONNECTION_ERRORS, startup_error
from mediaconvert.backends.sql.postgres_schema import check_server, schema_version
from mediaconvert.backends.sql.postgres_session import open_session
from mediaconvert.backends.sql.postgres_uri import PostgresAddress, parse_postgres_uri

CONNECT_SECONDS = 10.0


async def examine_postgres(url: str) -> str:
    """Raises StartupError with the sentence that a start would give."""
    address = parse_postgres_uri(url)
    migrations = load_migrations(files("mediaconvert.backends.sql") / "migrations", "postgres")
    async with open_asyncio_loop() as loop:
        found: str = await loop.run_aio_coroutine(_look(address, migrations))
        return found


async def _look(address: PostgresAddress, migrations: Sequence[Migration]) -> str:
    where = f"the database {address.shown}"
    try:
        session = await open_session(address, CONNECT_SECONDS)
    except CONNECTION_ERRORS as error:
        raise startup_error(error, address) from error
    try:
        server = check_server(session, address.shown)
        applied = await schema_version(session)
    except CONNECTION_ERRORS as error:
        raise startup_error(error, address) from error
    finally:
        session.end()
    waiting = len(pending(migrations, applied, where))
    if not applied:
        return f"{server}  empty; the first start makes its tables"
    note = f"; the next start applies {waiting} migrations" if waiting else ""
    return f"{server}  schema version {applied}{note}"
