"""Objects, on SQL: put, copy, get, delete, list. Names only; bytes are the blob store's."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconvert.backends.sql.buckets import owned_bucket
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation
from mediaconvert.backends.sql.listing import list_objects
from mediaconvert.backends.sql.versions import (
    check_current,
    commit_object,
    load_object,
    lock_current,
    purge_unread,
)
from mediaconvert.conditions import check_copy_source
from mediaconvert.errors import ObjectNotFound, PreconditionFailed
from mediaconvert.model import (
    BucketRef,
    Committed,
    Conditions,
    ListPage,
    ListQuery,
    NewObject,
    ObjectHeaders,
    ObjectId,
    StoredObject,
    VersionId,
)

_DELETED_AT_ONCE = 50
"""Keys of one transaction: at some 4 round trips of 5 ms each that is one second of its five."""


class SqlObjects:
    """ports.catalog.Objects."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def put(
        self,
        ref: BucketRef,
        new: NewObject,
        conditions: Conditions,
        pipeline: VersionId | None,
    ) -> Committed:
        async def body(conn: Connection) -> Committed:
            bucket = await owned_bucket(conn, ref, "bucket_hold")
            return await commit_object(conn, bucket, new, conditions, pipeline)

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def copy(
        self,
        source: BucketRef,
        source_key: str,
        source_conditions: Conditions,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders | None,
        conditions: Conditions,
        pipeline: VersionId | None,
        *,
        source_id: ObjectId | None = None,
    ) -> Committed | None:
        async def body(conn: Connection) -> Committed | None:
            if (ref.name, key) <= (source.name, source_key):
                # Locked in the order of the keys: copies to and fro never wait in a circle.
                bucket = await owned_bucket(conn, ref, "bucket_hold")
                await lock_current(conn, bucket.id, key)
            original = await _copied(conn, source, source_key)
            if source_id is not None and original.id != source_id:
                return None
            check_copy_source(source_conditions, original.etag, original.created_at_us // 1_000_000)
            new = NewObject(
                key=key,
                size=original.size,
                etag=original.etag,
                headers=original.headers if headers is None else headers,
                segments=original.segments,
                checksum=original.checksum,
                parts=original.parts,
            )
            bucket = await owned_bucket(conn, ref, "bucket_hold")
            return await commit_object(conn, bucket, new, conditions, pipeline)

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def get(self, ref: BucketRef, key: str) -> StoredObject:
        async def body(conn: Connection) -> StoredObject:
            bucket = await owned_bucket(conn, ref)
            row = await conn.fetch_row("object_current", bucket.id, key)
            if row is None:
                raise ObjectNotFound(key)
            return await load_object(conn, row, with_job=True)

        return await self._driver.read(body)

    async def delete(
        self, ref: BucketRef, keys: Sequence[tuple[str, Conditions]]
    ) -> tuple[bool | PreconditionFailed, ...]:
        """As the port says. A missing key meets every condition (S3 API: DeleteObject)."""

        results: list[bool | PreconditionFailed] = []
        for begin in range(0, len(keys), _DELETED_AT_ONCE):
            results += await self._delete_some(ref, keys[begin : begin + _DELETED_AT_ONCE])
        return tuple(results)

    async def _delete_some(
        self, ref: BucketRef, keys: Sequence[tuple[str, Conditions]]
    ) -> list[bool | PreconditionFailed]:
        async def body(conn: Connection) -> list[bool | PreconditionFailed]:
            bucket = await owned_bucket(conn, ref)
            detached: list[ObjectId] = []
            results: dict[int, bool | PreconditionFailed] = {}
            # In one order for all: two who delete the same keys never wait in a circle. (Of a
            # key that is named twice, the first comes first.)
            for place, (key, conditions) in sorted(enumerate(keys), key=lambda each: each[1][0]):
                results[place] = await _delete(conn, bucket.id, key, conditions, detached)
            await purge_unread(conn, detached)
            return [results[place] for place in range(len(keys))]

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def list(self, ref: BucketRef, query: ListQuery) -> ListPage:
        async def body(conn: Connection) -> ListPage:
            bucket = await owned_bucket(conn, ref)
            return await list_objects(conn, bucket.id, query)

        return await self._driver.read(body)


async def _copied(conn: Connection, source: BucketRef, key: str) -> StoredObject:
    """What a copy copies; it is not purged before the copy is there."""
    bucket = await owned_bucket(conn, source)
    row = await lock_current(conn, bucket.id, key, "object_share_current")
    if row is None:
        raise ObjectNotFound(key)
    return await load_object(conn, row, with_job=False)


async def _delete(
    conn: Connection,
    bucket_id: int,
    key: str,
    conditions: Conditions,
    detached: list[ObjectId],
) -> bool | PreconditionFailed:
    """Make the key's object invisible; it is added to `detached`, which the caller purges."""
    row = await lock_current(conn, bucket_id, key)
    if row is None:
        return False
    try:
        check_current(conditions, row)
    except PreconditionFailed as failed:
        return failed
    await conn.execute("object_detach", row["id"], await conn.now_us())
    detached.append(row["id"])
    return True
