"""The blob store: durable, immutable bytes under random names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from mediaconvert.model import BlobId, Segment


class BlobWriter(Protocol):
    """One blob being staged."""

    @property
    def blob_id(self) -> BlobId: ...

    async def write(self, data: bytes | memoryview) -> None:
        """Append. The observer given to `stage` sees the same bytes, in the same thread.

        Raises StorageFull (ENOSPC, EDQUOT) or Unavailable (EIO and other failures)."""

    async def seal(self) -> None:
        """Make the blob durable and readable: fsync, rename, fsync of the folder. After this
        the bytes survive power loss. Without it, leaving the context removes every trace.
        Cannot be cancelled half-way: it either happened or it did not."""


class BlobStore(Protocol):
    def stage(
        self,
        observe: Callable[[bytes | memoryview], None] | None = None,
        *,
        blob_id: BlobId | None = None,
    ) -> AbstractAsyncContextManager[BlobWriter]:
        """Open a new blob with a fresh random name, or with `blob_id`: the name that it has in
        another store, for moving an installation; sealing then replaces what had it. `observe`
        is called with each piece in the thread that writes it (for hashes: one pass over the
        bytes). Cancelled or left without `seal`: nothing stays."""

    def open(
        self, segments: Iterable[Segment]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of the segments, one after another, in pieces of at most 1 MiB, read
        ahead by a few pieces. Of a segment with a digest every block is verified before
        its bytes are given out: one that differs raises BlobDamaged, as does a blob that is
        missing or too short. A blob that is deleted through this very object while it is
        being read goes on to be readable to its end; readers in other processes are why
        garbage is kept for a while (`storage.garbage_minutes`). Raises Unavailable when the
        store cannot be reached or read."""

    async def adopt(self, path: Path) -> BlobId:
        """Take over a finished local file as a new sealed, durable blob; a hard link where
        the file lies on the store's own file system, else a copy. The file may be deleted
        afterwards, and must not be changed. Raises as `BlobWriter.write`."""

    async def materialize(self, segments: tuple[Segment, ...], target: Path) -> None:
        """Put the bytes at `target` (which does not exist, in an existing folder): a hard
        link where one whole local blob is wanted, else a copy. All blocks are verified as by
        `open`; where one is damaged, nothing stays at `target`. The result is to be read only.
        Raises as `open` and `write`."""

    async def verify(self, segments: Iterable[Segment]) -> None:
        """Read the blocks that the segments touch, and give nothing out. Raises as `open`."""

    async def delete(self, blob_ids: Iterable[BlobId]) -> None:
        """Idempotent; a name that does not exist is no error."""

    def older_than(self, seconds: float) -> AsyncIterator[list[BlobId]]:
        """Names of sealed blobs last written more than `seconds` ago, in batches of at most
        1,000, for the sweep of orphans."""

    async def sweep_unfinished(self, *, is_alone: bool) -> int:
        """Remove what dead processes left of blobs that they did not seal; returns how many.
        With `is_alone` the caller knows that no other process uses the store. Never touches
        what a living process is writing. Called at the start of an embedded installation, and
        every few minutes, which also shows other processes that this one lives. Idempotent.
        Raises Unavailable."""

    async def check(self) -> str:
        """What the store is, with its version where it tells. Raises Unavailable with the
        reason when it cannot be written to."""

    async def free_bytes(self) -> int | None:
        """Space left, or None where the store cannot tell."""
