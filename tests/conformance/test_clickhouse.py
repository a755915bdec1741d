"""What only the ClickHouse store has: its tables, its tokens, its refusals. And what is asked of
the engine: that it recognises an insert by its token, whatever happened in between."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from mediaconvert.backends.analytics.clickhouse import (
    ClickHouseAnalytics,
    open_clickhouse_analytics,
)
from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.analytics.clickhouse_schema import document
from mediaconvert.errors import Unavailable
from mediaconvert.model import EventBatch, JobStatus, OutboxEvent
from tests.conformance.told import (
    ANN,
    MIDNIGHT_US,
    TABLES,
    batch_of,
    everything,
    facts_of,
    metrics,
)
from tests.recovery.worker_rig import until
from tests.servers.clickhouse import ClickHouse

MONTH_US = 31 * 86_400_000_000
LAST_MONTH_US = MIDNIGHT_US - 1


@pytest.fixture
def database(clickhouse: ClickHouse) -> Iterator[str]:
    """The name of one that does not exist yet."""
    with clickhouse.database() as name:
        yield name


def opened(server: ClickHouse, database: str) -> AbstractAsyncContextManager[ClickHouseAnalytics]:
    return open_clickhouse_analytics(parse_clickhouse_dsn(server.dsn(database)))


@pytest.fixture
async def store(clickhouse: ClickHouse, database: str) -> AsyncIterator[ClickHouseAnalytics]:
    async with opened(clickhouse, database) as store:
        yield store


def ids(server: ClickHouse, database: str) -> list[int]:
    """Of all tables' rows."""
    parts = " union all ".join(f"select event_id from {table}" for table in TABLES)
    found = server.execute(f"select event_id from ({parts}) order by event_id", database)
    return [int(line) for line in found.split()]


def months(server: ClickHouse, database: str) -> list[str]:
    found = server.execute(
        "select distinct partition from system.parts where active and table = 'job_metrics' "
        f"and database = '{database}' order by partition"
    )
    return found.split()


