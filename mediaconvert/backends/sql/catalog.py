"""The catalog on SQL, put together: one driver, one object a subject.

Called by `backends.open_backends` (and by tests); the only module that knows which files hold
the catalog's queries and its schema.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from mediaconvert.backends.analytics.sql import analytics_queries
from mediaconvert.backends.blob_identity import EmptyCatalog, Known
from mediaconvert.backends.sql.blobs import SqlBlobRecords
from mediaconvert.backends.sql.buckets import SqlBuckets
from mediaconvert.backends.sql.credentials import SqlCredentials
from mediaconvert.backends.sql.driver import Driver, load_queries
from mediaconvert.backends.sql.housekeeping import SqlHousekeeping
from mediaconvert.backends.sql.jobs import SqlJobs
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.objects import SqlObjects
from mediaconvert.backends.sql.outbox import SqlOutbox
from mediaconvert.backends.sql.pipelines import SqlPipelines
from mediaconvert.backends.sql.queue import SqlQueue
from mediaconvert.backends.sql.sqlite import SqliteDriver, open_sqlite
from mediaconvert.backends.sql.transfer import refuse_unfinished_move
from mediaconvert.backends.sql.uploads import SqlUploads
from mediaconvert.backends.sql.users import SqlUsers
from mediaconvert.ports.catalog import Catalog

if TYPE_CHECKING:
    from mediaconvert.backends.sql.postgres import PostgresDriver

_HERE = files("mediaconvert.backends.sql")


def sql_catalog(driver: Driver) -> Catalog:
    """The catalog over a driver whose schema is up to date."""
    return Catalog(
        users=SqlUsers(driver),
        credentials=SqlCredentials(driver),
        buckets=SqlBuckets(driver),
        objects=SqlObjects(driver),
        uploads=SqlUploads(driver),
        blobs=SqlBlobRecords(driver),
        pipelines=SqlPipelines(driver),
        jobs=SqlJobs(driver),
        queue=SqlQueue(driver),
        outbox=SqlOutbox(driver),
        housekeeping=SqlHousekeeping(driver),
    )


@asynccontextmanager
async def open_sqlite_catalog(
    path: Path, *, readers: int = 4, deadline_seconds: float = 5.0
) -> AsyncIterator[Catalog]:
    """The catalog in one SQLite file, made where there is none. The caller holds the data
    directory's lock (`lock.hold_lock`). Raises StartupError where the file cannot be used."""
    async with open_sqlite_driver(
        path, readers=readers, deadline_seconds=deadline_seconds
    ) as driver:
        yield sql_catalog(driver)


@asynccontextmanager
async def open_sqlite_driver(
    path: Path, *, readers: int = 4, deadline_seconds: float = 5.0
) -> AsyncIterator[SqliteDriver]:
    """The same file, as `open_postgres_driver` opens the other kind of database."""
    migrations = load_migrations(_HERE / "migrations", "sqlite")
    async with open_sqlite(
        path,
        _catalog_queries("sqlite"),
        migrations,
        readers=readers,
        deadline_seconds=deadline_seconds,
    ) as driver:
        await driver.check_queries()
        yield driver


def _catalog_queries(dialect: str) -> dict[str, str]:
    """Those of the catalog, and those that move it to another database."""
    return {
        **load_queries(_HERE / "queries", dialect),
        **load_queries(_HERE / "transfer_queries", dialect),
    }


@asynccontextmanager
async def open_postgres_driver(
    url: str, *, pool_size: int = 10, deadline_seconds: float = 5.0
) -> AsyncIterator[PostgresDriver]:
    """The database behind a libpq URI, with the catalog's queries and its schema brought up to
    date; what `sql_catalog` takes, and others that share the database. Raises StartupError
    where the URI is wrong, or the database cannot be reached or used."""
    # asyncpg and asyncio take a while to import: only where they are used.
    from mediaconvert.backends.sql.postgres import open_postgres
    from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri

    # Analytics without ClickHouse stand in the same database.
    queries = {**analytics_queries("postgres"), **_catalog_queries("postgres")}
    migrations = load_migrations(_HERE / "migrations", "postgres")
    address = parse_postgres_uri(url)
    async with open_postgres(
        address, queries, migrations, pool_size=pool_size, deadline_seconds=deadline_seconds
    ) as driver:
        yield driver


@asynccontextmanager
async def look_into_postgres_catalog(url: str) -> AsyncIterator[Known | None]:
    """What a catalog that is not changed knows of blobs: nothing where the database is empty. None
    where its schema waits for migrations. Raises StartupError as `open_postgres_driver`, and
    where a move into it is not finished."""
    from mediaconvert.backends.sql.postgres import look_into_postgres
    from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri

    migrations = load_migrations(_HERE / "migrations", "postgres")
    queries = _catalog_queries("postgres")
    async with look_into_postgres(parse_postgres_uri(url), queries, migrations) as looked:
        version, driver = looked
        if version == 0:
            yield EmptyCatalog()
        elif version < migrations[-1].version:
            yield None
        else:
            await refuse_unfinished_move(driver)
            yield SqlHousekeeping(driver)
