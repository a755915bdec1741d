"""Reads segments out of an S3 store by ranged requests, whatever the connection does meanwhile.

One request a segment; when its connection breaks, the next asks for the rest, and only of the
very same object (If-Match). Blocking, used by one thread at a time: `S3Blobs` reads ahead with
it (`reading.PieceReader`) or copies to a file.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPException

import urllib3
from minio.error import S3Error
from urllib3.exceptions import HTTPError, ReadTimeoutError

from mediaconvert.backends.blobs.reading import PIECE_BYTES
from mediaconvert.backends.blobs.s3_client import Store
from mediaconvert.backends.blobs.s3_errors import MISSING_CODES, Abandoned, store_errors
from mediaconvert.backends.blobs.s3_http import TRANSFER_RETRY_SECONDS, Patience
from mediaconvert.errors import BlobDamaged, Unavailable
from mediaconvert.model import Segment

_BROKEN = (HTTPError, HTTPException, OSError)
MAX_RESUMED = 3
"""Times that a broken answer is asked for again before at least one more piece has come."""
LAST_TRY_SECONDS = 4.0
LOOK_AGAIN_SECONDS = 0.5
"""Until a blob that the store does not have is asked for once more."""

_RANGE = re.compile(r"bytes (\d+)-\d+/")


class S3Cursor:
    """reading.Cursor on an S3 store."""

    def __init__(self, store: Store, segments: Iterable[Segment]) -> None:
        self._store = store
        self._left = [segment for segment in reversed(tuple(segments)) if segment.size > 0]
        self._patience = Patience()
        self._response: urllib3.BaseHTTPResponse | None = None
        self._key = ""
        self._etag = ""
        self._offset = self._size = 0
        self._lock = threading.Lock()
        self._is_busy = self._is_closed = False

    @property
    def at_end(self) -> bool:
        return self._size == 0 and not self._left

    def next_piece(self) -> bytes:
        with self._lock:
            if self._is_closed:
                raise Abandoned
            self._is_busy = True
        try:
            with self._store.http.patient(self._patience), store_errors("reading"):
                if self._size == 0 and not self._next_segment():
                    return b""
                piece = self._read()
                self._offset += len(piece)
                self._size -= len(piece)
                return piece
        finally:
            with self._lock:
                self._is_busy = False
                drop = self._is_closed
            if drop:
                self._drop()

    def close(self) -> None:
        """Ends the store's request too. A call under way in a thread is woken by it."""
        with self._lock:
            self._is_closed = True
            self._patience.abandon()
            response, is_busy = self._response, self._is_busy
        if not is_busy:
            self._drop()
        elif response is not None:
            # Closing would wait for the reading thread; that one closes when it wakes up.
            with suppress(OSError, ValueError, RuntimeError):
                response.shutdown()

    def _next_segment(self) -> bool:
        self._drop()
        if not self._left:
            return False
        segment = self._left.pop()
        self._key, self._etag = self._store.key(segment.blob_id), ""
        self._offset, self._size = segment.offset, segment.size
        self._ask(Patience())
        return True

    def _read(self) -> bytes:
        resumed = 0
        while True:
            try:
                assert self._response is not None
                piece = self._response.read(min(self._size, PIECE_BYTES), decode_content=False)
                if piece:
                    return piece
                raise HTTPException("the answer ended early")
            except _BROKEN as error:
                self._drop()
                resumed += 1
                if resumed > MAX_RESUMED or self._is_closed:
                    raise
                # It may be back soon, unless it was silent for long already.
                is_silent = isinstance(error, ReadTimeoutError)
                self._ask(
                    Patience(retry_seconds=0.0, stall_seconds=LAST_TRY_SECONDS)
                    if is_silent
                    else Patience(retry_seconds=TRANSFER_RETRY_SECONDS)
                )

    def _ask(self, patience: Patience) -> None:
        """Request the rest of the segment."""
        with self._lock:
            self._patience = patience
            if self._is_closed:
                patience.abandon()
        with self._store.http.patient(patience):
            response = self._get()
        self._response = response
        headers = response.headers
        # Not the status: rclone answers a range with 200.
        found = _RANGE.match(headers.get("content-range", ""))
        begins_at = int(found[1]) if found else 0
        fits = begins_at == self._offset and headers.get("content-length") == str(self._size)
        if not fits:
            self._drop()
            self._refuse_if_short()
            raise Unavailable(f"the blob store's answer for blob {self._name} was not understood")
        etag = headers.get("etag", "")
        if self._etag not in ("", etag):
            self._drop()
            raise Unavailable(f"blob {self._name} changed while it was read")
        self._etag = etag

    def _refuse_if_short(self) -> None:
        """Raises BlobDamaged where the store itself says that the blob lacks bytes."""
        found = self._store.client.stat_object(self._store.bucket, self._key)
        if (found.size or 0) < self._offset + self._size:
            raise BlobDamaged(self._name, f"it has {found.size} bytes, fewer than it should")

    def _get(self) -> urllib3.BaseHTTPResponse:
        try:
            return self._get_once()
        except BlobDamaged:
            # A store that is being repaired or has just been started may say so for a moment.
            time.sleep(LOOK_AGAIN_SECONDS)
            return self._get_once()

    def _get_once(self) -> urllib3.BaseHTTPResponse:
        store = self._store
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if self._etag:
            headers["If-Match"] = self._etag
        try:
            return store.client.get_object(
                store.bucket, self._key, self._offset, self._size, request_headers=headers
            )
        except S3Error as error:
            if error.code in MISSING_CODES:
                raise BlobDamaged(
                    self._name, "it is missing from the blob store", is_missing=True
                ) from error
            if error.code == "InvalidRange":
                raise BlobDamaged(self._name, "it is shorter than it should be") from error
            raise

    @property
    def _name(self) -> str:
        return self._key.removeprefix(self._store.prefix)

    def _drop(self) -> None:
        """Back to the pool where it was read to its end, else closed."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
            response.release_conn()
