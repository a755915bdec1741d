"""ClickHouse dead, silent, full, read-only and back: jobs notice nothing, and in the end the
analytics agree with the catalog to the row."""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from mediaconvert.analytics.flusher import Flusher
from mediaconvert.backends.analytics.clickhouse import (
    ClickHouseAnalytics,
    open_clickhouse_analytics,
)
from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.errors import Unavailable
from mediaconvert.events import STATUS_HISTORY
from mediaconvert.metrics import Metrics
from mediaconvert.model import UserId
from mediaconvert.settings import AnalyticsSettings
from tests.cluster.agreement import ClickHouseTables, SqliteTables, disagreements
from tests.conformance.told import batch_of, everything
from tests.recovery.analytics_rig import Work, begin, until
from tests.servers.clickhouse import ClickHouse
from tests.servers.proxy import open_proxy

WAIT = "analytics events wait"
AGAIN = "analytics events are being sent again"
REFUSED = "is refused, and all events wait behind it"
SETTINGS = AnalyticsSettings(flush_seconds=0.05)


@pytest.fixture
def server(servers_folder: Path) -> Iterator[ClickHouse]:
    """One of its own that a test may break, not started yet."""
    server = ClickHouse(servers_folder / f"clickhouse-{secrets.token_hex(4)}")
    yield server
    server.process.stop()


@dataclass
class Service:
    """What of the service has to do with analytics, on one machine."""

    work: Work
    store: ClickHouseAnalytics
    server: ClickHouse
    folder: Path
    metrics: Metrics

    async def agrees(self) -> None:
        await self.work.all_told()
        catalog = SqliteTables(self.folder / "catalog.db")
        assert disagreements(catalog, ClickHouseTables(self.server, "reports")) == []


@asynccontextmanager
async def service(
    folder: Path,
    server: ClickHouse,
    *,
    port: int | None = None,
    settings: AnalyticsSettings = SETTINGS,
) -> AsyncIterator[Service]:
    """Flushing until the block ends; through a proxy's port, if one is given."""
    address = parse_clickhouse_dsn(server.dsn("reports", port=port))
    async with (
        open_sqlite_catalog(folder / "catalog.db", deadline_seconds=60.0) as catalog,
        open_clickhouse_analytics(address) as store,
        trio.open_nursery() as nursery,
    ):
        flusher = Flusher(catalog.outbox, store, settings, is_alone=True)
        metrics = Metrics()
        flusher.observe(metrics.events_dropped)
        nursery.start_soon(flusher.run)
        yield Service(await begin(catalog), store, server, folder, metrics)
        nursery.cancel_scope.cancel()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(": ")[0] for record in caplog.records]


