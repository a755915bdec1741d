"""Analytics in SQL tables, through any Driver: the store where there is no ClickHouse.

Fed from the outbox by the flusher, asked by the reports; never read by anything on a job's
path. Opened by `sqlite.py` on a file of its own; on PostgreSQL it stands on the catalog's own
driver, whose migrations hold its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from mediaconvert.backends.analytics import answers
from mediaconvert.backends.sql.driver import (
    Connection,
    Driver,
    Isolation,
    Param,
    Row,
    load_queries,
)
from mediaconvert.backends.sql.values import readable, record, text
from mediaconvert.errors import Unavailable
from mediaconvert.events import COLUMNS, JOB_METRICS, PIPELINE_EXECUTION, STATUS_HISTORY
from mediaconvert.model import EventBatch, OutboxEvent, UserId
from mediaconvert.ports.analytics import (
    JobPercentiles,
    JobStats,
    OperationStats,
    PipelineStats,
    TimelinePoint,
)

SPAN_US = {"hour": 3_600_000_000, "day": 86_400_000_000}
"""The timeline's intervals, in microseconds; days begin at midnight UTC."""

_RECORD = {
    JOB_METRICS: "metrics_record",
    STATUS_HISTORY: "history_record",
    PIPELINE_EXECUTION: "execution_record",
}
"""The query that records each kind; its parameters are the id and then COLUMNS[kind]."""


def analytics_queries(dialect: str) -> Mapping[str, str]:
    """The named queries of this store; the driver that it is given must have them."""
    return load_queries(files("mediaconvert.backends.analytics") / "queries", dialect)


class SqlAnalytics:
    """ports.analytics.AnalyticsStore."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def record(self, batch: EventBatch) -> None:
        """As the port says, by the events' ids. An event of a kind that this store has no table
        for is left out."""

        async def body(conn: Connection) -> None:
            for kind, query in _RECORD.items():
                rows = [_params(event) for event in batch.events if event.kind == kind]
                await conn.execute_many(query, rows)

        # Each row says itself what a row that is there already means.
        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def job_stats(self, user_id: UserId, since_us: int) -> JobStats:
        async def body(conn: Connection) -> JobStats:
            row = await conn.fetch_one("job_stats", user_id, since_us)
            return answers.job_stats(row)

        return await self._driver.read(body)

    async def job_percentiles(self, user_id: UserId, since_us: int) -> JobPercentiles:
        async def body(conn: Connection) -> JobPercentiles:
            row = await conn.fetch_one("job_percentiles", user_id, since_us)
            return JobPercentiles(
                completed_jobs=row["completed"],
                p50_ms=_percentile(row, 50, row["completed"]),
                p90_ms=_percentile(row, 90, row["completed"]),
                p95_ms=_percentile(row, 95, row["completed"]),
                p99_ms=_percentile(row, 99, row["completed"]),
            )

        return await self._driver.read(body)

    async def timeline(
        self, user_id: UserId, since_us: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """As the port says. Raises KeyError for an interval that is none."""
        span_us = SPAN_US[interval]

        async def body(conn: Connection) -> tuple[TimelinePoint, ...]:
            found = await conn.fetch("timeline", user_id, since_us, span_us)
            return tuple(answers.timeline_point(row) for row in found)

        return await self._driver.read(body)

    async def pipeline_stats(self, user_id: UserId, since_us: int) -> tuple[PipelineStats, ...]:
        async def body(conn: Connection) -> tuple[PipelineStats, ...]:
            found = await conn.fetch("pipeline_stats", user_id, since_us)
            return tuple(readable(conn, found, _pipeline_stats))

        return await self._driver.read(body)

    async def operation_stats(self, user_id: UserId, since_us: int) -> tuple[OperationStats, ...]:
        async def body(conn: Connection) -> tuple[OperationStats, ...]:
            found = await conn.fetch("operation_stats", user_id, since_us)
            return tuple(readable(conn, found, _operation_stats))

        return await self._driver.read(body)

    async def check(self) -> str:
        async def body(conn: Connection) -> None:
            await conn.fetch_row("reachable")

        await self._driver.read(body)
        if damage := self._driver.damage.report().file:
            raise Unavailable("the reports' database is damaged", reason=damage)
        return self._driver.version


@record("job_metrics", "pipeline_id")
def _pipeline_stats(row: Row) -> PipelineStats:
    return answers.pipeline_stats(row, text(row, "pipeline_name"))


def _operation_stats(row: Row) -> OperationStats:
    return answers.operation_stats(row, _percentile(row, 95, row["successes"]))


def _percentile(row: Row, percent: int, count: int) -> float:
    """From the two values around its place: `p95_low` and `p95_high`, which is the one after
    it, if there is one."""
    if count == 0:
        return 0.0
    low, high = row[f"p{percent}_low"], row[f"p{percent}_high"]
    share = (count - 1) * percent % 100 / 100
    return float(low) if high is None else low + (high - low) * share


def _params(event: OutboxEvent) -> tuple[Param, ...]:
    return (event.id, *(_param(event.payload.get(key)) for key in COLUMNS[event.kind]))


def _param(value: object) -> Param:
    # PostgreSQL takes no True for a number.
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, str | int | float | None) else str(value)
