"""S3 key pairs, on SQL. Secrets are sealed before they come here; nothing here opens them."""

from __future__ import annotations

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.buckets import add_bucket, owned_bucket
from mediaconvert.backends.sql.driver import Connection, Driver
from mediaconvert.backends.sql.values import readable
from mediaconvert.errors import (
    BucketForbidden,
    BucketNotFound,
    CredentialNotFound,
    TooManyCredentials,
)
from mediaconvert.model import BucketRef, Credential, CredentialId, SigningKey, UserId


class SqlCredentials:
    """ports.catalog.Credentials."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def create(
        self,
        user_id: UserId,
        access_key: str,
        sealed_secret: bytes,
        bucket_name: str,
        *,
        existing: bool,
        limit: int,
        region: str,
    ) -> Credential:
        ref = BucketRef(user_id, bucket_name)

        async def body(conn: Connection) -> Credential:
            now = await conn.now_us()
            if (await conn.fetch_one("credentials_active_count", user_id))["active"] >= limit:
                raise TooManyCredentials(limit)
            if existing:
                await _require_own(conn, ref)
            else:
                await add_bucket(conn, ref, region, now)
            row = await conn.fetch_one(
                "credential_add", user_id, access_key, sealed_secret, bucket_name, now
            )
            return rows.credential(row)

        return await self._driver.write(body)

    async def list(self, user_id: UserId) -> tuple[Credential, ...]:
        async def body(conn: Connection) -> tuple[Credential, ...]:
            found = await conn.fetch("credentials_of_user", user_id)
            return tuple(readable(conn, found, rows.credential))

        return await self._driver.read(body)

    async def by_access_key(self, access_key: str) -> SigningKey | None:
        async def body(conn: Connection) -> SigningKey | None:
            row = await conn.fetch_row("signing_key", access_key)
            return None if row is None else rows.signing_key(row)

        return await self._driver.read(body)

    async def revoke(self, user_id: UserId, credential_id: CredentialId) -> Credential:
        async def body(conn: Connection) -> Credential:
            now = await conn.now_us()
            row = await conn.fetch_row("credential_revoke", user_id, credential_id, now)
            if row is None:
                raise CredentialNotFound(credential_id)
            return rows.credential(row)

        return await self._driver.write(body)


async def _require_own(conn: Connection, ref: BucketRef) -> None:
    try:
        await owned_bucket(conn, ref)
    except BucketForbidden:
        # Asked for as a bucket of the user's, somebody else's is as good as none.
        raise BucketNotFound(ref.name) from None
