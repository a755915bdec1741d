"""Analytics in ClickHouse: the store of a service with many jobs.

Fed from the outbox by the flusher, asked by the reports; never on a job's path. A batch is one
insert a table, and carries the batch's token: the server drops an insert that it has had. That
the server is away, at start too, is an ordinary state. Opened by `open_backends`.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.httpclient import HttpClient
from urllib3.exceptions import HTTPError

from mediaconvert.backends.analytics import answers
from mediaconvert.backends.analytics.clickhouse_address import ClickHouseAddress
from mediaconvert.backends.analytics.clickhouse_link import ClickHouseLink
from mediaconvert.backends.analytics.clickhouse_schema import (
    TABLES,
    Types,
    prepare_schema,
    table_columns,
)
from mediaconvert.backends.analytics.sql import SPAN_US, analytics_queries
from mediaconvert.errors import Unavailable
from mediaconvert.model import EventBatch, OutboxEvent, UserId
from mediaconvert.ports.analytics import (
    JobPercentiles,
    JobStats,
    OperationStats,
    PipelineStats,
    TimelinePoint,
)

_REPORTS_AT_ONCE = 4
# One is sent at a time; a second thread is for what a silent server still holds.
_INSERTS_AT_ONCE = 2
# A user waits for a report; a batch is up to three inserts, and the flusher gives up before.
_REPORT_SECONDS = 12.0
_BATCH_SECONDS = 60.0
_REFUSAL_SECONDS = 90.0
"""A refused batch is tried again long before; else it has become another node's, or is gone."""
_NOT_WRITABLE = (
    *(TypeError, ValueError, AttributeError, ArithmeticError, LookupError),
    *(struct.error, DataError),
)
"""What clickhouse-connect raises for a value that a column's type has no form for."""

_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1

Cell = str | int | float | None
Row = Mapping[str, Any]


class ClickHouseAnalytics:
    """ports.analytics.AnalyticsStore. Made by `open_clickhouse_analytics`."""

    def __init__(self, address: ClickHouseAddress) -> None:
        self._database = address.database
        self._types: Types = {}
        self._queries = analytics_queries("clickhouse")
        self._refusal: Unavailable | None = None
        self._refusal_ends = 0.0
        self._inserts = ClickHouseLink(
            address, self._prepare, threads=_INSERTS_AT_ONCE, call_seconds=_BATCH_SECONDS
        )
        # Apart: a report never waits for an insert, nor holds one up.
        self._reports = ClickHouseLink(
            address, self._prepare, threads=_REPORTS_AT_ONCE, call_seconds=_REPORT_SECONDS
        )

    async def close(self) -> None:
        await self._inserts.close()
        await self._reports.close()

    async def record(self, batch: EventBatch) -> None:
        """As the port says. An event of a kind that this store has no table for is left out."""

        def work(client: HttpClient) -> None:
            for kind in TABLES:
                events = [event for event in batch.events if event.kind == kind]
                if events:
                    self._insert(client, kind, events, batch.token)

        try:
            await self._inserts.run(work)
        except Unavailable as error:
            if error.is_lasting:
                self._refusal = error
                self._refusal_ends = trio.current_time() + _REFUSAL_SECONDS
            raise
        self._refusal = None

    async def job_stats(self, user_id: UserId, since_us: int) -> JobStats:
        (row,) = await self._ask("job_stats", user_id, since_us)
        return answers.job_stats(row)

    async def job_percentiles(self, user_id: UserId, since_us: int) -> JobPercentiles:
        (row,) = await self._ask("job_percentiles", user_id, since_us)
        p50, p90, p95, p99 = row["percentiles"]
        return JobPercentiles(row["completed"], p50, p90, p95, p99)

    async def timeline(
        self, user_id: UserId, since_us: int, interval: str
    ) -> tuple[TimelinePoint, ...]:
        """As the port says. Raises KeyError for an interval that is none."""
        found = await self._ask("timeline", user_id, since_us, span_us=SPAN_US[interval])
        return tuple(answers.timeline_point(row) for row in found)

    async def pipeline_stats(self, user_id: UserId, since_us: int) -> tuple[PipelineStats, ...]:
        found = await self._ask("pipeline_stats", user_id, since_us)
        return tuple(answers.pipeline_stats(row, row["name"]) for row in found)

    async def operation_stats(self, user_id: UserId, since_us: int) -> tuple[OperationStats, ...]:
        found = await self._ask("operation_stats", user_id, since_us)
        return tuple(answers.operation_stats(row, row["p95_ms"]) for row in found)

    async def check(self) -> str:
        version = await self._reports.run(lambda client: client.command(self._queries["version"]))
        if self._refusal is not None and trio.current_time() < self._refusal_ends:
            raise Unavailable(f"events are not taken: {self._refusal}", is_lasting=True)
        return f"ClickHouse {version}"

    def _prepare(self, client: HttpClient) -> None:
        self._types = prepare_schema(client, self._database)

    def _insert(
        self, client: HttpClient, kind: str, events: Sequence[OutboxEvent], token: str
    ) -> None:
        table, columns = TABLES[kind], table_columns(kind)
        ids: list[Cell] = [event.id for event in events]
        values = [[_cell(event.payload.get(name)) for event in events] for name in columns[1:]]
        context = client.create_insert_context(
            table,
            column_names=columns,
            column_type_names=[self._types[table][name] for name in columns],
            column_oriented=True,
            settings={
                "insert_deduplication_token": token,
                # Collected by the server, inserts would lose their tokens.
                "async_insert": 0,
                # A clock that was far off for a while must not stop the outbox.
                "max_partitions_per_insert_block": 0,
                # The status line is written when it is known how it went.
                "wait_end_of_query": 1,
            },
        )
        try:
            client.insert(data=[ids, *values], context=context)
        except _NOT_WRITABLE as error:
            raise _misfit(table) from error
        except (ClickHouseError, HTTPError, OSError) as error:
            if context.insert_exception is None:
                raise
            # The same, where the connection broke before the server could answer.
            raise _misfit(table) from error

    async def _ask(self, query: str, user_id: UserId, since_us: int, **more: int) -> Sequence[Row]:
        parameters = {"user_id": user_id, "since_us": since_us, **more}

        def work(client: HttpClient) -> Sequence[Row]:
            return list(client.query(self._queries[query], parameters).named_results())

        return await self._reports.run(work)


def _misfit(table: str) -> Unavailable:
    # Without what tripped: it names the value.
    return Unavailable(
        f"a column of ClickHouse's table '{table}' has a type that does not take its values; "
        "give it the type that config/clickhouse.sql says",
        is_lasting=True,
    )


def _cell(value: object) -> Cell:
    """What every column of its type takes: nothing that a job may say of itself may stop the
    outbox."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return max(_LEAST, min(_GREATEST, value))
    if isinstance(value, float) or value is None:
        return value
    return str(value).encode("utf-8", "replace").decode("utf-8")


@asynccontextmanager
async def open_clickhouse_analytics(
    address: ClickHouseAddress,
) -> AsyncIterator[ClickHouseAnalytics]:
    """Does not wait for the server: it is looked for at the first call."""
    store = ClickHouseAnalytics(address)
    try:
        yield store
    finally:
        await store.close()
