"""An analytics store to try things on, and a look at its tables past it.

One entry of STORES an implementation; every test of the suite runs on each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediaconvert.backends.analytics.clickhouse import open_clickhouse_analytics
from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.analytics.sql import SqlAnalytics
from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.backends.sql.catalog import open_postgres_driver
from mediaconvert.ports.analytics import AnalyticsStore
from tests.cluster.agreement import ClickHouseTables, PostgresTables, SqliteTables, Tables
from tests.conformance.worlds import PATIENCE_SECONDS
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Databases


@dataclass(frozen=True)
class Place:
    store: AnalyticsStore
    tables: Tables


Fixtures = pytest.FixtureRequest


@asynccontextmanager
async def _sqlite(_request: Fixtures, folder: Path) -> AsyncIterator[Place]:
    path = folder / "analytics.sqlite"
    async with open_sqlite_analytics(path, deadline_seconds=PATIENCE_SECONDS) as store:
        yield Place(store, SqliteTables(path))


@asynccontextmanager
async def _postgres(request: Fixtures, _folder: Path) -> AsyncIterator[Place]:
    server: Databases = request.getfixturevalue("databases")
    template: str = request.getfixturevalue("catalog_template")
    with server.database(template) as url:
        async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as driver:
            yield Place(SqlAnalytics(driver), PostgresTables(server, url))


@asynccontextmanager
async def _clickhouse(request: Fixtures, _folder: Path) -> AsyncIterator[Place]:
    server: ClickHouse = request.getfixturevalue("clickhouse")
    with server.database() as name:
        address = parse_clickhouse_dsn(server.dsn(name))
        async with open_clickhouse_analytics(address) as store:
            # As the flusher does first of all; it makes the tables.
            await store.check()
            yield Place(store, ClickHouseTables(server, name))


STORES: Mapping[str, Callable[[Fixtures, Path], AbstractAsyncContextManager[Place]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "clickhouse": _clickhouse,
}
