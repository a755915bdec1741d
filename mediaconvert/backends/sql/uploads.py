"""Multipart uploads, on SQL: completing one moves names, never bytes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.blobs import add_digests
from mediaconvert.backends.sql.buckets import owned_bucket
from mediaconvert.backends.sql.driver import Connection, Driver, Isolation, Row
from mediaconvert.backends.sql.listing import list_uploads
from mediaconvert.backends.sql.transitions import require_version
from mediaconvert.backends.sql.values import optional_moment, readable, record
from mediaconvert.backends.sql.versions import commit_object, load_object
from mediaconvert.conditions import is_same_time
from mediaconvert.errors import PreconditionFailed, UploadNotFound
from mediaconvert.model import (
    BucketRef,
    Committed,
    Conditions,
    ListQuery,
    NewObject,
    ObjectHeaders,
    Part,
    Upload,
    UploadPage,
    VersionId,
)

# How long a repeated CompleteMultipartUpload is answered as the first was.
REMEMBERED_US = 7 * 24 * 3600 * 1_000_000
_MAX_PARTS = 10_000
"""S3: parts are numbered 1 to 10,000."""


class SqlUploads:
    """ports.catalog.Uploads."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def create(
        self,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders,
        pipeline: VersionId | None,
        checksum_algorithm: str | None,
        checksum_type: str | None,
    ) -> Upload:
        """As the port says; also PipelineNotFound for a text that is not the user's."""

        async def body(conn: Connection) -> Upload:
            bucket = await owned_bucket(conn, ref, "bucket_hold")
            if pipeline is not None:
                await require_version(conn, ref.user_id, pipeline)
            now = await conn.now_us()
            upload_id = upload_ids_of(await conn.steady_us()) + secrets.token_hex(16)
            await conn.execute(
                "upload_add",
                upload_id,
                bucket.id,
                key,
                *rows.header_params(headers),
                checksum_algorithm,
                checksum_type,
                pipeline,
                now,
            )
            return Upload(
                upload_id, bucket.id, key, headers, checksum_algorithm, checksum_type, now
            )

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def get(self, ref: BucketRef, key: str, upload_id: str) -> Upload:
        async def body(conn: Connection) -> Upload:
            return rows.upload(await _open_upload(conn, ref, key, upload_id))

        return await self._driver.read(body)

    async def put_part(self, ref: BucketRef, key: str, upload_id: str, part: Part) -> None:
        async def body(conn: Connection) -> None:
            await _open_upload(conn, ref, key, upload_id, "upload_share")
            now, steady = await conn.now_us(), await conn.steady_us()
            await conn.execute("garbage_of_part", upload_id, part.number, steady)
            await conn.execute("part_delete", upload_id, part.number)
            await conn.execute(
                "part_add",
                upload_id,
                part.number,
                part.size,
                part.md5,
                *rows.checksum_params(part.checksum),
                now,
            )
            await conn.execute_many(
                "part_add_segment",
                [
                    (upload_id, part.number, position, each.blob_id, each.offset, each.size)
                    for position, each in enumerate(part.segments)
                ],
            )
            await add_digests(conn, part.segments)
            await conn.execute("garbage_keep_part", upload_id, part.number)

        await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def list_parts(
        self, ref: BucketRef, key: str, upload_id: str, after: int, limit: int
    ) -> tuple[Part, ...]:
        async def body(conn: Connection) -> tuple[Part, ...]:
            await _open_upload(conn, ref, key, upload_id)
            found = await _part_rows(conn, upload_id, after, limit)
            return tuple(readable(conn, found, lambda each: rows.part(*each)))

        return await self._driver.read(body)

    async def list(self, ref: BucketRef, query: ListQuery, after_upload_id: str) -> UploadPage:
        async def body(conn: Connection) -> UploadPage:
            bucket = await owned_bucket(conn, ref)
            return await list_uploads(conn, bucket.id, query, after_upload_id)

        return await self._driver.read(body)

    async def complete(
        self,
        ref: BucketRef,
        key: str,
        upload_id: str,
        assemble: Callable[[Upload, Sequence[Part]], NewObject],
        conditions: Conditions,
    ) -> Committed:
        async def body(conn: Connection) -> Committed:
            bucket = await owned_bucket(conn, ref, "bucket_hold")
            row = await _any_upload(conn, bucket.id, key, upload_id, "upload_lock")
            if row["state"] == "completed":
                return await _completed_before(conn, row)
            new = assemble(rows.upload(row), await _parts(conn, upload_id, 0, _MAX_PARTS))
            committed = await commit_object(conn, bucket, new, conditions, row["version_id"])
            now = await conn.steady_us()
            await conn.execute(
                "upload_complete", upload_id, now, committed.object.id, committed.job_id
            )
            # The object's segments are there by now: only parts that it left out are garbage.
            await conn.execute("garbage_of_upload", upload_id, now)
            await conn.execute("parts_delete", upload_id)
            return committed

        return await self._driver.write(body, isolation=Isolation.STATEMENT)

    async def abort(
        self, ref: BucketRef, key: str, upload_id: str, if_initiated_us: int | None = None
    ) -> None:
        async def body(conn: Connection) -> None:
            row = await _open_upload(conn, ref, key, upload_id, "upload_lock")
            if if_initiated_us is not None and not is_same_time(if_initiated_us, row["created_at"]):
                raise PreconditionFailed("x-amz-if-match-initiated-time")
            await abort_upload(conn, upload_id)

        await self._driver.write(body, isolation=Isolation.STATEMENT)


