"""Copies blobs from one store to another under their own names, and reads each of them back.

What has been compared is written to a journal, so that a move which was interrupted does not
copy it again. Knows nothing of rows: it is handed names and sizes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.errors import BlobDamaged, StartupError, StorageFull, Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobStore

PARALLEL = 4
"""Blobs under way at once: hides a store's answers behind each other, holds at most 4 x the
store's memory for one upload."""
_FAILURES = (StartupError, Unavailable, StorageFull)


@dataclass(frozen=True, slots=True)
class Copied:
    blobs: int
    size_bytes: int


class Journal:
    """Names of blobs whose copies have been compared, one a line. A line that is lost costs a
    copy, no more."""

    def __init__(self, path: Path) -> None:
        """Blocks on the file, as all of its calls do, for microseconds."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        text = path.read_text(encoding="ascii")
        if text and not text.endswith("\n"):
            # Torn off by a crash: that blob is copied again, and its line must stand alone.
            os.write(self._descriptor, b"\n")
        self._done = set(text.split())

    def __contains__(self, blob_id: BlobId) -> bool:
        return blob_id in self._done

    async def check_against(self, target: BlobStore) -> None:
        """Forget what the store does not have any more: somebody may have emptied it."""
        if not self._done:
            return
        # An hour ahead: whatever the store's clock says, this is all of it.
        present = {name async for batch in target.older_than(-3600.0) for name in batch}
        self._done &= present

    def note(self, blob_id: BlobId) -> None:
        os.write(self._descriptor, f"{blob_id}\n".encode("ascii"))
        self._done.add(blob_id)

    def close(self) -> None:
        os.close(self._descriptor)


async def copy_blobs(
    source: BlobStore,
    target: BlobStore,
    wanted: AsyncIterator[Segment],
    journal: Journal,
    tell: Callable[[Copied], None],
) -> Copied:
    """All of `wanted` (whole blobs). Answers what was copied now. Raises StartupError for a
    blob that is damaged in the source and for a copy that is not the same, Unavailable and
    StorageFull from the stores."""
    copied = Copied(0, 0)
    room = trio.CapacityLimiter(PARALLEL)

    async def one(blob: Segment) -> None:
        nonlocal copied
        async with room:
            await _copy_one(source, target, blob)
        journal.note(blob.blob_id)
        copied = Copied(copied.blobs + 1, copied.size_bytes + blob.size)
        tell(copied)

    try:
        async with trio.open_nursery() as nursery:
            async for blob in wanted:
                if blob.blob_id in journal:
                    continue
                # Tasks that wait hold a name each, no bytes; this keeps their number small too.
                async with room:
                    pass
                nursery.start_soon(one, blob)
    except BaseExceptionGroup as group:
        # A store that goes away fails all that is under way; one sentence says it.
        if group.split(_FAILURES)[1] is not None:
            raise
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group
    return copied


async def _copy_one(source: BlobStore, target: BlobStore, blob: Segment) -> None:
    sent = hashlib.sha256()
    async with target.stage(sent.update, blob_id=blob.blob_id) as writer:
        try:
            async with source.open([blob]) as pieces:
                async for piece in pieces:
                    await writer.write(piece)
        except BlobDamaged as error:
            raise StartupError(
                f"blob {blob.blob_id} of the source is damaged: {error.finding}; `mediaconvert "
                "verify` lists the objects that need it: restore or delete them, then move again"
            ) from error
        await writer.seal()
    stored = hashlib.sha256()
    with suppress(BlobDamaged):
        async with target.open([blob]) as pieces:
            async for piece in pieces:
                await trio.to_thread.run_sync(stored.update, piece)
    if stored.digest() != sent.digest():
        await target.delete([blob.blob_id])
        raise StartupError(
            f"blob {blob.blob_id} came back from the target store with other bytes; check the "
            "store, then move again"
        )
