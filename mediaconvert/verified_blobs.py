"""The blob store as the rest of the program uses it: what it gives out has been verified.

Adds to a store what only the catalog knows, the blobs' digests, and reports every blob that does
not pass: in the log, in the metrics, and by a mark in the catalog. Never repairs anything.
Built by the supervisor; called by intake, the S3 verbs, the workers and `mediaconvert verify`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobStore, BlobWriter
from mediaconvert.ports.catalog import Catalog

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
"""A reader that has met damage waits at most this long for the catalog to take the mark."""


def _ignore() -> None:
    """Default for callers without metrics."""


class VerifiedBlobs:
    """ports.blobs.BlobStore around another one. `on_damage` is called once per failed read."""

    def __init__(
        self, blobs: BlobStore, catalog: Catalog, on_damage: Callable[[], None] = _ignore
    ) -> None:
        self._blobs = blobs
        self._records = catalog.blobs
        self._house = catalog.housekeeping
        self._on_damage = on_damage

    def stage(
        self,
        observe: Callable[[bytes | memoryview], None] | None = None,
        *,
        blob_id: BlobId | None = None,
    ) -> AbstractAsyncContextManager[BlobWriter]:
        return self._blobs.stage(observe, blob_id=blob_id)

    @asynccontextmanager
    async def open(self, segments: Iterable[Segment]) -> AsyncIterator[AsyncIterator[bytes]]:
        known = await self._with_digests(tuple(segments))
        try:
            async with self._blobs.open(known) as pieces:
                yield pieces
        except BlobDamaged as error:
            await self._report(error)
            raise

    def open_as_stored(
        self, segments: Iterable[Segment]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes as they are, verified only where a segment brings its digest: for whoever
        finds out whether they are right. Reports nothing."""
        return self._blobs.open(segments)

    async def adopt(self, path: Path) -> BlobId:
        return await self._blobs.adopt(path)

    async def materialize(self, segments: tuple[Segment, ...], target: Path) -> None:
        known = await self._with_digests(segments)
        try:
            await self._blobs.materialize(known, target)
        except BlobDamaged as error:
            await self._report(error)
            raise

    async def verify(self, segments: Iterable[Segment]) -> None:
        # Without a digest there is nothing to compare with.
        known = await self._with_digests(tuple(segments))
        try:
            await self._blobs.verify([each for each in known if each.digest is not None])
        except BlobDamaged as error:
            await self._report(error)
            raise

    async def delete(self, blob_ids: Iterable[BlobId]) -> None:
        await self._blobs.delete(blob_ids)

    def older_than(self, seconds: float) -> AsyncIterator[list[BlobId]]:
        return self._blobs.older_than(seconds)

    async def sweep_unfinished(self, *, is_alone: bool) -> int:
        return await self._blobs.sweep_unfinished(is_alone=is_alone)

    async def check(self) -> str:
        return await self._blobs.check()

    async def free_bytes(self) -> int | None:
        return await self._blobs.free_bytes()

    async def _with_digests(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        unknown: Sequence[BlobId] = [each.blob_id for each in segments if each.digest is None]
        if not unknown:
            return segments
        digests = await self._records.digests(unknown)
        for blob_id, digest in digests.items():
            if digest is None:
                await self._refuse_known(blob_id)
        return tuple(
            replace(each, digest=digests.get(each.blob_id)) if each.digest is None else each
            for each in segments
        )

    async def _refuse_known(self, blob_id: BlobId) -> None:
        """Of a blob that is marked and has no digest to compare with; `mediaconvert verify`
        removes the mark when the bytes are right again. Always raises."""
        try:
            async with self._blobs.open([Segment(blob_id, 0, 1)]):
                pass
        except BlobDamaged as error:
            error.is_known = True
            raise
        raise BlobDamaged(blob_id, "it was damaged before it had a digest", is_known=True)

    async def _report(self, error: BlobDamaged) -> None:
        """Raises Unavailable for a blob that is missing because nothing refers to it any more."""
        if error.is_known:
            return
        error.is_known = True
        fields = {"blob": error.blob_id, "finding": error.finding}
        blob_id = BlobId(error.blob_id)
        is_marked = False
        with trio.move_on_after(REPORT_SECONDS, shield=True):
            try:
                if error.is_missing and not await self._house.is_referenced(blob_id):
                    raise Unavailable("the object was deleted while it was read") from error
                await self._records.mark_damaged(blob_id)
                is_marked = True
            except Unavailable as failure:
                if failure.__cause__ is error:
                    raise
        self._on_damage()
        log.error("stored blob damaged", extra={"fields": fields | {"is_marked": is_marked}})
