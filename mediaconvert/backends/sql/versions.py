"""Stored versions of keys: making one current, detaching the old one, purging what nobody reads.

The rules that uploads, copies, multipart completions, deletions and finished jobs share. Called
inside their transactions; checks no ownership: whoever calls has resolved the bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mediaconvert.backends.sql import rows
from mediaconvert.backends.sql.blobs import add_digests
from mediaconvert.backends.sql.driver import Connection, Param, Row
from mediaconvert.backends.sql.transitions import NewJob, submit_job
from mediaconvert.conditions import check_write
from mediaconvert.errors import ObjectNotFound
from mediaconvert.model import (
    Bucket,
    Committed,
    Conditions,
    JobId,
    JobStatus,
    NewObject,
    ObjectId,
    StoredObject,
    VersionId,
)

_NONE = Conditions()

_WITH_DIGESTS = 100
"""Segments of an object that is loaded with their digests. Those of more are asked for when they
are read: most look at such an object without reading it."""


async def commit_object(
    conn: Connection,
    bucket: Bucket,
    new: NewObject,
    conditions: Conditions,
    pipeline: VersionId | None,
) -> Committed:
    """Make `new` the key's object if the conditions hold, and submit its job if it has one.
    Raises PreconditionFailed, ObjectNotFound (If-Match on a missing key), PipelineNotFound."""
    current = await lock_current(conn, bucket.id, new.key)
    if current is None and conditions.if_match is not None:
        raise ObjectNotFound(new.key)
    check_current(conditions, current)
    object_id = await replace_object(conn, bucket.id, new, current)
    job_id = None
    if pipeline is not None:
        job_id = await _submit_upload(conn, bucket, object_id, new, pipeline)
    stored = StoredObject(
        id=object_id,
        bucket_id=bucket.id,
        key=new.key,
        size=new.size,
        etag=new.etag,
        headers=new.headers,
        segments=new.segments,
        checksum=new.checksum,
        parts=new.parts,
        created_at_us=await conn.now_us(),
        job_id=job_id,
        job_status=None if job_id is None else JobStatus.PENDING,
        job_progress=None if job_id is None else 0.0,
    )
    return Committed(stored, job_id)


async def lock_current(
    conn: Connection, bucket_id: int, key: str, query: str = "object_lock_current"
) -> Row | None:
    """The key's current row, which nobody else changes from here on; by `object_share_current`
    others may hold it so too. None where there is none: should somebody add one before us,
    our adding is a UniqueViolation, and the transaction runs again."""
    while True:
        row = await conn.fetch_row(query, bucket_id, key)
        # Who waited for a row that was then replaced gets nothing; a second statement sees
        # what took its place. Ends with the transaction's deadline at the latest.
        if row is not None or await conn.fetch_row("object_current", bucket_id, key) is None:
            return row


async def _submit_upload(
    conn: Connection, bucket: Bucket, object_id: ObjectId, new: NewObject, pipeline: VersionId
) -> JobId:
    job = NewJob(
        user_id=bucket.owner_id,
        bucket_id=bucket.id,
        bucket_name=bucket.name,
        source_id=object_id,
        source_key=new.key,
        source_size=new.size,
        source_content_type=new.headers.content_type,
        version_id=pipeline,
        message="The upload was accepted.",
    )
    return await submit_job(conn, job)


def check_current(conditions: Conditions, current: Row | None) -> None:
    """`check_write` against a key's current row, or none. Raises PreconditionFailed."""
    if current is None:
        check_write(conditions, None)
    elif conditions != _NONE:
        # Without conditions nothing is read of it, so that a damaged one can be replaced.
        check_write(conditions, rows.current_facts(current))


async def replace_object(
    conn: Connection, bucket_id: int, new: NewObject, current: Row | None
) -> ObjectId:
    """Put `new` in the place of the key's current row, whatever that is."""
    now = await conn.now_us()
    if current is not None:
        await conn.execute("object_detach", current["id"], now)
    row = await conn.fetch_one("object_add", *_added(bucket_id, new, now))
    object_id: ObjectId = row["id"]
    await conn.execute_many(
        "object_add_segment",
        [
            (object_id, position, segment.blob_id, segment.offset, segment.size)
            for position, segment in enumerate(new.segments)
        ],
    )
    await add_digests(conn, new.segments)
    if current is not None:
        # After the new segments are there: a copy onto itself goes on using the old blobs.
        await purge_unread(conn, [current["id"]])
    return object_id


async def place_outputs(conn: Connection, bucket_id: int, outputs: Sequence[NewObject]) -> None:
    """Put all of them in the place of whatever has their keys, in a few round trips however
    many they are. UniqueViolation where somebody else has just written one of the keys."""
    now = await conn.now_us()
    placed = {output.key: output for output in outputs}
    # In one order for all, so that two who write the same keys never wait in a circle.
    keys = [(bucket_id, key, now) for key in sorted(placed)]
    await conn.execute_many("object_detach_key", keys)
    await conn.execute_many(
        "object_add_many", [_added(bucket_id, output, now) for output in placed.values()]
    )
    await conn.execute_many(
        "object_add_segment_of_key",
        [
            (bucket_id, output.key, position, segment.blob_id, segment.offset, segment.size)
            for output in placed.values()
            for position, segment in enumerate(output.segments)
        ],
    )
    await add_digests(conn, [each for output in placed.values() for each in output.segments])
    detached = await conn.fetch("objects_detached_at", bucket_id, now)
    await purge_unread(conn, [row["id"] for row in detached])


def _added(bucket_id: int, new: NewObject, now: int) -> tuple[Param, ...]:
    return (
        bucket_id,
        new.key,
        new.size,
        new.etag,
        *rows.header_params(new.headers),
        *rows.checksum_params(new.checksum),
        rows.part_infos(new.parts),
        now,
    )


async def purge_unread(conn: Connection, object_ids: Sequence[ObjectId]) -> int:
    """Delete those of the objects that are detached and that no unended job reads; blobs that
    nothing else refers to become garbage. Anything else is left alone. Answers how many."""
    if not object_ids:
        return 0
    ids = rows.dumps(sorted(object_ids))
    if not await conn.fetch("objects_lock_detached", ids):
        return 0
    unread = [row["id"] for row in await conn.fetch("objects_unread_of", ids)]
    if unread:
        gone = rows.dumps(unread)
        await conn.execute("garbage_of_objects", gone, await conn.steady_us())
        await conn.execute("objects_delete", gone)
    return len(unread)


async def load_object(conn: Connection, row: Row, *, with_job: bool) -> StoredObject:
    """A row of `objects` with its segments and, where wanted, its newest job."""
    object_id: ObjectId = row["id"]
    segments = await conn.fetch("object_segments", object_id)
    job = await conn.fetch_row("object_newest_job", object_id) if with_job else None
    read = rows.verified_segment if len(segments) <= _WITH_DIGESTS else rows.segment
    stored = rows.stored_object(row, segments, job, read_segment=read)
    is_damaged = any(segment["damaged_at"] is not None for segment in segments)
    return replace(stored, is_damaged=True) if is_damaged else stored
