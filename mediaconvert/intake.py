"""The one way in for bytes: stage, verify, seal, commit, announce.

A pipeline's name and every condition that can be known early are checked before the first
byte of a body is asked for. Until the catalog's commit nothing is visible, and a failure on
the way leaves nothing behind. Called by the S3 verbs; speaks neither HTTP nor SQL.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from mediaconvert.digests import Digests
from mediaconvert.errors import (
    ChecksumMismatch,
    IncompleteBody,
    InvalidRequest,
    ObjectNotFound,
    PreconditionFailed,
    Refusal,
    Unavailable,
)
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
    Upload,
    UserId,
    VersionId,
)
from mediaconvert.multipart import ListedPart, assemble
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notice, Notices, Topic
from mediaconvert.settings import S3Settings

log = logging.getLogger(__name__)
_T = TypeVar("_T")

PIPELINE_METADATA = "pipeline"
"""The user metadata whose value names the pipeline that an upload starts."""

DEFAULT_CHECKSUM = "CRC64NVME"
"""Kept with every single upload whose client declares none, as S3 does."""

# The catalog ends each write within 5 s by itself; this only bounds a backend that hangs.
_COMMIT_SECONDS = 15.0
_CLEANUP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What a client says about a body before it sends it."""

    size: int
    md5: bytes | None = None
    """Raw, 16 bytes, of Content-MD5."""
    sha256: str | None = None
    """Lower-case hex, of a signed x-amz-content-sha256."""
    checksum: Checksum | None = None
    trailing: str | None = None
    """The algorithm of a checksum that follows the body."""

    @property
    def algorithm(self) -> str | None:
        return self.checksum.algorithm if self.checksum else self.trailing


class UploadBody(Protocol):
    """A body on its way in, its transfer coding undone."""

    @property
    def declared(self) -> Declared: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, once. Asking for the first is what lets a client that sent
        `Expect: 100-continue` begin. Raises IncompleteBody, SlowClient, BodyTooLarge, and
        what its framing refuses."""

    def trailing_checksum(self) -> Checksum | None:
        """The checksum that followed the body; asked after the last piece."""


class Intake:
    """Errors are the catalog's and the store's, and those that each method names."""

    def __init__(
        self, catalog: Catalog, blobs: BlobStore, notices: Notices, settings: S3Settings
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._notices = notices
        self._settings = settings

    async def resolve_pipeline(self, user_id: UserId, name: str) -> VersionId:
        """The newest version of a user's pipeline. Raises UnknownPipeline."""
        return (await self._catalog.pipelines.by_name(user_id, name)).version_id

    async def pipeline_of(self, user_id: UserId, headers: ObjectHeaders) -> VersionId | None:
        """The pipeline that an object's metadata names, if any. Raises UnknownPipeline."""
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

        Raises UnknownPipeline, BucketNotFound, BucketForbidden and PreconditionFailed before
        the body is read; ChecksumMismatch, IncompleteBody after it."""
        await self._catalog.buckets.get(ref)
        pipeline = await self.pipeline_of(ref.user_id, headers)
        await self._check_early(ref, key, conditions)
        algorithm = body.declared.algorithm or DEFAULT_CHECKSUM

        async def commit(segments: tuple[Segment, ...], digests: Digests) -> Committed:
            new = NewObject(
                key, digests.size, digests.etag, headers, segments, digests.checksum(algorithm)
            )
            committed = await self._catalog.objects.put(ref, new, conditions, pipeline)
            await self._announce(committed)
            return committed

        async def found(blob_id: BlobId) -> Committed | None:
            stored = await self._catalog.objects.get(ref, key)
            if any(s.blob_id == blob_id for s in stored.segments):
                return Committed(stored, stored.job_id)
            return None

        return await self._receive(body, algorithm, commit, found)

    async def put_part(
        self, ref: BucketRef, key: str, upload_id: str, number: int, body: UploadBody
    ) -> Part:
        """Store a body as a part. Raises UploadNotFound before the body is read, and
        InvalidRequest where its checksum is of another algorithm than the upload's."""
        upload = await self._catalog.uploads.get(ref, key, upload_id)
        algorithm = part_algorithm(upload, body.declared.algorithm)

        async def commit(segments: tuple[Segment, ...], digests: Digests) -> Part:
            checksum = digests.checksum(algorithm) if algorithm else None
            part = Part(number, digests.size, digests.etag, checksum, segments)
            await self._catalog.uploads.put_part(ref, key, upload_id, part)
            return part

        async def found(blob_id: BlobId) -> Part | None:
            parts = await self._catalog.uploads.list_parts(ref, key, upload_id, number - 1, 1)
            mine = (p for p in parts if any(s.blob_id == blob_id for s in p.segments))
            return next(mine, None)

        return await self._receive(body, algorithm, commit, found)

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

        return await _uninterrupted(commit)

    async def copy_object(
        self,
        source: BucketRef,
        source_key: str,
        source_conditions: Conditions,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders | None,
        conditions: Conditions,
    ) -> Committed:
        """A new object on the source's bytes. `headers` None keeps the source's, and starts
        no job even where these name a pipeline: only what an upload says anew does."""
        pipeline = None if headers is None else await self.pipeline_of(ref.user_id, headers)

        async def commit() -> Committed:
            committed = await self._catalog.objects.copy(
                source, source_key, source_conditions, ref, key, headers, conditions, pipeline
            )
            await self._announce(committed)
            return committed

        return await _uninterrupted(commit)

    async def _check_early(self, ref: BucketRef, key: str, conditions: Conditions) -> None:
        """Refuse now what would fail at the commit, so that no body is sent for nothing. The
        commit decides all the same."""
        if conditions == Conditions():
            return
        try:
            etag = (await self._catalog.objects.get(ref, key)).etag
        except ObjectNotFound:
            if conditions.if_match is not None:
                raise
            return
        unwanted = conditions.if_none_match or ()
        if "*" in unwanted or etag in unwanted:
            raise PreconditionFailed("If-None-Match")
        wanted = conditions.if_match
        if wanted is not None and "*" not in wanted and etag not in wanted:
            raise PreconditionFailed("If-Match")

    async def _receive(
        self,
        body: UploadBody,
        algorithm: str | None,
        commit: Callable[[tuple[Segment, ...], Digests], Awaitable[_T]],
        found: Callable[[BlobId], Awaitable[_T | None]],
    ) -> _T:
        """Stage a body, verify it, seal it, and commit it by `commit`. `found` looks up what
        an uncertain commit may have made of a blob."""
        sha256 = body.declared.sha256 is not None
        digests = Digests((algorithm,) if algorithm else (), payload_sha256=sha256)
        if body.declared.size == 0:
            async for piece in body.pieces():
                digests.update(piece)
            _verify(body, digests)
            return await _uninterrupted(lambda: commit((), digests))
        async with self._blobs.stage(digests.update) as writer:
            async for piece in body.pieces():
                await writer.write(piece)
            _verify(body, digests)
            segments = (Segment(writer.blob_id, 0, digests.size),)
            is_kept = False
            try:
                await writer.seal()
                committed = await _uninterrupted(lambda: commit(segments, digests))
                is_kept = True
                return committed
            except Unavailable:
                # The commit may have happened although its answer was lost.
                again = await _look_up(found, writer.blob_id)
                if again is None:
                    raise
                is_kept = True
                return again
            finally:
                if not is_kept:
                    await self._discard(writer.blob_id)

    async def _discard(self, blob_id: BlobId) -> None:
        """Delete a blob, unless its commit happened after all. What cannot be told is left to
        the sweep of orphans."""
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            try:
                if not await self._catalog.housekeeping.is_referenced(blob_id):
                    await self._blobs.delete([blob_id])
            except Unavailable as error:
                log.warning("blob %s is left to the sweep of orphans: %s", blob_id, error)

    async def _announce(self, committed: Committed) -> None:
        if committed.job_id is not None:
            await self._notices.publish(Notice(Topic.JOB_READY, str(committed.job_id)))


