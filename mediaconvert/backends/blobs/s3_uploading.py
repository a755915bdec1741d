"""One upload into an S3 store: the SDK's `put_object` in a thread, made certain or undone.

Checksums: over http the SDK signs the SHA-256 of each body, over https it sends Content-MD5,
and the store refuses what arrives otherwise; beyond that the ETag of a blob in one piece must
be its MD5 (where the store's ETags are), and one in parts must have the size that was sent.
After an answer that was lost the store is asked what it has. Used by `s3_writing.py`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import trio
from minio.datatypes import Object
from minio.helpers import ObjectWriteResult

from mediaconvert.backends.blobs.s3_client import Store
from mediaconvert.backends.blobs.s3_errors import FAILURES, Abandoned, refusal
from mediaconvert.backends.blobs.s3_http import TRANSFER_RETRY_SECONDS, Patience
from mediaconvert.backends.blobs.s3_threads import Running, StoreThreads
from mediaconvert.errors import Unavailable

log = logging.getLogger("mediaconvert.backends.blobs")

GRACE_SECONDS = 2.0
"""What an upload that was given up waits for its thread: usually all it needs to undo it."""
UNKNOWN_LENGTH = -1

_MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


class Source(Protocol):
    """Where an upload's bytes come from. `read` is called in the thread, the rest anywhere."""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end. Blocks. Raises Abandoned."""

    @property
    def is_drained(self) -> bool:
        """Every byte there will be has been read."""

    def abandon(self) -> None:
        """Nobody wants the blob any more. Idempotent."""

    def settle(self) -> bool:
        """Called once, when all is stored: False where the upload was abandoned before."""

    def close(self) -> None:
        """Called last: the thread ends. Wakes whoever waits for it to read."""


class Upload:
    """The thread of one upload, and whoever waits for it."""

    def __init__(
        self, store: Store, threads: StoreThreads, key: str, source: Source, part_bytes: int
    ) -> None:
        self._store = store
        self._threads = threads
        self._key = key
        self._source = source
        self._part_bytes = part_bytes
        self._patience = Patience(retry_seconds=TRANSFER_RETRY_SECONDS)
        self._running: Running[None] | None = None

    @property
    def has_started(self) -> bool:
        return self._running is not None

    @property
    def has_ended(self) -> bool:
        return self._running is not None and self._running.ended.is_set()

    async def start(self, length: int) -> None:
        """`length` in bytes, or UNKNOWN_LENGTH. Raises Unavailable."""
        task = _Task(self._store, self._key, self._source, self._part_bytes, length, self._patience)
        self._running = await self._threads.start(task.run)

    async def wait(self) -> None:
        """Until the blob is durable. Raises StorageFull, Unavailable."""
        assert self._running is not None
        await self._running.wait()

    async def discard(self) -> None:
        """Leave no trace. What a store that hangs does not let us undo now, the thread undoes
        when it can; what it cannot either is for the sweep and the bucket's lifecycle."""
        self._source.abandon()
        if self._running is None:
            return
        self._patience.abandon()
        with trio.move_on_after(GRACE_SECONDS, shield=True):
            await self._running.ended.wait()
            if self._running.has_succeeded:
                # It was stored before it was abandoned, and nobody took notice.
                await self._threads.run(lambda: remove_quietly(self._store, self._key))


@dataclass(frozen=True, slots=True)
class _Task:
    """What the thread does."""

    store: Store
    key: str
    source: Source
    part_bytes: int
    length: int
    patience: Patience

    def run(self) -> None:
        try:
            self._store_blob()
        finally:
            self.source.close()

    def _store_blob(self) -> None:
        with self.store.http.patient(self.patience):
            measured = _Measured(self.source, self.part_bytes)
            try:
                self._verify(self._put(measured), measured)
            except Abandoned:
                raise
            except (*FAILURES, Unavailable) as error:
                if not (self.source.is_drained and self._is_there(measured)):
                    raise refusal("storing a blob", error) from error
        if not self.source.settle():
            remove_quietly(self.store, self.key)
            raise Abandoned

    def _put(self, measured: _Measured) -> ObjectWriteResult:
        return self.store.client.put_object(
            self.store.bucket,
            self.key,
            cast("BinaryIO", measured),
            self.length,
            part_size=self.part_bytes,
            # With more, the SDK starts threads that it leaves behind where an upload fails.
            num_parallel_uploads=1,
        )

    def _verify(self, result: ObjectWriteResult, measured: _Measured) -> None:
        """A failed join of parts is answered with 200 as well, and then has no ETag (S3 API:
        CompleteMultipartUpload)."""
        if not result.etag:
            raise Unavailable("the blob store failed while storing a blob: it sent no ETag")
        if measured.is_one_piece:
            is_right = measured.fits(result.etag, result.http_headers)
        else:
            is_right = measured.size == self._stat().size
        if not is_right:
            remove_quietly(self.store, self.key)
            raise Unavailable("the blob store did not store what was sent; nothing was kept")

    def _is_there(self, measured: _Measured) -> bool:
        """After an uncertain answer. Nobody else writes to this key."""
        try:
            found = self._stat()
        except FAILURES:
            return False
        if found.size != measured.size:
            return False
        return not measured.is_one_piece or measured.fits(found.etag or "", found.metadata or {})

    def _stat(self) -> Object:
        return self.store.client.stat_object(self.store.bucket, self.key)


class _Measured:
    """A source as the SDK reads it, with the size and, of one piece, the MD5 of what it gave."""

    def __init__(self, source: Source, part_bytes: int) -> None:
        self._source = source
        self._part_bytes = part_bytes
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @property
    def is_one_piece(self) -> bool:
        return self.size <= self._part_bytes

    def fits(self, etag: str, headers: Mapping[str, object]) -> bool:
        """Whether an ETag can be that of these bytes. Of an object that the store encrypts with
        a key of its own it says nothing, nor where it has another form."""
        is_md5 = _MD5.fullmatch(etag) is not None
        is_told = headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
        return not (is_md5 and is_told) or etag.lower() == self._md5.hexdigest()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.size += len(data)
        if self.is_one_piece:
            self._md5.update(data)
        return data


def remove_quietly(store: Store, key: str) -> None:
    """What fails here is left to the sweep of orphans."""
    with store.http.patient(Patience()):
        try:
            store.client.remove_object(store.bucket, key)
        except FAILURES as error:
            words = refusal("deleting", error)
            log.warning("an unwanted blob is left to the sweep of orphans: %s", words)
