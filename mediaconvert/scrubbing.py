"""Reads stored blobs whole and compares them with their digests; computes missing digests.

One blob at a time: who calls decides about order, speed and concurrency. Called by the background
scrubber and by `mediaconvert verify`. Never deletes or repairs anything.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum, auto

import trio

from mediaconvert.digests import BlockDigests
from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import BlobRecord, Segment
from mediaconvert.ports.blob_records import BlobRecords
from mediaconvert.ports.catalog import Catalog
from mediaconvert.verified_blobs import VerifiedBlobs

log = logging.getLogger(__name__)

PAGE = 200
"""Blobs asked for at once."""

Pace = Callable[[int], Awaitable[None]]
"""Awaited with the size of each piece that was read: sleeps to keep a limit, and counts."""


class Finding(Enum):
    """What reading one blob showed."""

    INTACT = auto()
    DIGESTED = auto()
    """Its digest was computed and stored; from now on damage is found."""
    RESTORED = auto()
    """It was marked as damaged and is intact again; the mark is gone."""
    DAMAGED = auto()
    UNREADABLE = auto()
    """The store works, but cannot read this blob now: nothing is known about its bytes."""
    GONE = auto()
    """Nothing refers to it any more."""


async def referenced_blobs(records: BlobRecords, after: str = "") -> AsyncIterator[BlobRecord]:
    """All blobs that are referred to, by name, after one. Raises Unavailable."""
    while page := await records.page(after, PAGE):
        for record in page:
            yield record
        after = page[-1].blob_id


async def examine_blob(
    blobs: VerifiedBlobs, catalog: Catalog, record: BlobRecord, pace: Pace
) -> Finding:
    """Read one blob to its end. Raises Unavailable when the store or the catalog cannot be
    reached."""
    try:
        if record.digest is None:
            return await _compute_digest(blobs, catalog.blobs, record, pace)
        whole = Segment(record.blob_id, 0, record.digest.size, record.digest)
        async with blobs.open([whole]) as pieces:
            async for piece in pieces:
                await pace(len(piece))
    except BlobDamaged as error:
        if error.is_known:
            return Finding.DAMAGED
        return await _note_damage(catalog, record, error.finding)
    except Unavailable as error:
        if not await catalog.housekeeping.is_referenced(record.blob_id):
            return Finding.GONE
        # Raises where it is the whole store that does not work.
        await blobs.check()
        fields = {"blob": record.blob_id, "reason": error.reason}
        log.warning("stored blob cannot be read", extra={"fields": fields})
        return Finding.UNREADABLE
    if record.is_damaged and await catalog.blobs.mark_intact(record.blob_id):
        return Finding.RESTORED
    return Finding.INTACT


async def _note_damage(catalog: Catalog, record: BlobRecord, finding: str) -> Finding:
    if not await catalog.housekeeping.is_referenced(record.blob_id):
        return Finding.GONE
    if await catalog.blobs.mark_damaged(record.blob_id):
        fields = {"blob": record.blob_id, "finding": finding}
        log.error("stored blob damaged", extra={"fields": fields})
    return Finding.DAMAGED


async def _compute_digest(
    blobs: VerifiedBlobs, records: BlobRecords, record: BlobRecord, pace: Pace
) -> Finding:
    """Trusts what is read, unless the ETag of an object shows that it is damaged already."""
    blocks, md5 = BlockDigests(), hashlib.md5(usedforsecurity=False)

    def take(piece: bytes) -> None:
        blocks.update(piece)
        if record.md5 is not None:
            md5.update(piece)

    whole = [Segment(record.blob_id, 0, record.size)]
    async with blobs.open_as_stored(whole) as pieces:
        async for piece in pieces:
            await trio.to_thread.run_sync(take, piece)
            await pace(len(piece))
    if record.md5 not in (None, md5.hexdigest()):
        raise BlobDamaged(record.blob_id, "its MD5 is not its object's ETag")
    await records.set_digest(record.blob_id, blocks.blob_digest())
    if record.is_damaged and await records.mark_intact(record.blob_id):
        return Finding.RESTORED
    return Finding.DIGESTED
