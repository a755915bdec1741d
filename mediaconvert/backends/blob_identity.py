"""Recognises blobs that are not those of the installation: a node whose folder is its own, another
bucket, a file system that was not mounted; a store that another installation uses.

The first node leaves a small blob whose name the catalog keeps; every further start has to find
it. Called by `open_backends`; `doctor` looks in the same way, and leaves nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

from mediaconvert.errors import BlobDamaged, StartupError, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Housekeeping

NAME = "blob_store_marker"
"""In the catalog's `meta`; the sweep of orphans knows the blob by it."""
_SEEN = "blob_store_seen"
"""The same for an embedded catalog, which leaves no marker."""
_INSTALLATION = "installation_id"
_MAX_STARTING = 50
"""More nodes than this do not make their first start at once."""
_ALL = -1e9
"""Seconds: every blob was written before a moment in the far future."""


class Look(Protocol):
    """What a store shows of itself."""

    async def next_names(self) -> list[BlobId]:
        """Some more of the blobs there are; none when that was all. Raises Unavailable."""

    async def read(self, blob_id: BlobId, size: int) -> bytes:
        """Its first bytes. Raises Unavailable, also where it is not there or is shorter."""


class Known(Protocol):
    """What a catalog is asked: of ports.catalog.Housekeeping, as there."""

    async def find_meta(self, key: str) -> str | None: ...

    async def unknown_blobs(self, blob_ids: Sequence[BlobId]) -> tuple[BlobId, ...]: ...


class EmptyCatalog:
    """Known, where no catalog has been made yet."""

    async def find_meta(self, key: str) -> str | None:
        return None

    async def unknown_blobs(self, blob_ids: Sequence[BlobId]) -> tuple[BlobId, ...]:
        return tuple(blob_ids)


async def check_blob_store(known: Known, look: Look) -> None:
    """Raises StartupError where a start would be refused for its blobs, Unavailable. Changes
    nothing."""
    left = await known.find_meta(NAME)
    if left is not None:
        await _find_marker(look, BlobId(left))
        return
    installation = await known.find_meta(_INSTALLATION)
    await _refuse_others(known, look, _marker(installation) if installation else None)


async def verify_blob_store(housekeeping: Housekeeping, blobs: BlobStore) -> None:
    """Of nodes that share a catalog. Raises StartupError for a store that is not the
    installation's, Unavailable."""
    marker = _marker(await installation_id(housekeeping))
    known = await housekeeping.find_meta(NAME)
    if known is None:
        await _refuse_others(housekeeping, _OpenStore(blobs), marker)
        mine = await _leave(blobs, marker)
        known = await housekeeping.meta(NAME, mine)
        if known == mine:
            return
        # Another node was the first.
        await blobs.delete([mine])
    await _find_marker(_OpenStore(blobs), BlobId(known))


async def _find_marker(look: Look, blob_id: BlobId) -> None:
    try:
        await look.read(blob_id, 1)
    except (Unavailable, BlobDamaged) as error:
        reason = error.finding if isinstance(error, BlobDamaged) else str(error)
        raise StartupError(
            "this node's blob store is not the one that the installation uses "
            f"({reason}); all nodes need the same S3_ENDPOINT, S3_BUCKET and storage.s3_prefix, or "
            "one folder that they share as storage.directory"
        ) from error


async def verify_embedded_store(housekeeping: Housekeeping, blobs: BlobStore) -> None:
    """At the first start of an embedded catalog: as `verify_blob_store`."""
    if await housekeeping.find_meta(_SEEN) is None:
        marker = _marker(await installation_id(housekeeping))
        await _refuse_others(housekeeping, _OpenStore(blobs), marker)
        await housekeeping.set_meta(_SEEN, "yes")


async def installation_id(housekeeping: Housekeeping) -> str:
    """Random, the same for all nodes on one catalog."""
    return await housekeeping.meta(_INSTALLATION, secrets.token_hex(8))


async def _refuse_others(known: Known, look: Look, marker: bytes | None) -> None:
    """To a catalog that has just been made every blob is one that nothing refers to, and would be
    swept after a day: also those of another installation in the same place. `marker` is what
    nodes of this one leave, where it has a name already."""
    while batch := await look.next_names():
        unknown = await known.unknown_blobs(batch)
        if len(unknown) < len(batch):
            return  # a catalog of before there were markers
        others = len(unknown) > _MAX_STARTING or [
            blob_id for blob_id in unknown if not await _is_marker(look, blob_id, marker)
        ]
        # A node that started beside us may have looked already, and taken its marker away.
        if others and await known.find_meta(NAME) is None:
            raise StartupError(
                "the blob store holds blobs that this database knows nothing of, most likely "
                "those of another installation (of another database), which would be deleted; "
                "give this one a folder (storage.directory), an S3_BUCKET or a storage.s3_prefix "
                "of its own, or bring the other one over with `mediaconvert move`"
            )


async def _is_marker(look: Look, blob_id: BlobId, marker: bytes | None) -> bool:
    """Whether another node of this installation, which starts beside us, has left it."""
    try:
        return marker is not None and await look.read(blob_id, len(marker)) == marker
    except (Unavailable, BlobDamaged):
        return False  # too short, or gone


class _OpenStore:
    """Look, of the store that a start has opened."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._batches = blobs.older_than(_ALL)

    async def next_names(self) -> list[BlobId]:
        return await anext(self._batches, [])

    async def read(self, blob_id: BlobId, size: int) -> bytes:
        async with self._blobs.open([Segment(blob_id, 0, size)]) as pieces:
            return b"".join([piece async for piece in pieces])


def _marker(installation: str) -> bytes:
    return (
        f"This blob tells the nodes of an installation that they share one store: {installation}\n"
    ).encode()


async def _leave(blobs: BlobStore, marker: bytes) -> BlobId:
    async with blobs.stage() as writer:
        await writer.write(marker)
        await writer.seal()
        return writer.blob_id