async def complains(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Once there is a warning with these words."""

    async def is_there() -> bool:
        told = [r.getMessage() for r in caplog.records]
        return any(each.startswith(WAIT) and words in each for each in told)

    await until(is_there)


async def is_said_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    """Every outage once, and in the end that it is over. Where the machine pauses for longer
    than an answer may take, that is an outage as well."""

    async def is_over() -> bool:
        return said(caplog)[-1:] == [AGAIN]

    await until(is_over)
    outages = said(caplog).count(WAIT)
    assert said(caplog) == [WAIT, AGAIN] * outages


async def test_absent_at_the_start_it_is_waited_for_and_then_has_everything(
    tmp_path: Path, server: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert")
    async with service(tmp_path, server) as running:
        # Also when nothing waits yet.
        await complains(caplog, "Connection refused")
        await running.work.jobs(3)
        with pytest.raises(Unavailable, match="Connection refused"):
            await running.store.check()
        assert said(caplog) == [WAIT]
        server.process.start()
        await running.agrees()
        await is_said_in_turn(caplog)


async def test_it_heals_without_any_event_to_send(
    tmp_path: Path, server: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert")
    async with service(tmp_path, server):
        await complains(caplog, "Connection refused")
        server.process.start()
        await is_said_in_turn(caplog)
    assert server.execute("show tables", "reports").count("\n") == 2


async def test_killed_in_the_midst_of_inserts_it_loses_nothing_and_doubles_nothing(
    tmp_path: Path, server: ClickHouse
) -> None:
    server.process.start()
    async with service(tmp_path, server) as running:
        for _ in range(4):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(running.work.jobs, 12)
                await until(lambda: _has_rows(running))
                server.process.kill()
            server.process.start()
        await running.agrees()


async def _has_rows(running: Service) -> bool:
    with contextlib.suppress(Unavailable):
        return (await running.store.job_stats(running.work.user_id, 0)).total_jobs > 0
    return False


async def test_suspended_it_holds_up_no_job(tmp_path: Path, server: ClickHouse) -> None:
    server.process.start()
    async with service(tmp_path, server) as running:
        await running.work.jobs(2)
        await running.work.all_told()
        server.process.suspend()
        try:
            # Each is ended by the catalog before the next begins.
            await running.work.jobs(20)
            assert await running.work.waiting() >= 20 * 7
        finally:
            server.process.resume()
        await running.agrees()


async def test_behind_a_silent_network_it_holds_up_no_job(
    tmp_path: Path, server: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    server.process.start()
    with open_proxy(server.port) as proxy:
        async with service(tmp_path, server, port=proxy.port) as running:
            await running.work.jobs(2)
            await running.work.all_told()
            proxy.silence()
            await running.work.jobs(20)
            await complains(caplog, "no answer within")
            proxy.open()
            await running.agrees()


async def test_an_insert_whose_answer_is_lost_is_not_stored_twice(
    tmp_path: Path, server: ClickHouse
) -> None:
    server.process.start()
    with open_proxy(server.port) as proxy:
        async with service(tmp_path, server, port=proxy.port) as running:
            await running.work.jobs(1)
            await running.work.all_told()
            for answered_bytes in (0, 0, 100, 300, 0, 200, 0, 400):
                proxy.cut_after(answered_bytes)
                await running.work.jobs(3)
                await running.work.all_told()
            await running.agrees()


async def test_reports_of_a_silent_server_are_refused_together_and_not_one_after_another() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        async with open_clickhouse_analytics(parse_clickhouse_dsn(f"127.0.0.1:{port}")) as store:
            refusals: list[Unavailable] = []

            async def ask() -> None:
                with pytest.raises(Unavailable, match="no answer within") as refused:
                    await store.job_stats(UserId(1), 0)
                refusals.append(refused.value)

            # One answer's time is 10 s; one after another they would take two minutes.
            with trio.fail_after(60):
                for _ in range(2):
                    async with trio.open_nursery() as nursery:
                        for _ in range(6):
                            nursery.start_soon(ask)
    assert len(refusals) == 12
    assert all(refusal.retry_after_seconds > 0 for refusal in refusals)


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("min_free_disk_bytes_to_perform_insert", 10**18, "its disk is full"),
        ("table_readonly", 1, "a table of the analytics is read-only"),
    ],
)
async def test_full_or_read_only_it_holds_up_no_job_and_says_so_once(
    tmp_path: Path,
    server: ClickHouse,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    value: int,
    sentence: str,
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert")
    server.process.start()
    async with service(tmp_path, server) as running:
        await running.work.jobs(2)
        await running.work.all_told()
        # One of the three tables: what the others have had must not be doubled.
        table = "job_status_history_analytics"
        server.execute(f"alter table {table} modify setting {setting} = {value}", "reports")
        await running.work.jobs(10)
        await complains(caplog, sentence)
        assert await running.work.waiting() > 0
        server.execute(f"alter table {table} reset setting {setting}", "reports")
        await running.agrees()
        await is_said_in_turn(caplog)


@pytest.mark.parametrize(
    ("break_it", "mend_it", "sentence"),
    [
        ("rename column to_status to gone", "rename column gone to to_status", "to_status"),
        (
            "modify column to_status UInt8",
            "modify column to_status LowCardinality(String)",
            "to_status|a type that does not take",
        ),
        ("add constraint c check job_id < 0", "drop constraint c", "is violated"),
    ],
)
async def test_a_batch_that_is_refused_is_an_error_in_the_log_and_in_readiness_until_it_is_mended(
    tmp_path: Path,
    server: ClickHouse,
    caplog: pytest.LogCaptureFixture,
    break_it: str,
    mend_it: str,
    sentence: str,
) -> None:
    server.process.start()
    async with service(tmp_path, server) as running:
        await running.work.all_told()
        await running.store.check()
        table = "job_status_history_analytics"
        server.execute(f"alter table {table} {break_it}", "reports")
        await running.work.jobs(3)

        async def is_refused() -> bool:
            try:
                await running.store.check()
            except Unavailable as error:
                return error.is_lasting and re.search(sentence, str(error)) is not None
            return False

        await until(is_refused)
        await until(lambda: _is_tried_again(running))
        assert await running.work.waiting() > 0
        server.execute(f"alter table {table} {mend_it}", "reports")
        await running.agrees()
        await running.store.check()
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    # Once, however often it was tried.
    assert len(errors) == 1 and REFUSED in errors[0]
    assert not any(word in caplog.text for word in ("'pending'", "'completed'", "job_id ="))


async def _is_tried_again(running: Service) -> bool:
    """By a program that has just been started: it knows nothing of the refusal."""
    told = everything(10**6, 10**6)
    async with open_clickhouse_analytics(parse_clickhouse_dsn(running.server.dsn("reports"))) as s:
        with pytest.raises(Unavailable) as refused:
            await s.record(batch_of(*(e for e in told if e.kind == STATUS_HISTORY)))
    return refused.value.is_lasting


async def test_beyond_the_limit_the_oldest_events_are_dropped_and_counted(
    tmp_path: Path, server: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(SETTINGS, max_waiting_events=40)
    async with service(tmp_path, server, settings=settings) as running:
        await running.work.jobs(30)

        async def is_trimmed_and_counted() -> bool:
            text = running.metrics.render(None).decode()
            dropped = text.partition("\nmediaconvert_analytics_events_dropped_total ")[2]
            is_counted = float(dropped.split()[0]) >= 30 * 7 - 40
            return is_counted and await running.work.waiting() <= 40

        await until(is_trimmed_and_counted)
        assert "of the oldest analytics events were dropped" in caplog.text
        server.process.start()
        await running.work.all_told()
        # The newest are there: the last job's end, whatever was lost before it.
        stats = await running.store.job_stats(running.work.user_id, 0)
        assert 0 < stats.total_jobs < 30


async def test_what_waits_up_to_the_limit_is_all_kept(tmp_path: Path, server: ClickHouse) -> None:
    async with service(
        tmp_path, server, settings=replace(SETTINGS, max_waiting_events=500)
    ) as running:
        await running.work.jobs(50)
        assert 350 < await running.work.waiting() <= 500
        server.process.start()
        await running.agrees()
