"""Recognises a node whose blobs are not those of the installation: a folder of its own, another
bucket, a file system that was not mounted.

The first node leaves a small blob whose name the catalog keeps; every further start has to find
it. Called by `open_backends`, with a catalog that several nodes may share.
"""

from __future__ import annotations

from mediaconvert.errors import StartupError, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Housekeeping

NAME = "blob_store_marker"
"""In the catalog's `meta`; the sweep of orphans knows the blob by it."""
_CONTENT = b"This blob tells the nodes of an installation that they share one store.\n"


async def verify_blob_store(housekeeping: Housekeeping, blobs: BlobStore) -> None:
    """Raises StartupError for a store that is not the installation's, Unavailable."""
    mine = await _leave_marker(blobs)
    known = BlobId(await housekeeping.meta(NAME, mine))
    if known == mine:
        return
    # Another start was the first.
    await blobs.delete([mine])
    try:
        async with blobs.open([Segment(known, 0, len(_CONTENT))]) as pieces:
            async for _ in pieces:
                pass
    except Unavailable as error:
        raise StartupError(
            "this node's blob store is not the one that the installation uses "
            f"({error}); all nodes need the same S3_ENDPOINT, S3_BUCKET and storage.s3_prefix, or "
            "one folder that they share as storage.directory"
        ) from error


async def _leave_marker(blobs: BlobStore) -> BlobId:
    async with blobs.stage() as writer:
        await writer.write(_CONTENT)
        await writer.seal()
        return writer.blob_id
