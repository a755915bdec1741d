"""The one way in for bytes: stage, verify, commit, announce.

A pipeline's name and every condition that can be known early are checked before the first
byte of a body is asked for. Until the catalog's commit nothing is visible, and a failure on
the way leaves nothing behind. Called by the S3 verbs; speaks neither HTTP nor SQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import trio

from mediaconvert.conditions import Current, check_copy_source, check_write
from mediaconvert.digests import Digests
from mediaconvert.errors import ConditionalConflict, InvalidRequest, ObjectNotFound
from mediaconvert.model import (
    BlobId,
    BucketRef,
    Checksum,
    Committed,
    Conditions,
    NewObject,
    ObjectHeaders,
    Part,
    Segment,
    StoredObject,
    Upload,
    UserId,
    VersionId,
)
from mediaconvert.multipart import ListedPart, assemble
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.receiving import Declared, Receiver, UploadBody, uninterrupted
from mediaconvert.segments import slice_segments
from mediaconvert.settings import S3Settings

PIPELINE_METADATA = "pipeline"
"""The user metadata whose value names the pipeline that an upload starts."""

COPY_TRIES = 5
"""A copy begins again when its source is replaced while it is verified."""

COPIES_AT_ONCE = 4
"""Copies that read their source at the same time; others wait."""

DEFAULT_CHECKSUM = "CRC64NVME"
"""Kept with every single upload whose client declares none, as S3 does."""


@dataclass(frozen=True, slots=True)
class CopyFrom:
    """The source of a copy."""

    ref: BucketRef
    key: str
    conditions: Conditions = Conditions()  # noqa: RUF009 - frozen


class Intake:
    """Errors are the catalog's and the store's, and those that each method names."""

    def __init__(
        self, catalog: Catalog, blobs: BlobStore, notices: Notices, settings: S3Settings
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._notices = notices
        self._settings = settings
        self._receiver = Receiver(blobs, catalog.housekeeping)
        # Copies read their source; they must not take the store's threads from all downloads.
        self._copies = trio.CapacityLimiter(COPIES_AT_ONCE)

    async def resolve_pipeline(self, user_id: UserId, name: str) -> VersionId:
        """The newest version of a user's pipeline. Raises UnknownPipeline."""
        return (await self._catalog.pipelines.by_name(user_id, name)).version_id

    async def pipeline_of(self, user_id: UserId, headers: ObjectHeaders) -> VersionId | None:
        """The pipeline that an object's metadata name, if any. Raises UnknownPipeline."""
        name = headers.user.get(PIPELINE_METADATA)
        return None if name is None else await self.resolve_pipeline(user_id, name)

    async def put_object(
        self,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders,
        body: UploadBody,
        conditions: Conditions,
    ) -> Committed:
        """Store a body as an object, and submit its job where the metadata name a pipeline.

        Raises BucketNotFound, BucketForbidden, UnknownPipeline and PreconditionFailed before
        the body is read; ChecksumMismatch, IncompleteBody after it."""
        await self._catalog.buckets.get(ref)
        pipeline = await self.pipeline_of(ref.user_id, headers)
        await self._check_early(ref, key, conditions)
        algorithm = body.declared.algorithm or DEFAULT_CHECKSUM
        return await self._store(ref, key, headers, body, conditions, pipeline, algorithm)

    async def begin_upload(
        self,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders,
        checksum_algorithm: str | None,
        checksum_type: str | None,
    ) -> Upload:
        """Begin a multipart upload; its pipeline is resolved, and pinned, now. Raises
        UnknownPipeline."""
        await self._catalog.buckets.get(ref)
        pipeline = await self.pipeline_of(ref.user_id, headers)
        return await self._catalog.uploads.create(
            ref, key, headers, pipeline, checksum_algorithm, checksum_type
        )

    async def put_part(
        self, ref: BucketRef, key: str, upload_id: str, number: int, body: UploadBody
    ) -> Part:
        """Store a body as a part. Raises UploadNotFound before the body is read, and
        InvalidRequest where its checksum is of another algorithm than the upload's."""
        upload = await self._catalog.uploads.get(ref, key, upload_id)
        algorithm = _part_algorithm(upload, body.declared.algorithm)
        return await self._store_part(ref, upload, number, body, algorithm)

    async def complete_upload(
        self,
        ref: BucketRef,
        key: str,
        upload_id: str,
        listed: Sequence[ListedPart],
        conditions: Conditions,
        *,
        declared: Checksum | None = None,
        declared_type: str | None = None,
        declared_size: int | None = None,
    ) -> Committed:
        """Make the listed parts one object, in one transaction that copies nothing, and
        submit the job of the pipeline that the upload was begun with. May be repeated."""

        def build(upload: Upload, stored: Sequence[Part]) -> NewObject:
            return assemble(
                upload,
                stored,
                listed,
                min_part_bytes=self._settings.min_part_bytes,
                declared=declared,
                declared_type=declared_type,
                declared_size=declared_size,
            )

        async def commit() -> Committed:
            committed = await self._catalog.uploads.complete(ref, key, upload_id, build, conditions)
            await self._announce(committed)
            return committed

        return await uninterrupted(commit)

    async def copy_object(
        self,
        source: CopyFrom,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders | None,
        conditions: Conditions,
        *,
        storage_class: str | None = None,
        checksum_algorithm: str | None = None,
    ) -> Committed:
        """A new object on the source's bytes.

        `headers` None keeps the source's (with another storage class, where one is given),
        and then starts no job, even where they name a pipeline: only what a request says
        anew does. The source's bytes are verified; they are copied only for a checksum that the
        source does not have. Raises ObjectNotFound, PreconditionFailed, UnknownPipeline,
        BlobDamaged."""
        pipeline = None if headers is None else await self.pipeline_of(ref.user_id, headers)
        for _ in range(COPY_TRIES):
            stored = await self._pin(source)
            kept = headers
            if headers is None and storage_class is not None:
                kept = dataclasses.replace(stored.headers, storage_class=storage_class)
            if checksum_algorithm is not None and not _has_checksum(stored, checksum_algorithm):
                kept = kept or stored.headers
                async with self._blobs.open(stored.segments) as pieces:
                    body = StoredBody(pieces, stored.size)
                    return await self._store(
                        ref, key, kept, body, conditions, pipeline, checksum_algorithm
                    )
            # The copy takes over ETag and checksum: the bytes must still be those they stand for.
            async with self._copies:
                await self._blobs.verify(stored.segments)
            committed = await self._commit_copy(
                stored, source, ref, key, kept, conditions, pipeline
            )
            if committed is not None:
                return committed
        raise ConditionalConflict(
            f"the source of the copy was replaced {COPY_TRIES} times while it was copied; try again"
        )

    async def _commit_copy(
        self,
        stored: StoredObject,
        source: CopyFrom,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders | None,
        conditions: Conditions,
        pipeline: VersionId | None,
    ) -> Committed | None:
        """None where the source is no longer the object that was verified."""

        async def commit() -> Committed | None:
            committed = await self._catalog.objects.copy(
                source.ref,
                source.key,
                source.conditions,
                ref,
                key,
                headers,
                conditions,
                pipeline,
                source_id=stored.id,
            )
            if committed is not None:
                await self._announce(committed)
            return committed

        return await uninterrupted(commit)

    async def copy_part(
        self,
        source: CopyFrom,
        select: Callable[[int], tuple[int, int]],
        ref: BucketRef,
        key: str,
        upload_id: str,
        number: int,
    ) -> Part:
        """Make a part of an object's bytes. `select` gets the source's size, and answers the
        start and size of what is wanted, or raises.

        The part shares the source's blobs; its bytes are read once, for their MD5 and
        checksum. Raises UploadNotFound, ObjectNotFound, PreconditionFailed, BlobDamaged."""
        upload = await self._catalog.uploads.get(ref, key, upload_id)
        stored = await self._pin(source)
        start, size = select(stored.size)
        segments = slice_segments(stored.segments, start, size)
        algorithm = upload.checksum_algorithm
        # The open source keeps its bytes until the part that shares them is committed.
        async with self._blobs.open(segments) as pieces:
            digests = Digests((algorithm,) if algorithm else ())
            async for piece in pieces:
                await trio.to_thread.run_sync(digests.update, piece)
            checksum = digests.checksum(algorithm) if algorithm else None
            part = Part(number, digests.size, digests.etag, checksum, segments)
            await uninterrupted(lambda: self._catalog.uploads.put_part(ref, key, upload_id, part))
            if await self._is_current(source, stored):
                return part
            # Deleted or overwritten meanwhile, so its blobs may have become garbage before
            # the part referred to them: take a copy of the bytes instead.
            async with self._blobs.open(segments) as again:
                body = StoredBody(again, size)
                return await self._store_part(ref, upload, number, body, algorithm)

    async def _store(
        self,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders,
        body: UploadBody,
        conditions: Conditions,
        pipeline: VersionId | None,
        algorithm: str,
    ) -> Committed:
        async def commit(segments: tuple[Segment, ...], digests: Digests) -> Committed:
            checksum = digests.checksum(algorithm)
            new = NewObject(key, digests.size, digests.etag, headers, segments, checksum)
            committed = await self._catalog.objects.put(ref, new, conditions, pipeline)
            await self._announce(committed)
            return committed

        async def find(blob_id: BlobId) -> Committed | None:
            stored = await self._catalog.objects.get(ref, key)
            if any(s.blob_id == blob_id for s in stored.segments):
                return Committed(stored, stored.job_id)
            return None

        return await self._receiver.receive(body, algorithm, commit, find)

    async def _store_part(
        self, ref: BucketRef, upload: Upload, number: int, body: UploadBody, algorithm: str | None
    ) -> Part:
        uploads = self._catalog.uploads

        async def commit(segments: tuple[Segment, ...], digests: Digests) -> Part:
            checksum = digests.checksum(algorithm) if algorithm else None
            part = Part(number, digests.size, digests.etag, checksum, segments)
            await uploads.put_part(ref, upload.key, upload.id, part)
            return part

        async def find(blob_id: BlobId) -> Part | None:
            parts = await uploads.list_parts(ref, upload.key, upload.id, number - 1, 1)
            mine = (p for p in parts if any(s.blob_id == blob_id for s in p.segments))
            return next(mine, None)

        return await self._receiver.receive(body, algorithm, commit, find)

    async def _check_early(self, ref: BucketRef, key: str, conditions: Conditions) -> None:
        """Refuse now what would fail at the commit, so that no body is sent for nothing. The
        commit decides all the same."""
        if conditions == Conditions():
            return
        try:
            current = await self._catalog.objects.get(ref, key)
        except ObjectNotFound:
            if conditions.if_match is not None:
                raise
            return
        check_write(conditions, Current(current.etag, current.size, current.created_at_us))

    async def _pin(self, source: CopyFrom) -> StoredObject:
        """The source as it is now; it meets its conditions."""
        stored = await self._catalog.objects.get(source.ref, source.key)
        check_copy_source(source.conditions, stored.etag, stored.created_at_us // 1_000_000)
        return stored

    async def _is_current(self, source: CopyFrom, stored: StoredObject) -> bool:
        try:
            return (await self._catalog.objects.get(source.ref, source.key)).id == stored.id
        except ObjectNotFound:
            return False

    async def _announce(self, committed: Committed) -> None:
        if committed.job_id is not None:
            await self._notices.publish(Notice(Topic.JOB_READY, str(committed.job_id)))


class StoredBody:
    """Bytes that we hold already, as an upload's body."""

    def __init__(self, pieces: AsyncIterator[bytes], size: int) -> None:
        self._pieces = pieces
        self.declared = Declared(size)

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces

    def trailing_checksum(self) -> Checksum | None:
        return None


def _has_checksum(stored: StoredObject, algorithm: str) -> bool:
    has = stored.checksum
    return has is not None and has.algorithm == algorithm and has.type == "FULL_OBJECT"


def _part_algorithm(upload: Upload, declared: str | None) -> str | None:
    """The checksum algorithm of a part: the upload's; where that has none, the part's own."""
    expected = upload.checksum_algorithm
    if expected is not None and declared is not None and declared != expected:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, "
            f"actual checksum Type: {declared.lower()}"
        )
    return expected or declared
