"""Reads all stored blobs in the background, again and again, so that damage is found while a
backup still has the bytes.

Limited in speed, and done by one process for all: the place that a pass has reached is kept in
the catalog, so a restart continues it. Called by the supervisor.
"""

from __future__ import annotations

import logging

import trio

from mediaconvert.errors import Unavailable
from mediaconvert.metrics import Metrics
from mediaconvert.model import BlobRecord
from mediaconvert.ports.catalog import Catalog
from mediaconvert.scrubbing import PAGE, Finding, examine_blob
from mediaconvert.settings import StorageSettings
from mediaconvert.verified_blobs import VerifiedBlobs

log = logging.getLogger(__name__)

TURN_SECONDS = 60.0
"""One process scrubs for this long, then notes the place; a crash repeats at most this much."""
TURN_SHARE = 0.9
"""A turn is free again after this share of TURN_SECONDS, so that the same process can go on."""
_PLACE = "scrub_place"
"""Name in the catalog's `meta`: the last blob that the pass has read."""
_BETWEEN_PASSES, _AT_THE_BEGINNING = "-", "0"
"""Other values of it; no blob's name sorts below the second."""


class Scrubber:
    """`run` works until cancelled."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: VerifiedBlobs,
        settings: StorageSettings,
        metrics: Metrics,
        *,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._house = catalog.housekeeping
        self._blobs = blobs
        self._bytes_per_second = settings.scrub_mib_per_second * (1 << 20)
        self._pass_seconds = settings.scrub_days * 86_400.0
        self._metrics = metrics
        self._turn_seconds = turn_seconds
        self._free_at = 0.0
        """When the next piece may be read (trio's clock)."""
        self._renewed_at = 0.0
        self._is_waiting = False

    async def run(self) -> None:
        if self._bytes_per_second <= 0:
            return
        while True:
            # First a wait: a start has more urgent reads.
            await trio.sleep(self._turn_seconds)
            try:
                await self.take_turn()
            except Unavailable as error:
                if not self._is_waiting:
                    log.warning("scrubbing has to wait: %s", error.reason)
                self._is_waiting = True
            else:
                self._is_waiting = False

    async def take_turn(self) -> int:
        """Scrub until the turn is over or the pass is complete, unless another process has the
        turn or the next pass is not due; returns how many blobs were read. Raises Unavailable."""
        if not await self._house.take_turn("scrub", self._turn_seconds * TURN_SHARE):
            return 0
        place = await self._house.find_meta(_PLACE) or _BETWEEN_PASSES
        if place == _BETWEEN_PASSES:
            if not await self._house.take_turn("scrub pass", self._pass_seconds):
                return 0
            place = _AT_THE_BEGINNING
            # At once: a stop before the first blob has been read must not end the pass.
            await self._house.set_meta(_PLACE, place)
        deadline = trio.current_time() + self._turn_seconds
        self._free_at = self._renewed_at = trio.current_time()
        count = 0
        try:
            while page := await self._catalog.blobs.page(place, PAGE):
                for record in page:
                    await self._examine(record)
                    count += 1
                    place = record.blob_id
                    if trio.current_time() >= deadline:
                        return count
            place = _BETWEEN_PASSES
            return count
        finally:
            # Cancelled, the place of the turn before stays: some blobs are read twice.
            await self._house.set_meta(_PLACE, place)

    async def _examine(self, record: BlobRecord) -> None:
        finding = await examine_blob(self._blobs, self._catalog, record, self._pace)
        if finding is Finding.RESTORED:
            log.info("damaged blob is intact again", extra={"fields": {"blob": record.blob_id}})

    async def _pace(self, size: int) -> None:
        self._metrics.bytes_scrubbed(size)
        now = trio.current_time()
        # Up to a second behind is made up for; a longer pause is not, or it would end in a burst.
        self._free_at = max(self._free_at, now - 1.0) + size / self._bytes_per_second
        await trio.sleep_until(self._free_at)
        if now - self._renewed_at > self._turn_seconds / 2:
            # A blob of gigabytes takes longer than a turn.
            self._renewed_at = now
            await self._house.take_turn("scrub", 0.0)
