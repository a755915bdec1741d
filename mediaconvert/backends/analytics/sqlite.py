"""The embedded analytics: a SQLite file of their own, apart from the catalog's, so that a
report never waits for a commit, nor holds one up. Opened by `open_backends` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from mediaconvert.backends.analytics.sql import SqlAnalytics, analytics_queries
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.sqlite import open_sqlite


@asynccontextmanager
async def open_sqlite_analytics(path: Path) -> AsyncIterator[SqlAnalytics]:
    """The store in one SQLite file, made where there is none. Raises StartupError."""
    folder = files("mediaconvert.backends.analytics") / "migrations"
    migrations = load_migrations(folder, "sqlite")
    # Two readers: reports are rare, and each is one statement.
    async with open_sqlite(path, analytics_queries("sqlite"), migrations, readers=2) as driver:
        yield SqlAnalytics(driver)