async def _uninterrupted(commit: Callable[[], Awaitable[_T]]) -> _T:
    """A commit and its notice, which no disconnect and no shutdown cuts in two."""
    with trio.move_on_after(_COMMIT_SECONDS, shield=True):
        return await commit()
    raise Unavailable(f"the catalog did not answer within {_COMMIT_SECONDS:.0f} seconds")


async def _look_up(found: Callable[[BlobId], Awaitable[_T | None]], blob_id: BlobId) -> _T | None:
    try:
        return await found(blob_id)
    except Refusal:
        return None


def _verify(body: UploadBody, digests: Digests) -> None:
    """Compare a body with all that was declared of it."""
    declared = body.declared
    if digests.size != declared.size:
        raise IncompleteBody(declared.size, digests.size)
    if declared.sha256 is not None and declared.sha256 != digests.payload_sha256:
        raise ChecksumMismatch("x-amz-content-sha256", declared.sha256, digests.payload_sha256)
    if declared.md5 is not None and declared.md5 != digests.md5:
        told, is_really = b64encode(declared.md5).decode(), b64encode(digests.md5).decode()
        raise ChecksumMismatch("Content-MD5", told, is_really)
    checksum = declared.checksum
    if declared.trailing is not None:
        checksum = body.trailing_checksum()
        if checksum is None:
            raise InvalidRequest(
                f"the {declared.trailing} checksum that x-amz-trailer announced did not follow"
            )
    if checksum is not None:
        computed = digests.checksum(checksum.algorithm)
        if computed.value != checksum.value:
            raise ChecksumMismatch(checksum.algorithm, checksum.value, computed.value)


def part_algorithm(upload: Upload, declared: str | None) -> str | None:
    """The checksum algorithm of a part: the upload's; where that has none, the part's own."""
    expected = upload.checksum_algorithm
    if expected is not None and declared is not None and declared != expected:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, "
            f"actual checksum Type: {declared.lower()}"
        )
    return expected or declared
