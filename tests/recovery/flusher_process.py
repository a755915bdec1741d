"""A flusher as a process of its own, which `test_flushers.py` starts, stops and kills."""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack

import trio

from mediaconvert.analytics.flusher import Flusher
from mediaconvert.backends.analytics.clickhouse import open_clickhouse_analytics
from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.analytics.sql import SqlAnalytics
from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.settings import AnalyticsSettings


async def flush(database_url: str, clickhouse_dsn: str, lease_seconds: float) -> None:
    """Until the process is killed; without ClickHouse, into the catalog's database."""
    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(open_postgres_driver(database_url, pool_size=2))
        store: AnalyticsStore = SqlAnalytics(driver)
        if clickhouse_dsn:
            address = parse_clickhouse_dsn(clickhouse_dsn)
            store = await stack.enter_async_context(open_clickhouse_analytics(address))
        settings = AnalyticsSettings(flush_seconds=0.05)
        outbox = sql_catalog(driver).outbox
        print("ready", flush=True)
        await Flusher(outbox, store, settings, lease_seconds=lease_seconds).run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--clickhouse-dsn", default="")
    parser.add_argument("--lease-seconds", type=float, required=True)
    options = parser.parse_args()
    trio.run(flush, options.database_url, options.clickhouse_dsn, options.lease_seconds)


if __name__ == "__main__":
    main()
