"""open_backends(): the only place that decides which backend stands behind each seam.

Opened first and closed last. Each of the four is chosen by its own setting; a driver is
imported only where it is used. With an embedded catalog the data directory's lock is held, so
that it has one process and no other can take its jobs for dead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio

from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.analytics.sql import SqlAnalytics
from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.backends.blob_identity import (
    installation_id,
    verify_blob_store,
    verify_embedded_store,
)
from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.backends.notices.redis_address import parse_address
from mediaconvert.backends.schema import look_at_schemas
from mediaconvert.backends.sql.catalog import (
    open_postgres_driver,
    open_sqlite_driver,
    sql_catalog,
)
from mediaconvert.backends.sql.driver import Driver
from mediaconvert.backends.sql.lock import hold_lock
from mediaconvert.backends.sql.transfer import refuse_unfinished_move
from mediaconvert.errors import StartupError, Unavailable
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.backends import Backends
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.settings import Settings

log = logging.getLogger("mediaconvert.backends")


@dataclass(frozen=True, slots=True)
class _Database:
    """The opened catalog, and what else shares its database."""

    catalog: Catalog
    is_embedded: bool
    driver: Driver
    """A server's database has the analytics' tables as well."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What holds an installation's content, for `moving`: the catalog as tables."""

    driver: Driver
    blobs: BlobStore
    analytics: AnalyticsStore


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Raises StartupError when a part cannot be opened, with what to do."""
    async with AsyncExitStack() as stack:
        database = await _open_database(stack, settings)
        await refuse_unfinished_move(database.driver)
        analytics = await _open_analytics(stack, settings, database)
        blobs = await _open_blobs(stack, settings)
        verify = verify_embedded_store if database.is_embedded else verify_blob_store
        await verify(database.catalog.housekeeping, blobs)
        await _sweep_unfinished(blobs, is_alone=database.is_embedded)
        notices = await _open_notices(stack, settings, database)
        await trio.lowlevel.checkpoint()
        yield Backends(
            database.catalog, blobs, notices, analytics, is_embedded=database.is_embedded
        )


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The target of a move. Raises StartupError."""
    async with AsyncExitStack() as stack:
        database = await _open_database(stack, settings)
        analytics = await _open_analytics(stack, settings, database)
        yield Stores(database.driver, await _open_blobs(stack, settings), analytics)


@asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator[Catalog]:
    """Only the catalog, its schema brought up to date, for `migrate`. Raises StartupError."""
    async with AsyncExitStack() as stack:
        yield (await _open_database(stack, settings)).catalog


@asynccontextmanager
async def open_blobs(settings: Settings) -> AsyncIterator[BlobStore]:
    """Only the blobs, of the source of a move. Raises StartupError."""
    async with AsyncExitStack() as stack:
        yield await _open_blobs(stack, settings)


@asynccontextmanager
async def open_for_verification(settings: Settings) -> AsyncIterator[tuple[Catalog, BlobStore]]:
    """Catalog and blobs for a command that runs beside the service: takes no lock, changes no
    schema, starts nothing. Raises StartupError where there is no installation, or its schema is
    not this program's."""
    for schema in await look_at_schemas(settings):
        if schema.waiting:
            raise StartupError(
                f"{schema.where} has an older schema; `mediaconvert migrate` or a start of the "
                "service brings it up to date"
            )
    async with AsyncExitStack() as stack:
        if settings.database.url:
            url, pool_size = settings.database.url, settings.database.pool_size
            driver: Driver = await stack.enter_async_context(
                open_postgres_driver(url, pool_size=pool_size)
            )
        else:
            path = settings.server.data_dir / "catalog.db"
            driver = await stack.enter_async_context(open_sqlite_driver(path))
        await refuse_unfinished_move(driver)
        yield sql_catalog(driver), await _open_blobs(stack, settings)


async def _open_database(stack: AsyncExitStack, settings: Settings) -> _Database:
    """By `database.url`: PostgreSQL, or one SQLite file."""
    if settings.database.url:
        # No lock of the data directory: other nodes may share it, and nobody's jobs are taken
        # back but by their leases.
        driver = await stack.enter_async_context(
            open_postgres_driver(settings.database.url, pool_size=settings.database.pool_size)
        )
        return _Database(sql_catalog(driver), is_embedded=False, driver=driver)
    data = settings.server.data_dir
    # flock does not wait here; taking it in a thread would buy nothing.
    stack.enter_context(hold_lock(data))
    embedded = await stack.enter_async_context(open_sqlite_driver(data / "catalog.db"))
    return _Database(sql_catalog(embedded), is_embedded=True, driver=embedded)


async def _open_analytics(
    stack: AsyncExitStack, settings: Settings, database: _Database
) -> AnalyticsStore:
    """By `analytics.clickhouse_dsn`: ClickHouse, or the catalog's kind of database."""
    if settings.analytics.clickhouse_dsn:
        from mediaconvert.backends.analytics.clickhouse import open_clickhouse_analytics

        address = parse_clickhouse_dsn(settings.analytics.clickhouse_dsn)
        return await stack.enter_async_context(open_clickhouse_analytics(address))
    if not database.is_embedded:
        return SqlAnalytics(database.driver)
    path = settings.server.data_dir / "analytics.db"
    return await stack.enter_async_context(open_sqlite_analytics(path))


async def _open_blobs(stack: AsyncExitStack, settings: Settings) -> BlobStore:
    """By `storage.s3_endpoint`: an S3 store, or a folder."""
    if settings.storage.s3_endpoint:
        from mediaconvert.backends.blobs.s3 import open_s3_blobs

        # Every upload and every job at once, and some that a hanging store holds.
        slots = settings.workers.slots or os.cpu_count() or 1
        transfers = settings.server.max_uploads + slots + 16
        return await stack.enter_async_context(open_s3_blobs(settings.storage, transfers=transfers))
    folder = settings.storage.directory or settings.server.data_dir / "blobs"
    try:
        return await stack.enter_async_context(
            open_directory_blobs(folder, min_free_bytes=settings.storage.min_free_bytes)
        )
    except Unavailable as error:
        raise StartupError(f"the blob folder {folder} cannot be used: {error}") from error


async def _sweep_unfinished(blobs: BlobStore, *, is_alone: bool) -> None:
    """Remove what killed processes left of uploads. A store that is unavailable does not
    prevent the start: the janitor tries again."""
    try:
        swept = await blobs.sweep_unfinished(is_alone=is_alone)
    except Unavailable as error:
        log.warning("could not remove unfinished uploads: %s", error.reason)
        return
    if swept:
        fields = {"uploads": swept}
        log.info("removed the unfinished uploads of a killed process", extra={"fields": fields})


async def _open_notices(stack: AsyncExitStack, settings: Settings, database: _Database) -> Notices:
    """By `redis.url`: Redis, or this process alone."""
    if not settings.redis.url:
        return MemoryNotices()
    from mediaconvert.backends.notices.redis import open_redis_notices

    address = parse_address(settings.redis.url)
    # Two installations may share one Redis, whose channels know no databases.
    installation = await installation_id(database.catalog.housekeeping)
    return await stack.enter_async_context(open_redis_notices(address, installation))
