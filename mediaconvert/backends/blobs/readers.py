"""Keeps blobs from being deleted while this process reads them.

A deletion of what is being read happens when its last reader leaves; a crash in between leaves
the blob to the sweep of orphans. Shared by the blob stores.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.model import BlobId, Segment

log = logging.getLogger("mediaconvert.backends.blobs")

DELETE_SECONDS = 2.0
"""What a reader that leaves, perhaps because it was cancelled, waits at most."""


class Readers:
    """Who reads what. `delete` takes blobs away; it may raise Unavailable."""

    def __init__(self, delete: Callable[[list[BlobId]], Awaitable[None]]) -> None:
        self._delete = delete
        self._readers: Counter[BlobId] = Counter()
        self._doomed: set[BlobId] = set()

    def postpone(self, blob_ids: Iterable[BlobId]) -> list[BlobId]:
        """Those that nobody reads; the others are deleted later."""
        wanted = list(blob_ids)
        self._doomed.update(blob_id for blob_id in wanted if self._readers[blob_id])
        return [blob_id for blob_id in wanted if not self._readers[blob_id]]

    @asynccontextmanager
    async def reading(self, segments: Iterable[Segment]) -> AsyncIterator[None]:
        """The blobs of the segments stay while the block lasts."""
        blob_ids = {segment.blob_id for segment in segments}
        self._readers.update(blob_ids)
        try:
            yield
        finally:
            self._readers.subtract(blob_ids)
            left = [blob_id for blob_id in blob_ids if not self._readers[blob_id]]
            for blob_id in left:
                del self._readers[blob_id]
            doomed = [blob_id for blob_id in left if blob_id in self._doomed]
            self._doomed.difference_update(doomed)
            if doomed:
                await self._delete_now(doomed)

    async def _delete_now(self, blob_ids: list[BlobId]) -> None:
        """The reader has its bytes: a failure is the sweep's, not the reader's."""
        with trio.move_on_after(DELETE_SECONDS, shield=True):
            try:
                await self._delete(blob_ids)
            except Unavailable as error:
                log.warning("%d blobs are left to the sweep of orphans: %s", len(blob_ids), error)
