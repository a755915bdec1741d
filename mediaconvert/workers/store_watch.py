"""Waits for a blob store that is away, so that nothing is spent on trying.

Finished outputs wait with their job: an hour of encoding is not done again because the store
was restarted at its end. And as long as a failed job gives reason to doubt the store, no other
one is claimed, which would only lose an attempt. Called by the runner and the pool.
"""

from __future__ import annotations

import logging
from pathlib import Path

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.model import BlobId
from mediaconvert.ports.blobs import BlobStore

log = logging.getLogger("mediaconvert.workers.store")

PATIENCE_SECONDS = 900.0
"""How long outputs wait for the store: its machine may be started anew meanwhile."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0


class StoreWatch:
    """One per process. As long as nobody doubts the store, it is not asked."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._is_doubtful = False

    def doubt(self) -> None:
        """A job has just failed for the store's sake."""
        self._is_doubtful = True

    async def require(self) -> None:
        """Raises Unavailable while the store is in doubt and does not answer."""
        if self._is_doubtful:
            await self._blobs.check()
            self._is_doubtful = False

    async def adopt(self, path: Path) -> BlobId:
        """As BlobStore.adopt, but what is Unavailable may be so for PATIENCE_SECONDS."""
        give_up_at = trio.current_time() + PATIENCE_SECONDS
        is_waiting = False
        while True:
            try:
                blob_id = await self._blobs.adopt(path)
            except Unavailable as error:
                if not is_waiting:
                    log.warning("outputs wait for the blob store: %s", error)
                is_waiting = True
                await self._until_answering(give_up_at, error)
            else:
                if is_waiting:
                    log.info("outputs are stored again")
                return blob_id

    async def _until_answering(self, give_up_at: float, error: Unavailable) -> None:
        """Raises the error when the time is over."""
        pause = FIRST_PAUSE_SECONDS
        while trio.current_time() + pause < give_up_at:
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                await self._blobs.check()
            except Unavailable as still:
                error = still
            else:
                return
        raise error
