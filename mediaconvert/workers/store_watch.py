"""Waits for a blob store that is away, so that nothing is spent on trying.

Finished outputs wait with their job: an hour of encoding is not done again because the store
was restarted at its end. And as long as a job gives reason to doubt the store, no other one is
claimed, which would only lose an attempt. What the store says of itself is a hint: from time to
time it is tried although it does not answer. Called by the runner and the pool.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import trio

from mediaconvert.errors import StorageFull, Unavailable
from mediaconvert.model import BlobId
from mediaconvert.ports.blobs import BlobStore

log = logging.getLogger("mediaconvert.workers.store")

PATIENCE_SECONDS = 900.0
"""How long an output waits for the store: its machine may be started anew meanwhile."""
BLIND_SECONDS = 60.0
"""A store that does not answer is tried after so long all the same: it may be slow, not away."""
MAX_REFUSALS = 3
"""So often a store that answers may refuse an output: then it is not a matter of time."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
CHECK_SECONDS = 5.0


class StoreWatch:
    """One per process. As long as nobody doubts the store, it is not asked."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._doubted_at = math.inf
        """Or when it was last trusted unseen: only an answer ends the doubt."""

    @property
    def is_in_doubt(self) -> bool:
        return not math.isinf(self._doubted_at)

    def doubt(self, error: Exception) -> None:
        """A job has just failed for the store's sake. One that is full is not away."""
        if isinstance(error, Unavailable) and not isinstance(error, StorageFull):
            self._doubted_at = min(self._doubted_at, trio.current_time())

    async def require(self) -> None:
        """Raises Unavailable while the store is in doubt and does not answer; every
        BLIND_SECONDS it is trusted unseen, and stays in doubt."""
        if not self.is_in_doubt:
            return
        try:
            await self._ask()
        except Unavailable:
            if trio.current_time() < self._doubted_at + BLIND_SECONDS:
                raise
            self._doubted_at = trio.current_time()
        else:
            self._doubted_at = math.inf

    async def adopt(self, path: Path) -> BlobId:
        """As BlobStore.adopt, but what is Unavailable may be so for PATIENCE_SECONDS."""
        give_up_at = trio.current_time() + PATIENCE_SECONDS
        refusals = 0
        is_waiting = False
        while True:
            try:
                blob_id = await self._blobs.adopt(path)
            except StorageFull:
                # Another try would fill it again, at everybody's cost.
                raise
            except Unavailable as error:
                if not is_waiting:
                    log.warning("outputs wait for the blob store: %s", error)
                is_waiting = True
                self.doubt(error)
                refusals += 1
                if refusals > MAX_REFUSALS or trio.current_time() > give_up_at:
                    raise
                if not await self._wait_for_an_answer(pause=2.0 ** (refusals - 1)):
                    refusals = 0
            else:
                self._doubted_at = math.inf
                if is_waiting:
                    log.info("outputs are stored again")
                return blob_id

    async def _wait_for_an_answer(self, *, pause: float) -> bool:
        """False where none came within BLIND_SECONDS."""
        pause *= FIRST_PAUSE_SECONDS
        with trio.move_on_after(BLIND_SECONDS):
            while True:
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                try:
                    await self._ask()
                except Unavailable as error:
                    log.debug("the blob store is still away: %s", error)
                else:
                    return True
        return False

    async def _ask(self) -> None:
        with trio.move_on_after(CHECK_SECONDS):
            await self._blobs.check()
            return
        raise Unavailable(f"the blob store did not answer within {CHECK_SECONDS:g} s")
