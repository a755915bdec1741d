"""What the catalog knows about blobs besides who refers to them: a part of `ports.catalog`.

Each method is one transaction, and may raise Unavailable, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mediaconvert.model import BlobDigest, BlobId, BlobRecord, DamagedObject


class BlobRecords(Protocol):
    """Digests of blobs, and which blobs are damaged. Digests of new blobs are stored by the
    commit that first refers to them: their segments carry them."""

    async def digests(self, blob_ids: Sequence[BlobId]) -> dict[BlobId, BlobDigest | None]:
        """Those that are known; blobs without a digest are left out, but for those that are
        marked as damaged: None."""

    async def page(self, after: str, limit: int) -> tuple[BlobRecord, ...]:
        """Blobs that an object or a part refers to, by name, after the name `after`."""

    async def set_digest(self, blob_id: BlobId, digest: BlobDigest) -> None:
        """Of a blob that has none and is referred to. An existing digest is kept."""

    async def mark_damaged(self, blob_id: BlobId) -> bool:
        """Whether it is referred to and was not marked before."""

    async def mark_intact(self, blob_id: BlobId) -> bool:
        """Remove the mark; whether there was one."""

    async def count_damaged(self) -> int:
        """Blobs that are marked. Cheap, for /ready."""

    async def damaged_objects(self, limit: int) -> tuple[DamagedObject, ...]:
        """Objects with a damaged blob, of all users, by bucket and key: for the operator."""
