"""The blob store in a bucket of any S3 store, by the `minio` SDK in threads.

Implements ports.blobs.BlobStore. A blob is one object, `<prefix><blob id>`, written once; no
name that a client chose ever comes near a key. Several processes share the bucket. What each
transfer holds in memory stands in `s3_writing.py`, how bytes are verified in `s3_uploading.py`
and `s3_reading.py`. Opened by `open_backends`.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import trio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject

from mediaconvert.backends.blobs import files
from mediaconvert.backends.blobs.readers import Readers
from mediaconvert.backends.blobs.reading import PieceReader, copy_to_file, copy_turn
from mediaconvert.backends.blobs.s3_client import Store, make_store
from mediaconvert.backends.blobs.s3_errors import MISSING_CODES, store_errors
from mediaconvert.backends.blobs.s3_http import Patience
from mediaconvert.backends.blobs.s3_opening import (
    TRIAL,
    Trials,
    find_bucket,
    prepare_bucket,
)
from mediaconvert.backends.blobs.s3_reading import S3Cursor
from mediaconvert.backends.blobs.s3_threads import StoreThreads
from mediaconvert.backends.blobs.s3_uploading import Upload
from mediaconvert.backends.blobs.s3_writing import HandOver, S3Writer, open_source
from mediaconvert.backends.blobs.staging import Observe
from mediaconvert.backends.blobs.verifying import VerifyingCursor
from mediaconvert.errors import Unavailable
from mediaconvert.model import BlobId, Segment
from mediaconvert.ports.blobs import BlobWriter
from mediaconvert.settings import StorageSettings

BATCH = 1000
"""What one DeleteObjects takes, and one page of a listing holds (S3 API)."""
CALL_PLACES = 32
CHECK_PLACES = 2
READ_PLACES = 128
READ_TURN_SECONDS = 60.0
"""A thread reads one piece and goes, so that slow clients hold none; but the store may be slow."""
LOCAL_PLACES = 16
CHECK_SECONDS = 1.8
WRITE_TRIAL_SECONDS = 10.0
"""A check writes at most this often; in between it asks for the bucket only, for on some stores
each write costs money."""
MIN_PART_BYTES = 5 << 20  # S3 API: UploadPart
MAX_PARTS = 10_000
FULL_PARTS_OF = 4
"""So many uploads at once have parts of full size; with more, each gets a smaller share. With
the default of 8 MiB, the 64 uploads of server.max_uploads have parts of 334 MiB together and
hold at most four times that and 2 MiB each (s3_writing.py): 1.4 GiB, half of it while all are
sending. The larger s3_part_bytes is, the more this saves: of 64 MiB, 4 GiB instead of 16."""


@asynccontextmanager
async def open_s3_blobs(settings: StorageSettings, *, transfers: int) -> AsyncIterator[S3Blobs]:
    """Open the store that the settings name, making the bucket where it is missing.

    `transfers` uploads and downloads to files may go on at once, each in a thread. Raises
    StartupError with one sentence about what is wrong."""
    store = make_store(settings)
    blobs = S3Blobs(store, part_bytes=settings.s3_part_bytes, transfers=transfers)
    try:
        await blobs.calls.run(partial(prepare_bucket, store, blobs.trials))
        store.http.health.watch()
        yield blobs
    finally:
        store.http.close()


class S3Blobs:
    """Made by `open_s3_blobs`. What the Protocol does not name is for this file and tests."""

    def __init__(self, store: Store, *, part_bytes: int, transfers: int) -> None:
        self._store = store
        self._part_bytes = part_bytes
        self.calls = StoreThreads(CALL_PLACES)
        self.transfers = StoreThreads(transfers)
        self.reads = StoreThreads(READ_PLACES, turn_seconds=READ_TURN_SECONDS)
        self._checks = StoreThreads(CHECK_PLACES)
        self._local = trio.CapacityLimiter(LOCAL_PLACES)
        self._readers = Readers(self._delete)
        self._open_uploads = 0
        self.trials = Trials(store)
        self._trial_due = float("-inf")

    @property
    def prefix(self) -> str:
        """What the keys of all blobs begin with."""
        return self._store.prefix

    @asynccontextmanager
    async def stage(
        self, observe: Observe | None = None, *, blob_id: BlobId | None = None
    ) -> AsyncIterator[BlobWriter]:
        blob_id = blob_id or BlobId(secrets.token_hex(16))
        key = self._store.key(blob_id)
        self._open_uploads += 1
        try:
            part_bytes = self._share()
            pieces = HandOver(part_bytes)
            upload = Upload(self._store, self.transfers, key, pieces, part_bytes)
            writer = S3Writer(
                blob_id,
                upload,
                pieces,
                part_bytes=part_bytes,
                observe=observe,
                in_thread=partial(trio.to_thread.run_sync, limiter=self._local),
            )
            try:
                yield writer
            finally:
                await writer.discard()
        finally:
            self._open_uploads -= 1

    def open(
        self, segments: Iterable[Segment]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._open(tuple(segments))

    @asynccontextmanager
    async def _open(self, segments: tuple[Segment, ...]) -> AsyncIterator[AsyncIterator[bytes]]:
        async with (
            self._readers.reading(segments),
            PieceReader(self._cursor(segments), self.reads.run) as pieces,
        ):
            yield pieces

    async def adopt(self, path: Path) -> BlobId:
        blob_id = BlobId(secrets.token_hex(16))
        source = await trio.to_thread.run_sync(open_source, path, limiter=self._local)
        # As many parts as may be, for a file is as long as it is.
        part_bytes = max(self._share(), -(-source.size_bytes // MAX_PARTS))
        key = self._store.key(blob_id)
        upload = Upload(self._store, self.transfers, key, source, part_bytes)
        is_kept = False
        self._open_uploads += 1
        try:
            await upload.start(source.size_bytes)
            await upload.wait()
            is_kept = True
        finally:
            self._open_uploads -= 1
            if not is_kept:
                await upload.discard()
            if not upload.has_started:
                source.close()
        return blob_id

    def _share(self) -> int:
        """The size of a part for one more upload."""
        share = FULL_PARTS_OF * self._part_bytes // max(1, self._open_uploads)
        return max(MIN_PART_BYTES, min(self._part_bytes, share))

    async def materialize(self, segments: tuple[Segment, ...], target: Path) -> None:
        async with self._readers.reading(segments):
            await trio.to_thread.run_sync(_create, target, limiter=self._local)
            cursor: VerifyingCursor | None = None
            is_complete = False
            try:
                cursor = self._cursor(segments)
                copying = await self.transfers.start(partial(copy_to_file, cursor, target))
                await copying.wait()
                is_complete = True
            finally:
                if cursor is not None:
                    cursor.close()
                if not is_complete:
                    # The thread may still be writing, to a file without a name then.
                    with trio.CancelScope(shield=True):
                        await trio.to_thread.run_sync(files.remove, target, limiter=self._local)

    async def verify(self, segments: Iterable[Segment]) -> None:
        wanted = tuple(segments)
        async with self._readers.reading(wanted):
            cursor = self._cursor(wanted)
            try:
                while await self.reads.run(partial(copy_turn, cursor, None)):
                    pass
            finally:
                cursor.close()

    def _cursor(self, segments: tuple[Segment, ...]) -> VerifyingCursor:
        return VerifyingCursor(partial(S3Cursor, self._store), segments)

    async def delete(self, blob_ids: Iterable[BlobId]) -> None:
        wanted = [blob_id for blob_id in blob_ids if files.is_blob_id(blob_id)]
        await self._delete(self._readers.postpone(wanted))

    async def _delete(self, blob_ids: list[BlobId]) -> None:
        for start in range(0, len(blob_ids), BATCH):
            keys = [self._store.key(blob_id) for blob_id in blob_ids[start : start + BATCH]]
            await self.calls.run(partial(_delete, self._store, keys))

    def older_than(self, seconds: float) -> AsyncIterator[list[BlobId]]:
        # By this machine's clock against the store's, which differ by minutes at most: it
        # refuses requests signed at another time.
        return _Sweep(self._store, self.calls, time.time() - seconds)

    async def sweep_unfinished(self, *, is_alone: bool) -> int:
        """As the port says. A bucket does not tell whose uploads are open, so while several
        processes share it nothing is aborted here: the bucket's lifecycle rule does it."""
        if not is_alone:
            await trio.lowlevel.checkpoint()
            return 0
        return await self.calls.run(partial(_abort_uploads, self._store))

    async def check(self) -> str:
        due, self._trial_due = self._trial_due, float("-inf")
        now = trio.current_time()
        with trio.move_on_after(CHECK_SECONDS):
            trials = self.trials if now >= due else None
            await self._checks.run(partial(_check, self._store, trials))
            self._trial_due = now + WRITE_TRIAL_SECONDS if now >= due else due
            return self._store.http.server_name or "S3"
        raise Unavailable(f"the blob store did not answer within {CHECK_SECONDS:g} s")

    async def free_bytes(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return None


class _Sweep:
    """Iterates over batches of old blobs' names; not a generator, for it may be left early."""

    def __init__(self, store: Store, calls: StoreThreads, moment: float) -> None:
        self._store = store
        self._calls = calls
        self._moment = moment
        # Asks for its next page when the one before has been used up.
        self._listing: Iterator[Object] = store.client.list_objects(
            store.bucket, prefix=store.prefix, recursive=True
        )

    def __aiter__(self) -> AsyncIterator[list[BlobId]]:
        return self

    async def __anext__(self) -> list[BlobId]:
        while page := await self._calls.run(partial(_page, self._store, self._listing)):
            old = [
                item.object_name
                for item in page
                if item.object_name
                and item.last_modified
                and item.last_modified.timestamp() < self._moment
            ]
            trials = [key for key in old if key.startswith(self._store.prefix + TRIAL)]
            if trials:
                await self._calls.run(partial(_delete, self._store, trials))
            batch = [blob_id for key in old if (blob_id := self._store.blob_id(key)) is not None]
            if batch:
                return batch
        raise StopAsyncIteration


def _create(target: Path) -> None:
    with files.storage_errors("creating a file"):
        os.close(files.create_file(target))


def _page(store: Store, listing: Iterator[Object]) -> list[Object]:
    with store.http.patient(Patience()), store_errors("listing blobs"):
        return list(islice(listing, BATCH))


def _delete(store: Store, keys: list[str]) -> None:
    with store.http.patient(Patience()), store_errors("deleting"):
        failed = [
            error
            for error in store.client.remove_objects(store.bucket, map(DeleteObject, keys))
            if error.code not in MISSING_CODES
        ]
    if failed:
        raise Unavailable(
            f"the blob store did not delete {len(failed)} of {len(keys)} blobs: {failed[0].code}"
        )


def _abort_uploads(store: Store) -> int:
    with store.http.patient(Patience()), store_errors("aborting unfinished uploads"):
        found = [
            (key, upload_id)
            for key, upload_id in store.client.open_uploads(store.bucket, store.prefix)
            if store.blob_id(key) is not None  # the bucket may also hold other programs' keys
        ]
        for key, upload_id in found:
            store.client.abort_upload(store.bucket, key, upload_id)
    return len(found)


def _check(store: Store, trials: Trials | None) -> None:
    patience = Patience(retry_seconds=0.0, stall_seconds=CHECK_SECONDS)
    with store.http.patient(patience):
        if trials is not None:
            trials.write()
        else:
            find_bucket(store)
