"""Analytics in a SQLite file of their own: the embedded store behind the three reports.

Fed from the outbox by the flusher, asked by the reports; never read by anything on a job's
path. A file apart from the catalog, so that a report never waits for a commit, nor holds one up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from mediaconvert.backends.sql.driver import Connection, Driver, Param, Row, load_queries
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.sqlite import open_sqlite
from mediaconvert.events import COLUMNS, JOB_METRICS, PIPELINE_EXECUTION, STATUS_HISTORY
from mediaconvert.model import OutboxEvent, UserId
from mediaconvert.ports.analytics import JobStats, PipelineStats, TimelinePoint

_HERE = files("mediaconvert.backends.analytics")

SPAN_US = {"hour": 3_600_000_000, "day": 86_400_000_000}
"""The timeline's intervals, in microseconds; days begin at midnight UTC."""

_RECORD = {
    JOB_METRICS: "metrics_record",
    STATUS_HISTORY: "history_record",
    PIPELINE_EXECUTION: "execution_record",
}
"""The query that records each kind; its parameters are the id and then COLUMNS[kind]."""


class SqliteAnalytics:
    """ports.analytics.AnalyticsStore."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def record(self, events: Sequence[OutboxEvent]) -> None:
        """As the port says. An event of a kind that this store has no table for is left out."""

        async def body(conn: Connection) -> None:
            for kind, query in _RECORD.items():
                batch = [_params(event) for event in events if event.kind == kind]
                await conn.execute_many(query, batch)

        await self._driver.write(body)

    async def job_stats(self, user_id: UserId, since_us: int) -> JobStats:
        async def body(conn: Connection) -> JobStats:
            row = await conn.fetch_one("job_stats", user_id, since_us)
            return JobStats(
                total_jobs=row["total"],
                completed_jobs=row["completed"],
                failed_jobs=row["failed"],
                pending_jobs=row["pending"],
                processing_jobs=row["processing"],
                success_rate=_success_rate(row),
                avg_processing_time_ms=row["avg_ms"],
                total_data_processed_bytes=row["processed_bytes"],
            )

        return await self._driver.read(body)

    async def timeline(
        self, user_id: UserId, since_us: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """As the port says. Raises KeyError for an interval that is none."""
        span_us = SPAN_US[interval]

        async def body(conn: Connection) -> tuple[TimelinePoint, ...]:
            return tuple(
                TimelinePoint(row["time"], row["total"], row["avg_ms"], _success_rate(row))
                for row in await conn.fetch("timeline", user_id, since_us, span_us)
            )

        return await self._driver.read(body)

    async def pipeline_stats(self, user_id: UserId, since_us: int) -> tuple[PipelineStats, ...]:
        async def body(conn: Connection) -> tuple[PipelineStats, ...]:
            return tuple(
                PipelineStats(
                    pipeline_id=row["pipeline_id"],
                    pipeline_name=row["pipeline_name"],
                    total_jobs=row["total"],
                    successful_jobs=row["completed"],
                    failed_jobs=row["failed"],
                    success_rate=_success_rate(row),
                    avg_processing_time_ms=row["avg_ms"],
                )
                for row in await conn.fetch("pipeline_stats", user_id, since_us)
            )

        return await self._driver.read(body)

    async def check(self) -> str:
        async def body(conn: Connection) -> None:
            await conn.fetch_row("reachable")

        await self._driver.read(body)
        return self._driver.version


def _params(event: OutboxEvent) -> tuple[Param, ...]:
    return (event.id, *(_param(event.payload.get(key)) for key in COLUMNS[event.kind]))


def _param(value: object) -> Param:
    return value if isinstance(value, str | int | float | None) else str(value)


def _success_rate(row: Row) -> float:
    """Percent of the jobs that came to an end of their own."""
    ended = row["completed"] + row["failed"]
    return 100.0 * row["completed"] / ended if ended else 0.0


@asynccontextmanager
async def open_sqlite_analytics(path: Path) -> AsyncIterator[SqliteAnalytics]:
    """The store in one SQLite file, made where there is none. Raises StartupError."""
    queries = load_queries(_HERE / "queries", "sqlite")
    migrations = load_migrations(_HERE / "migrations", "sqlite")
    # Two readers: reports are rare, and each is one statement.
    async with open_sqlite(path, queries, migrations, readers=2) as driver:
        yield SqliteAnalytics(driver)
