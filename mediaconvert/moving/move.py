"""The whole move, in order: source held, target opened and looked at, blobs, rows, analytics.

Called by `mediaconvert move`. Decides what is refused before anything is copied; says how far
it is; until all of it has been compared, the target refuses to start.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.backends import Stores, open_blobs, open_stores
from mediaconvert.backends.analytics.clickhouse_address import parse_clickhouse_dsn
from mediaconvert.backends.analytics.sqlite import open_analytics_driver
from mediaconvert.backends.analytics.transfer import recorded_events
from mediaconvert.backends.sql.catalog import open_sqlite_driver, sql_catalog
from mediaconvert.backends.sql.driver import Driver
from mediaconvert.backends.sql.transfer import CatalogTransfer
from mediaconvert.errors import StartupError
from mediaconvert.moving.blobs import Copied, Journal, copy_blobs
from mediaconvert.moving.note import leave_note
from mediaconvert.moving.snapshot import Snapshot, take_snapshot
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.settings import Settings
from mediaconvert.vault import find_vault

Tell = Callable[[str], None]
"""Told one line at a time what is being done."""

_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Moved:
    blobs: int
    """Copied this time; those of an earlier try are not counted again."""
    size_bytes: int
    rows: int
    """That were compared: all of them."""
    events: int


async def move(source: Settings, target: Settings, tell: Tell) -> Moved:
    """Copy the embedded installation of `source` to where `target` points. Raises
    StartupError for everything that is refused or differs; Unavailable or StorageFull when a
    server goes away or has no room: then run it again."""
    folder = target.server.data_dir / "move"
    if _is_same_catalog(source, target):
        raise StartupError(
            "the target is the installation itself: the file given with --to names no database "
            "of its own, nor another server.data_dir"
        )
    async with AsyncExitStack() as stack:
        snapshot = stack.enter_context(take_snapshot(source.server.data_dir, folder / "snapshot"))
        old = await stack.enter_async_context(open_sqlite_driver(snapshot.catalog))
        await _check_master_key(old, source, target)
        new = await stack.enter_async_context(open_stores(target))
        transfer = CatalogTransfer(old, new.driver)
        events_to = _events_place(target)
        state = await transfer.begin(snapshot.digest, events_to)
        if state.done:
            raise StartupError("this installation has been moved there already, all of it")
        pace = _Pace(tell)
        copied = await _move_blobs(source, target, transfer, new, folder, pace)
        await transfer.copy_rows(state, pace.rows("rows copied"))
        tables = pace.rows("rows compared")
        await transfer.compare_rows(tables)
        events = await _move_analytics(snapshot, transfer, new.analytics, events_to)
        await transfer.finish(state)
        _leave_note(source, target, tell)
    return Moved(copied.blobs, copied.size_bytes, tables.total, events)


def _is_same_catalog(source: Settings, target: Settings) -> bool:
    folders = (source.server.data_dir.resolve(), target.server.data_dir.resolve())
    return not target.database.url and folders[0] == folders[1]


async def _check_master_key(old: Driver, source: Settings, target: Settings) -> None:
    """The secrets among the rows stay sealed as they are: their key has to come along."""
    vault = find_vault(target)
    theirs = await sql_catalog(old).housekeeping.find_meta("master_key_fingerprint")
    if theirs is None or (vault and hmac.compare_digest(vault.fingerprint(), theirs)):
        return
    what = "master key is not" if vault else "settings name no master key, which has to be"
    folder = source.server.data_dir / "secrets"
    made = (folder / "master_key").is_file()
    where = f"what stands in {folder / 'master_key'}" if made else "what the installation uses"
    raise StartupError(
        f"the target's {what} the one that the secrets of this installation are sealed with; "
        f"set MEDIACONVERT_MASTER_KEY to {where}, and JWT_SECRET likewise, or all tokens end"
    )


def _leave_note(source: Settings, target: Settings, tell: Tell) -> None:
    try:
        leave_note(source, target)
    except OSError as error:
        tell(
            f"no note of the move could be left in {source.server.data_dir}: {error.strerror}; "
            "whoever starts it again will not be told that it was moved"
        )


async def _move_blobs(
    source: Settings,
    target: Settings,
    transfer: CatalogTransfer,
    new: Stores,
    folder: Path,
    pace: _Pace,
) -> Copied:
    place = _blob_place(target)
    if place == _blob_place(source):
        pace.tell("blobs stay where they are: source and target name the same store")
        return Copied(0, 0)
    # One journal a store: another bucket has none of what this one was given.
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    try:
        journal = Journal(folder / f"{name}.journal")
    except OSError as error:
        raise StartupError(f"the move cannot take notes in {folder}: {error}") from error
    try:
        await journal.check_against(new.blobs)
        async with open_blobs(source) as old_blobs:
            return await copy_blobs(old_blobs, new.blobs, transfer.blobs(), journal, pace.blobs)
    finally:
        journal.close()


def _blob_place(settings: Settings) -> str:
    storage = settings.storage
    if storage.s3_endpoint:
        return f"{storage.s3_endpoint} {storage.s3_bucket} {storage.s3_prefix}"
    return str((storage.directory or settings.server.data_dir / "blobs").resolve())


def _events_place(settings: Settings) -> str:
    """The ClickHouse database; empty where analytics stand in the catalog's, or beside it: those
    know an event by its number."""
    dsn = settings.analytics.clickhouse_dsn
    return str(parse_clickhouse_dsn(dsn)) if dsn else ""


async def _move_analytics(
    snapshot: Snapshot, transfer: CatalogTransfer, target: AnalyticsStore, events_to: str
) -> int:
    if snapshot.analytics is None:
        return 0
    count = 0
    first_waiting = await transfer.first_waiting_event()
    async with open_analytics_driver(snapshot.analytics) as old:
        async for batch in recorded_events(old, snapshot.digest, first_waiting):
            if events_to and not count:
                await transfer.note_told(events_to)
            await target.record(batch)
            count += len(batch.events)
    return count


class _Rows:
    """Adds up what a pass over all tables reports."""

    def __init__(self, pace: _Pace, doing: str) -> None:
        self._pace = pace
        self._doing = doing
        self._tables: dict[str, int] = {}

    @property
    def total(self) -> int:
        return sum(self._tables.values())

    def __call__(self, table: str, count: int) -> None:
        self._tables[table] = count
        self._pace.now_and_then(lambda: f"{self._doing}: {self.total:,} (in {table})")


class _Pace:
    """Says something every two seconds, whatever the speed."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self._next = trio.current_time() + _EVERY_SECONDS

    def blobs(self, copied: Copied) -> None:
        self.now_and_then(
            lambda: f"blobs copied: {copied.blobs:,} ({copied.size_bytes / 2**20:,.0f} MiB)"
        )

    def rows(self, doing: str) -> _Rows:
        return _Rows(self, doing)

    def now_and_then(self, sentence: Callable[[], str]) -> None:
        if trio.current_time() >= self._next:
            self._next = trio.current_time() + _EVERY_SECONDS
            self.tell(sentence())