async def test_database_and_tables_are_made_at_the_first_call(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    assert await store.check() == f"ClickHouse {clickhouse.execute('select version()')}"
    found = clickhouse.execute("show tables", database).split()
    assert sorted(found) == sorted(TABLES)


async def test_rows_lie_in_the_month_of_their_creation(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    await store.record(batch_of(*everything(1, 1), *everything(4, 2, LAST_MONTH_US)))
    assert months(clickhouse, database) == ["202312", "202401"]


async def test_a_batch_of_which_only_one_month_arrived_is_completed(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    """An insert is not atomic over partitions: the server may die between two."""
    january, december = everything(1, 1), everything(4, 2, LAST_MONTH_US)
    await store.record(batch_of(*january, token="t"))
    await store.record(batch_of(*january, *december, token="t"))
    assert ids(clickhouse, database) == [1, 2, 3, 4, 5, 6]


async def test_a_batch_of_which_only_one_table_arrived_is_completed(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    whole = everything(1, 1)
    await store.record(batch_of(whole[0], token="t"))
    await store.record(batch_of(*whole, token="t"))
    assert ids(clickhouse, database) == [1, 2, 3]


async def test_a_batch_is_recognised_after_hundreds_of_others(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    """What a flusher may send that was stopped for minutes."""
    first = batch_of(*everything(1, 1))
    await store.record(first)
    for number in range(300):
        await store.record(batch_of(metrics(10 + number, facts_of(2, JobStatus.PENDING))))
    await store.record(first)
    assert ids(clickhouse, database)[:4] == [1, 2, 3, 10]


async def test_hundreds_of_months_and_any_value_can_be_told(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    """A clock may be far off, and a job may say anything: nothing may stop the outbox."""
    strange = replace(
        facts_of(1, JobStatus.FAILED, input_bytes=1 << 70, took_ms=-5000),
        error="half a pair \ud800, nothing \x00",
    )
    told = [metrics(1, strange)]
    for number in range(150):
        at_us = MIDNIGHT_US - number * MONTH_US
        told.append(metrics(2 + number, facts_of(2 + number, JobStatus.PENDING, created_us=at_us)))
    await _record_at_last(store, batch_of(*told))
    assert (await store.job_stats(ANN, -(1 << 62))).total_jobs == 151


async def _record_at_last(store: ClickHouseAnalytics, batch: EventBatch) -> None:
    """As the flusher does with a batch that a slow server has not answered in time."""

    async def is_recorded() -> bool:
        try:
            await store.record(batch)
        except Unavailable as error:
            assert not error.is_lasting
            return False
        return True

    await until(is_recorded)


async def test_an_unfit_number_from_another_version_does_not_stop_the_outbox(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    event = metrics(1, facts_of(1, JobStatus.COMPLETED))
    await store.record(batch_of(OutboxEvent(1, event.kind, {**event.payload, "new_field": 7})))
    assert ids(clickhouse, database) == [1]


async def test_tables_that_were_made_by_hand_are_used(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    run_document(clickhouse, database)
    await store.record(batch_of(*everything(1, 1)))
    assert ids(clickhouse, database) == [1, 2, 3]


def test_the_rules_of_retention_in_the_document_are_valid(
    clickhouse: ClickHouse, database: str
) -> None:
    run_document(clickhouse, database)
    for statement in commented_statements("alter table"):
        clickhouse.execute(statement.replace("mediaconvert.", f"{database}."))


def run_document(server: ClickHouse, database: str) -> None:
    """config/clickhouse.sql, with another database's name."""
    lines = [line for line in document().splitlines() if not line.startswith("--")]
    for statement in "\n".join(lines).split(";"):
        statement = statement.strip()
        if statement and not statement.startswith("use "):
            made = statement.replace("mediaconvert", database)
            server.execute(made, "default" if made.startswith("create database") else database)


def commented_statements(first_words: str) -> Sequence[str]:
    text = " ".join(
        line.removeprefix("--").strip() for line in document().splitlines() if line[:2] == "--"
    )
    found = [part.strip() for part in text.split(";")]
    return [part[part.index(first_words) :] for part in found if first_words in part]


async def test_a_database_that_was_dropped_is_made_again(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    await store.record(batch_of(*everything(1, 1)))
    clickhouse.execute(f"drop database {database}")
    with pytest.raises(Unavailable):
        await store.record(batch_of(*everything(4, 2)))
    await store.record(batch_of(*everything(4, 2)))
    assert ids(clickhouse, database) == [4, 5, 6]


async def test_somebody_elses_table_of_the_name_is_refused_with_a_sentence(
    clickhouse: ClickHouse, database: str, store: ClickHouseAnalytics
) -> None:
    clickhouse.execute(f"create database {database}")
    clickhouse.execute("create table job_metrics (x UInt8) engine = MergeTree order by x", database)
    with pytest.raises(Unavailable, match=r"column job_metrics\.event_id"):
        await store.check()


async def test_a_wrong_password_is_refused_with_a_sentence_that_does_not_show_it(
    servers_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ClickHouse(
        servers_folder / f"clickhouse-{secrets.token_hex(4)}", user="ann", password="p:ä/#?%"
    )
    server.process.start()
    try:
        async with opened(server, "d") as store:
            assert (await store.check()).startswith("ClickHouse ")
        right = parse_clickhouse_dsn(server.dsn("d"))
        async with open_clickhouse_analytics(replace(right, password="hunter2")) as store:
            with pytest.raises(Unavailable, match="refuses the user or the password") as refusal:
                await store.check()
    finally:
        server.process.stop()
    assert "hunter2" not in str(refusal.value)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_server_that_is_none_is_said_to_be_none(
    clickhouse: ClickHouse, postgres_port: int
) -> None:
    address = replace(parse_clickhouse_dsn(clickhouse.dsn("d")), port=postgres_port)
    async with open_clickhouse_analytics(address) as store:
        with pytest.raises(Unavailable, match=f"ClickHouse at 127.0.0.1:{postgres_port}/d cannot"):
            await store.check()


@pytest.fixture
def postgres_port(request: pytest.FixtureRequest) -> int:
    port: int = request.getfixturevalue("postgres").port
    return port
