"""What the catalog knows about blobs, on SQL: digests, and which blobs are damaged.

Never touches the bytes: `verified_blobs` reads them, compares and reports here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.errors import DamagedRecord
from mediaconvert.model import BlobDigest, BlobId, BlobRecord, DamagedObject, Segment


class SqlBlobRecords:
    """ports.catalog.BlobRecords."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def digests(self, blob_ids: Sequence[BlobId]) -> dict[BlobId, BlobDigest | None]:
        async def body(conn: Connection) -> dict[BlobId, BlobDigest | None]:
            found = await conn.fetch("blob_digests", rows.dumps(sorted(set(blob_ids))))
            return {
                row["blob_id"]: digest
                for row in found
                if (digest := rows.blob_digest(row)) is not None or row["damaged_at"] is not None
            }

        return await self._driver.read(body)

    async def page(self, after: str, limit: int) -> tuple[BlobRecord, ...]:
        async def body(conn: Connection) -> tuple[BlobRecord, ...]:
            found = await conn.fetch("blobs_page", after, limit)
            return tuple(_record(conn, row) for row in found)

        return await self._driver.read(body)

    async def set_digest(self, blob_id: BlobId, digest: BlobDigest) -> None:
        async def body(conn: Connection) -> None:
            await conn.execute("blob_digest_set", blob_id, digest.size, digest.blocks)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def mark_damaged(self, blob_id: BlobId) -> bool:
        async def body(conn: Connection) -> bool:
            return await conn.execute("blob_damage", blob_id, await conn.now_us()) > 0

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def mark_intact(self, blob_id: BlobId) -> bool:
        async def body(conn: Connection) -> bool:
            return await conn.execute("blob_intact", blob_id) > 0

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def count_damaged(self) -> int:
        async def body(conn: Connection) -> int:
            return int((await conn.fetch_one("blobs_count_damaged"))["damaged"])

        return await self._driver.read(body)

    async def damaged_objects(self, limit: int) -> tuple[DamagedObject, ...]:
        async def body(conn: Connection) -> tuple[DamagedObject, ...]:
            return tuple(
                DamagedObject(row["bucket"], row["key"], row["blob_id"], bool(row["is_current"]))
                for row in await conn.fetch("blobs_damaged_objects", limit)
            )

        return await self._driver.read(body)


def _record(conn: Connection, row: Row) -> BlobRecord:
    try:
        digest = rows.blob_digest(row)
    except DamagedRecord as error:
        # Readers of the object meet it too; the other blobs of the page are examined all the same.
        conn.damage.note(error)
        digest = None
    return BlobRecord(
        blob_id=row["blob_id"],
        size=row["used"],
        digest=digest,
        md5=row["md5"],
        is_damaged=row["damaged_at"] is not None,
    )


async def add_digests(conn: Connection, segments: Iterable[Segment]) -> None:
    """Store the digests that segments of new blobs carry, in the transaction that commits them."""
    new = {each.blob_id: each.digest for each in segments if each.digest is not None}
    if new:
        await conn.execute_many(
            "blob_add", [(name, digest.size, digest.blocks) for name, digest in new.items()]
        )
