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
from pathlib import Path

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
from mediaconvert.errors import BlobDamaged, StartupError, Unavailable
from mediaconvert.model import Segment
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
        await _refuse_missing_folder(settings, database.catalog)
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
    schema, *_ = await look_at_schemas(settings)
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
        catalog = sql_catalog(driver)
        await _refuse_missing_folder(settings, catalog)
        blobs = await _open_blobs(stack, settings, read_only=True)
        await _refuse_empty_store(catalog, blobs)
        yield catalog, blobs


async def _refuse_missing_folder(settings: Settings, catalog: Catalog) -> None:
    """Raises StartupError for a blob folder that is gone although the catalog refers to blobs:
    most likely its file system is not mounted."""
    if settings.storage.s3_endpoint:
        return
    folder = _blob_folder(settings)
    if not await trio.to_thread.run_sync((folder / "blobs").is_dir) and (
        await catalog.blobs.page("", 1)
    ):
        raise StartupError(
            f"the blob folder {folder} is empty, but the catalog refers to blobs in it; mount its "
            f"file system, or set storage.directory (to start without them, make {folder}/blobs)"
        )


_SAMPLE = 20
_TELLING = 5
"""Fewer missing blobs may have been lost one by one."""


async def _refuse_empty_store(catalog: Catalog, blobs: BlobStore) -> None:
    """Raises StartupError for a store that has none of the first blobs that are referred to: it
    is another one, and must not be taken for damaged."""
    page = await catalog.blobs.page("", _SAMPLE)
    for record in page:
        try:
            async with blobs.open([Segment(record.blob_id, 0, min(1, record.size))]):
                return
        except BlobDamaged as error:
            if not error.is_missing:
                return
    if len(page) >= _TELLING:
        raise StartupError(
            f"the blob store has none of the first {len(page)} blobs that the catalog refers to; "
            "is it the right S3_BUCKET, storage.s3_prefix or storage.directory?"
        )


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


def _blob_folder(settings: Settings) -> Path:
    return settings.storage.directory or settings.server.data_dir / "blobs"


async def _open_blobs(
    stack: AsyncExitStack, settings: Settings, *, read_only: bool = False
) -> BlobStore:
    """By `storage.s3_endpoint`: an S3 store, or a folder. With `read_only` no bucket and no
    folder is made."""
    if settings.storage.s3_endpoint:
        from mediaconvert.backends.blobs.s3 import open_s3_blobs

        if read_only:
            await _require_bucket(settings)
        # Every upload and every job at once, and some that a hanging store holds.
        slots = settings.workers.slots or os.cpu_count() or 1
        transfers = settings.server.max_uploads + slots + 16
        return await stack.enter_async_context(open_s3_blobs(settings.storage, transfers=transfers))
    folder, least = _blob_folder(settings), settings.storage.min_free_bytes
    try:
        return await stack.enter_async_context(
            open_directory_blobs(folder, min_free_bytes=least, read_only=read_only)
        )
    except Unavailable as error:
        raise StartupError(f"the blob folder {folder} cannot be used: {error}") from error


async def _require_bucket(settings: Settings) -> None:
    from mediaconvert.backends.blobs.s3_client import make_store
    from mediaconvert.backends.blobs.s3_opening import has_bucket

    store = make_store(settings.storage)
    try:
        found = await trio.to_thread.run_sync(has_bucket, store, abandon_on_cancel=True)
    finally:
        store.http.clear()
    if not found:
        raise StartupError(f"the bucket '{store.bucket}' does not exist; check S3_BUCKET")


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