def upload_ids_of(steady_us: int) -> str:
    """What ids of uploads that are begun at that time begin with. 16 digits keep the order of
    ids that of creation until the year 2 million, also when the wall clock is set."""
    return f"{max(0, steady_us):016x}"


async def abort_upload(conn: Connection, upload_id: str) -> None:
    """Forget an open upload and its parts, whose blobs become garbage."""
    await conn.execute("garbage_of_upload", upload_id, await conn.steady_us())
    await conn.execute("upload_abort", upload_id)


async def _any_upload(
    conn: Connection, bucket_id: int, key: str, upload_id: str, query: str
) -> Row:
    row = await conn.fetch_row(query, upload_id, bucket_id, key)
    if row is None:
        raise UploadNotFound(upload_id)
    return row


async def _open_upload(
    conn: Connection, ref: BucketRef, key: str, upload_id: str, query: str = "upload_get"
) -> Row:
    bucket = await owned_bucket(conn, ref)
    row = await _any_upload(conn, bucket.id, key, upload_id, query)
    if row["state"] != "open":
        raise UploadNotFound(upload_id)
    return row


@record("uploads")
def _completed_at(upload: Row) -> int:
    return optional_moment(upload, "completed_at") or 0


async def _completed_before(conn: Connection, upload: Row) -> Committed:
    """The first answer once more, for a client that did not hear it."""
    row = await conn.fetch_row("object_current", upload["bucket_id"], upload["key"])
    is_recent = _completed_at(upload) > await conn.steady_us() - REMEMBERED_US
    if row is None or row["id"] != upload["object_id"] or not is_recent:
        raise UploadNotFound(upload["id"])
    return Committed(await load_object(conn, row, with_job=True), upload["job_id"])


async def _parts(conn: Connection, upload_id: str, after: int, limit: int) -> tuple[Part, ...]:
    """Raises DamagedRecord where one of them cannot be read: an object must not lack it."""
    return tuple(rows.part(*found) for found in await _part_rows(conn, upload_id, after, limit))


async def _part_rows(
    conn: Connection, upload_id: str, after: int, limit: int
) -> list[tuple[Row, list[Row]]]:
    """Rows of parts, each with those of its segments."""
    found = await conn.fetch("parts_page", upload_id, after, limit)
    if not found:
        return []
    segments: dict[int, list[Row]] = {}
    for row in await conn.fetch("parts_segments", upload_id, after, _MAX_PARTS):
        segments.setdefault(row["number"], []).append(row)
    return [(row, segments.get(row["number"], [])) for row in found]
