"""What the janitor asks of the catalog, on SQL; gauges, check and meta."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.uploads import REMEMBERED_US, abort_upload, upload_ids_of
from mediaconvert.backends.sql.versions import purge_unread
from mediaconvert.errors import Unavailable
from mediaconvert.model import BlobId
from mediaconvert.ports.catalog import CatalogGauges, Damage

_ABORTED_AT_ONCE = 100
"""Uploads of one transaction: two round trips each."""


class SqlHousekeeping:
    """ports.catalog.Housekeeping."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        # Only a database server's schema can change under a process that runs.
        folder = files("mediaconvert.backends.sql") / "migrations"
        self._newest_schema = load_migrations(folder, "postgres")[-1].version

    @property
    def damage(self) -> Damage:
        return self._driver.damage

    async def check_file(self) -> None:
        await self._driver.check_file()

    async def garbage(self, limit: int, *, older_than_seconds: float = 0.0) -> tuple[BlobId, ...]:
        async def body(conn: Connection) -> tuple[BlobId, ...]:
            until = await conn.steady_us() - round(older_than_seconds * 1_000_000)
            return tuple(row["blob_id"] for row in await conn.fetch("garbage_oldest", limit, until))

        return await self._driver.read(body)

    async def forget_garbage(self, blob_ids: Sequence[BlobId]) -> None:
        async def body(conn: Connection) -> None:
            names = [(blob_id,) for blob_id in blob_ids]
            await conn.execute_many("garbage_forget", names)
            await conn.execute_many("blob_forget", names)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def unknown_blobs(self, blob_ids: Sequence[BlobId]) -> tuple[BlobId, ...]:
        async def body(conn: Connection) -> tuple[BlobId, ...]:
            found = await conn.fetch("blobs_unknown", rows.dumps(list(blob_ids)))
            return tuple(row["blob_id"] for row in found)

        return await self._driver.read(body)

    async def condemn(self, blob_ids: Sequence[BlobId], after_seconds: float) -> None:
        async def body(conn: Connection) -> None:
            due = await conn.steady_us() + round(after_seconds * 1_000_000)
            # In one order: two nodes that condemn the same wait for each other in turn.
            await conn.execute("garbage_condemn", rows.dumps(sorted(blob_ids)), due)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def is_referenced(self, blob_id: BlobId) -> bool:
        """As the port says. The answer comes after a commit that still hangs, not beside it: in
        the server, which is asked to settle it, or in the disk, for which a writer waits."""
        await self._driver.settle()

        async def body(conn: Connection) -> bool:
            return await conn.fetch_row("blob_referenced", blob_id) is not None

        return await self._driver.write(body)

    async def purge_detached(self, limit: int) -> int:
        async def body(conn: Connection) -> int:
            found = await conn.fetch("objects_unread", limit)
            return await purge_unread(conn, [row["id"] for row in found])

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def expire_uploads(self, older_than_seconds: float, limit: int) -> int:
        """As the port says; answers how many were aborted."""

        async def body(conn: Connection) -> int:
            now = await conn.steady_us()
            begun_before = upload_ids_of(now - round(older_than_seconds * 1_000_000))
            stale = await conn.fetch("uploads_stale", begun_before, _ABORTED_AT_ONCE)
            for row in stale:
                await abort_upload(conn, row["id"])
            forgotten = now - REMEMBERED_US
            await conn.execute("uploads_forget", upload_ids_of(forgotten), forgotten)
            return len(stale)

        aborted = 0
        while aborted < limit:
            count = await self._driver.write(body, isolation=Isolation.STATEMENT)
            aborted += count
            if count < _ABORTED_AT_ONCE:
                break
        return aborted

    async def take_turn(self, name: str, every_seconds: float) -> bool:
        """As the port says. One guarded statement: of those who ask at once, the later ones
        wait for the first and then see its time."""

        async def body(conn: Connection) -> bool:
            now, every = await conn.steady_us(), round(every_seconds * 1_000_000)
            row = await conn.fetch_row("turn_take", f"turn_{name}", now, now - every, now + every)
            return row is not None

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def watch_clock(self) -> float:
        return await self._driver.clock.watch(self._driver)

    async def end_stalled(self, after_seconds: float) -> int:
        """As the port says. Reads only, so that it waits for no lock itself."""

        async def body(conn: Connection) -> int:
            return len(await conn.fetch("stalled_end", after_seconds))

        return await self._driver.read(body)

    async def gauges(self) -> CatalogGauges:
        async def body(conn: Connection) -> CatalogGauges:
            row = await conn.fetch_one("gauges")
            now = await conn.steady_us()
            oldest = now if row["oldest_pending"] is None else row["oldest_pending"]
            return CatalogGauges(
                jobs_pending=row["jobs_pending"],
                jobs_processing=row["jobs_processing"],
                oldest_pending_seconds=max(0.0, (now - oldest) / 1e6),
                outbox_events=row["outbox_events"],
                garbage_blobs=row["garbage_blobs"],
                damaged_blobs=row["damaged_blobs"],
            )

        return await self._driver.read(body)

    async def check(self) -> str:
        """As the port says, by writing: a full disk shows in nothing less."""

        async def body(conn: Connection) -> int:
            await conn.execute("meta_set", "checked_at", str(await conn.now_us()))
            version: int = (await conn.fetch_one("schema_applied"))["version"]
            return version

        # One row for all nodes: as serializable ones, checks would disturb each other.
        applied = await self._driver.write(body, isolation=Isolation.STATEMENT)
        if applied > self._newest_schema:
            raise Unavailable(
                f"the database has been given schema version {applied}, this process knows only "
                f"up to {self._newest_schema}; restart it with the newer program"
            )
        return self._driver.version

    async def find_meta(self, key: str) -> str | None:
        async def body(conn: Connection) -> str | None:
            row = await conn.fetch_row("meta_get", key)
            return None if row is None else rows.meta_value(row)

        return await self._driver.read(body)

    async def meta(self, key: str, value_if_absent: str) -> str:
        async def body(conn: Connection) -> str:
            await conn.execute("meta_add", key, value_if_absent)
            return rows.meta_value(await conn.fetch_one("meta_get", key))

        return await self._driver.write(body)

    async def set_meta(self, key: str, value: str) -> None:
        async def body(conn: Connection) -> None:
            await conn.execute("meta_set", key, value)

        await self._driver.write(body)
