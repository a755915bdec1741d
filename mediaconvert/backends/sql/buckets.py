"""Buckets, on SQL, and the one way from a BucketRef to a row: with its owner."""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation
from mediaconvert.backends.sql.values import readable
from mediaconvert.errors import (
    BucketAlreadyOwned,
    BucketForbidden,
    BucketNotEmpty,
    BucketNotFound,
    BucketTaken,
    TooManyBuckets,
)
from mediaconvert.model import Bucket, BucketRef, UserId


async def owned_bucket(conn: Connection, ref: BucketRef, query: str = "bucket_by_name") -> Bucket:
    """The bucket, for its owner; by `bucket_hold` where the transaction puts something into
    it. Raises BucketNotFound, BucketForbidden."""
    row = await conn.fetch_row(query, ref.name)
    if row is None:
        raise BucketNotFound(ref.name)
    bucket = rows.bucket(row)
    if bucket.owner_id != ref.user_id:
        raise BucketForbidden(ref.name)
    return bucket


async def add_bucket(conn: Connection, ref: BucketRef, region: str, now: int) -> Bucket:
    """Raises BucketTaken, BucketAlreadyOwned."""
    row = await conn.fetch_row("bucket_add", ref.name, ref.user_id, region, now)
    if row is not None:
        return rows.bucket(row)
    try:
        await owned_bucket(conn, ref)
    except BucketForbidden:
        raise BucketTaken(ref.name) from None
    raise BucketAlreadyOwned(ref.name)


class SqlBuckets:
    """ports.catalog.Buckets."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def create(self, ref: BucketRef, region: str, *, limit: int) -> Bucket:
        async def body(conn: Connection) -> Bucket:
            bucket = await add_bucket(conn, ref, region, await conn.now_us())
            # Counted after the insert, so that a name that is taken is said first.
            if (await conn.fetch_one("buckets_count", ref.user_id))["buckets"] > limit:
                raise TooManyBuckets(limit)
            return bucket

        return await self._driver.write(body)

    async def get(self, ref: BucketRef) -> Bucket:
        async def body(conn: Connection) -> Bucket:
            return await owned_bucket(conn, ref)

        return await self._driver.read(body)

    async def list(self, user_id: UserId) -> tuple[Bucket, ...]:
        async def body(conn: Connection) -> tuple[Bucket, ...]:
            found = await conn.fetch("buckets_of_user", user_id)
            return tuple(readable(conn, found, rows.bucket))

        return await self._driver.read(body)

    async def delete(self, ref: BucketRef) -> None:
        async def body(conn: Connection) -> None:
            # Locked first: what is being put into it is there before we look, or refused.
            bucket = await owned_bucket(conn, ref, "bucket_lock")
            if await conn.fetch_row("bucket_content", bucket.id) is not None:
                raise BucketNotEmpty(ref.name)
            await conn.execute("bucket_delete", bucket.id, ref.user_id)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def exists(self, name: str) -> bool:
        async def body(conn: Connection) -> bool:
            return await conn.fetch_row("bucket_by_name", name) is not None

        return await self._driver.read(body)
