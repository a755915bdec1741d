"""The embedded analytics: a SQLite file of their own, apart from the catalog's, so that a
report never waits for a commit, nor holds one up. Opened by `open_backends` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from mediaconvert.backends.analytics.sql import SqlAnalytics, analytics_queries
from mediaconvert.backends.sql.driver import load_queries
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.sqlite import SqliteDriver, open_sqlite


@asynccontextmanager
async def open_sqlite_analytics(
    path: Path, *, deadline_seconds: float = 5.0
) -> AsyncIterator[SqlAnalytics]:
    """The store in one SQLite file, made where there is none. Raises StartupError."""
    async with open_analytics_driver(path, deadline_seconds=deadline_seconds) as driver:
        yield SqlAnalytics(driver)


@asynccontextmanager
async def open_analytics_driver(
    path: Path, *, deadline_seconds: float = 5.0
) -> AsyncIterator[SqliteDriver]:
    """The file itself, its schema brought up to date, with the queries of moving it as well."""
    here = files("mediaconvert.backends.analytics")
    migrations = load_migrations(here / "migrations", "sqlite")
    queries = {
        **analytics_queries("sqlite"),
        **load_queries(here / "transfer_queries", "sqlite"),
    }
    # Two readers: reports are rare, and each is one statement.
    async with open_sqlite(
        path, queries, migrations, readers=2, deadline_seconds=deadline_seconds
    ) as driver:
        await driver.check_queries()
        yield driver
