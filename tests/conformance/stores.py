"""An analytics store to try things on, and a look at its tables past it.

One entry of STORES an implementation; every test of the suite runs on each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.ports.analytics import AnalyticsStore
from tests.cluster.agreement import SqliteTables, Tables


@dataclass(frozen=True)
class Place:
    store: AnalyticsStore
    tables: Tables


Fixtures = pytest.FixtureRequest


@asynccontextmanager
async def _sqlite(_request: Fixtures, folder: Path) -> AsyncIterator[Place]:
    path = folder / "analytics.sqlite"
    async with open_sqlite_analytics(path) as store:
        yield Place(store, SqliteTables(path))


STORES: Mapping[str, Callable[[Fixtures, Path], AbstractAsyncContextManager[Place]]] = {
    "sqlite": _sqlite,
}
