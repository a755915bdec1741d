"""The servers that the settings name, asked without changing anything: for `doctor`.

Connects to each as the service would, says its version or the sentence that a start would give,
and leaves. No table, bucket, key or file is made. Of what lives in this machine's own files the
SQLite databases are checked for damage, and the blobs: whether they are another installation's.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from mediaconvert.backends.blob_identity import EmptyCatalog, Known, Look, check_blob_store
from mediaconvert.backends.sql.sqlite_check import quick_check
from mediaconvert.errors import StartupError, Unavailable
from mediaconvert.settings import Settings

DEADLINE_SECONDS = 15.0
"""For each server; what hangs longer is as good as away."""


@dataclass(frozen=True, slots=True)
class Examined:
    name: str
    """As the row of `/ready`."""
    finding: str
    """Version and note, or what is wrong."""
    is_well: bool
    is_required: bool
    """Whether the service starts without it."""


async def examine(settings: Settings) -> tuple[Examined, ...]:
    """One after the other; nothing for what the settings do not name. Whose the blobs are is told
    where all servers are well and a start would be refused for it."""
    found = await _check_files(settings)
    asked: list[tuple[str, bool, str, Callable[[Settings], Awaitable[str]]]] = [
        ("database", True, settings.database.url, _database),
        ("storage", True, settings.storage.s3_endpoint, _storage),
        ("queue", False, settings.redis.url, _queue),
        ("analytics", False, settings.analytics.clickhouse_dsn, _analytics),
    ]
    for name, is_required, address, ask in asked:
        if not address:
            continue
        finding, is_well = f"no answer within {DEADLINE_SECONDS:g} s", False
        try:
            with trio.move_on_after(DEADLINE_SECONDS):
                finding, is_well = await ask(settings), True
        except (StartupError, Unavailable) as error:
            finding = str(error)
            # A setting that cannot be read refuses the start, whatever it is for.
            is_required = is_required or isinstance(error, StartupError)
        found.append(Examined(name, finding, is_well, is_required))
    if all(server.is_well or not server.is_required for server in found):
        try:
            with trio.move_on_after(DEADLINE_SECONDS) as looking:
                await _check_blobs(settings)
        except (StartupError, Unavailable) as error:
            found.append(Examined("installation", str(error), is_well=False, is_required=True))
        if looking.cancelled_caught:
            finding = f"whose the blobs are was not found out within {DEADLINE_SECONDS:g} s"
            found.append(Examined("installation", finding, is_well=False, is_required=False))
    return tuple(found)


async def _check_files(settings: Settings) -> list[Examined]:
    """The SQLite files that the settings name, as far as they are there, checked in full."""
    clickhouse = settings.analytics.clickhouse_dsn
    asked = [
        ("catalog", "catalog.db", not settings.database.url),
        (
            "reports",
            "analytics.db",
            not (settings.database.url or clickhouse),
        ),
    ]
    found = []
    for name, file, is_ours in asked:
        path = settings.server.data_dir / file
        if is_ours and await trio.to_thread.run_sync(_is_readable, path):
            check = partial(_check_file, name, path)
            found.append(await trio.to_thread.run_sync(check, abandon_on_cancel=True))
    return found


def _is_readable(path: Path) -> bool:
    """Not of a folder that this user may not look into: that is reported elsewhere."""
    return os.access(path, os.R_OK) and path.stat().st_size > 0


def _check_file(name: str, path: Path) -> Examined:
    try:
        checked = quick_check(path, seconds=math.inf)
    except sqlite3.Error as error:
        finding = f"{path} cannot be checked: {error}"
        return Examined(name, finding, is_well=False, is_required=False)
    if checked.file is not None:
        return Examined(name, checked.file.reason, is_well=False, is_required=True)
    if checked.records:
        problems = "; ".join(record.why for record in checked.records[:3])
        finding = (
            f"{len(checked.records)} damaged values in {path} ({problems}); their records are left "
            f"out of answers; restore {path.name} from a backup to have them again"
        )
        return Examined(name, finding, is_well=False, is_required=False)
    size = path.stat().st_size
    return Examined(name, f"{path.name} is sound, {size:,} bytes", is_well=True, is_required=True)


async def _check_blobs(settings: Settings) -> None:
    """Raises StartupError for blobs that are not this database's, Unavailable."""
    async with AsyncExitStack() as stack:
        known = await _known(stack, settings)
        if known is not None:
            await check_blob_store(known, _look(stack, settings))


async def _known(stack: AsyncExitStack, settings: Settings) -> Known | None:
    """The catalog as it is. None for an embedded one that is there, which to open would change
    files, and for one that waits for migrations."""
    if not settings.database.url:
        return None if _is_there(settings.server.data_dir / "catalog.db") else EmptyCatalog()
    from mediaconvert.backends.sql.catalog import look_into_postgres_catalog

    return await stack.enter_async_context(look_into_postgres_catalog(settings.database.url))


def _is_there(path: Path) -> bool:
    """Also where this user may not look: what is wrong with the folder is told elsewhere."""
    try:
        return path.exists()
    except OSError:
        return True


def _look(stack: AsyncExitStack, settings: Settings) -> Look:
    from mediaconvert.backends.blobs.looking import FolderLook, S3Look

    if not settings.storage.s3_endpoint:
        return FolderLook(settings.storage.directory or settings.server.data_dir / "blobs")
    from mediaconvert.backends.blobs.s3_client import make_store

    store = make_store(settings.storage)
    stack.callback(store.http.clear)
    return S3Look(store)


async def _database(settings: Settings) -> str:
    from mediaconvert.backends.sql.postgres_examine import examine_postgres

    return await examine_postgres(settings.database.url)


async def _storage(settings: Settings) -> str:
    from mediaconvert.backends.blobs.s3_client import make_store
    from mediaconvert.backends.blobs.s3_opening import has_bucket

    store = make_store(settings.storage)
    try:
        found = await trio.to_thread.run_sync(partial(has_bucket, store), abandon_on_cancel=True)
    finally:
        store.http.clear()
    name = store.http.server_name or "S3"
    bucket = f"bucket '{store.bucket}'"
    return f"{name}  {bucket}" if found else f"{name}  {bucket} is made at the first start"


async def _queue(settings: Settings) -> str:
    from mediaconvert.backends.notices.redis_address import parse_address
    from mediaconvert.backends.notices.redis_link import LinkError, examine_redis

    address = parse_address(settings.redis.url)
    try:
        return await trio.to_thread.run_sync(
            partial(examine_redis, address), abandon_on_cancel=True
        )
    except LinkError as error:
        raise Unavailable(str(error)) from error


async def _analytics(settings: Settings) -> str:
    from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
    from mediaconvert.backends.analytics.clickhouse_link import ClickHouseLink

    address = parse_clickhouse_dsn(settings.analytics.clickhouse_dsn)
    # Nothing to prepare: the first start makes database and tables.
    link = ClickHouseLink(address, lambda client: None, threads=1, call_seconds=DEADLINE_SECONDS)
    try:
        return f"ClickHouse {await link.run(lambda client: client.server_version)}"
    finally:
        await link.close()
