"""Several processes that flush one outbox, killed and stopped at random: every event reaches
the store, once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from tests.cluster.agreement import ClickHouseTables, PostgresTables, Tables, disagreements
from tests.program import ROOT, clean_environment
from tests.recovery.analytics_rig import begin
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Databases

LEASE_SECONDS = 2.0
ROUNDS = 6


class FlusherProcess:
    """One that flushes from when it is made until it is killed."""

    def __init__(self, database_url: str, clickhouse_dsn: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.recovery.flusher_process"),
                *("--database-url", database_url, "--clickhouse-dsn", clickhouse_dsn),
                *("--lease-seconds", str(LEASE_SECONDS)),
            ],
            env=clean_environment(PYTHONPATH=str(ROOT)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def flushers(count: int, database_url: str, dsn: str) -> Iterator[list[FlusherProcess]]:
    running: list[FlusherProcess] = []
    try:
        for _ in range(count):
            running.append(FlusherProcess(database_url, dsn))
        yield running
    finally:
        for each in running:
            each.kill()


@pytest.mark.parametrize("kind", ["clickhouse", "postgres"])
async def test_flushers_killed_and_stopped_at_random_lose_nothing_and_double_nothing(
    databases: Databases, catalog_template: str, clickhouse: ClickHouse, kind: str
) -> None:
    dice = random.Random(11)
    with databases.database(catalog_template) as url, clickhouse.database() as name:
        dsn = clickhouse.dsn(name) if kind == "clickhouse" else ""
        with flushers(3, url, dsn) as running:
            async with open_postgres_driver(url, deadline_seconds=60.0) as driver:
                work = await begin(sql_catalog(driver))
                for _ in range(ROUNDS):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(work.jobs, 8)
                        for _ in range(dice.randrange(400)):
                            await trio.lowlevel.checkpoint()
                        # All of them, so that one of them had the batch, if there was one.
                        for victim in list(running):
                            if dice.random() < 0.5:
                                running.remove(victim)
                                victim.kill()
                            else:
                                victim.stop()
                        stopped = list(running)
                        running.append(await trio.to_thread.run_sync(FlusherProcess, url, dsn))
                    # Whatever the stopped and the dead ones held, the new one takes over.
                    await work.all_told()
                    for each in stopped:
                        each.go_on()
                    while len(running) < 3:
                        running.append(await trio.to_thread.run_sync(FlusherProcess, url, dsn))
                # What those that went on still send changes nothing.
                await work.jobs(1)
                await work.all_told()
                catalog = PostgresTables(databases, url)
                analytics: Tables = ClickHouseTables(clickhouse, name) if dsn else catalog
                assert disagreements(catalog, analytics) == []
