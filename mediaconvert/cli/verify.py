"""`mediaconvert verify`: reads every stored blob, compares it with its digest, and lists the
objects that are damaged. Runs beside the service or without it; repairs nothing."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field

import trio

from mediaconvert.backends import open_for_verification
from mediaconvert.cli.options import load_configuration
from mediaconvert.model import BlobRecord
from mediaconvert.ports.catalog import Catalog
from mediaconvert.scrubbing import Finding, examine_blob, referenced_blobs
from mediaconvert.settings import Settings
from mediaconvert.verified_blobs import VerifiedBlobs

AT_ONCE = 4
"""Blobs read at the same time: while one is hashed, the store works on the next."""
LISTED = 10_000
"""Damaged objects that are printed."""
EVERY_SECONDS = 5.0


@dataclass(slots=True)
class _Progress:
    size_bytes: int = 0
    blobs: Counter[Finding] = field(default_factory=Counter)

    async def pace(self, size: int) -> None:
        self.size_bytes += size


def run(arguments: argparse.Namespace) -> int:
    """1 when an object is damaged."""
    settings = load_configuration(arguments).settings
    return trio.run(_verify, settings, strict_exception_groups=True)


async def _verify(settings: Settings) -> int:
    progress = _Progress()
    began = trio.current_time()
    async with open_for_verification(settings) as (catalog, store):
        blobs = VerifiedBlobs(store, catalog)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell, progress)
            await _examine_all(catalog, blobs, progress)
            nursery.cancel_scope.cancel()
        seconds = max(trio.current_time() - began, 0.001)
        damaged = await catalog.blobs.damaged_objects(LISTED)
    print(
        f"{progress.blobs.total():,} blobs, {progress.size_bytes / 1e6:,.1f} MB read in "
        f"{seconds:.1f} s ({progress.size_bytes / 1e6 / seconds:,.0f} MB/s)"
    )
    if count := progress.blobs[Finding.DIGESTED]:
        print(f"{count:,} of them had no digest yet; it has been computed")
    if count := progress.blobs[Finding.RESTORED]:
        print(f"{count:,} of them were marked as damaged and are intact again")
    if unreadable := progress.blobs[Finding.UNREADABLE]:
        print(f"{unreadable:,} blobs cannot be read now; the log lines above say why")
    for each in damaged:
        state = "" if each.is_current else " (replaced or deleted; a job still reads it)"
        print(f"damaged: s3://{each.bucket}/{each.key}{state}: blob {each.blob_id}")
    count = progress.blobs[Finding.DAMAGED]
    if not count and not damaged:
        print("no damage was found" if not unreadable else "no other damage was found")
        return 1 if unreadable else 0
    print(
        f"{count:,} damaged blobs; restore their files from a backup of the blob store and run "
        "this again, or upload the objects again"
    )
    return 1


async def _examine_all(catalog: Catalog, blobs: VerifiedBlobs, progress: _Progress) -> None:
    room = trio.CapacityLimiter(AT_ONCE)

    async def one(record: BlobRecord) -> None:
        async with room:
            progress.blobs[await examine_blob(blobs, catalog, record, progress.pace)] += 1

    async with trio.open_nursery() as nursery:
        async for record in referenced_blobs(catalog.blobs):
            # Tasks that wait hold a name each; this keeps their number small.
            async with room:
                pass
            nursery.start_soon(one, record)


async def _tell(progress: _Progress) -> None:
    while True:
        await trio.sleep(EVERY_SECONDS)
        print(
            f"{progress.blobs.total():,} blobs, {progress.size_bytes / 1e6:,.0f} MB read …",
            file=sys.stderr,
            flush=True,
        )
