"""Blob stores looked into without changing anything, for `doctor`: no bucket or folder is made, no
trial is written, nothing is swept.

Only what `blob_identity` asks: the names that are there, and the first bytes of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import trio
from minio.datatypes import Object

from mediaconvert.backends.blobs import files
from mediaconvert.backends.blobs.s3_client import Store
from mediaconvert.backends.blobs.s3_errors import store_errors
from mediaconvert.backends.blobs.s3_http import Patience
from mediaconvert.backends.blobs.s3_opening import has_bucket
from mediaconvert.backends.blobs.s3_reading import S3Cursor
from mediaconvert.model import BlobId, Segment

_BATCH = 1000
"""One page of a listing (S3 API)."""


class S3Look:
    """blob_identity.Look, of a bucket that may not be there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listing: Iterator[Object] | None = None

    async def next_names(self) -> list[BlobId]:
        return await trio.to_thread.run_sync(self._next_names, abandon_on_cancel=True)

    async def read(self, blob_id: BlobId, size: int) -> bytes:
        cursor = S3Cursor(self._store, [Segment(blob_id, 0, size)])
        try:
            return await trio.to_thread.run_sync(partial(_all, cursor), abandon_on_cancel=True)
        finally:
            cursor.close()

    def _next_names(self) -> list[BlobId]:
        store = self._store
        if self._listing is None:
            if not has_bucket(store):
                return []
            self._listing = store.client.list_objects(
                store.bucket, prefix=store.prefix, recursive=True
            )
        while True:
            with store.http.patient(Patience()), store_errors("listing blobs"):
                page = list(islice(self._listing, _BATCH))
            names = [store.blob_id(item.object_name or "") for item in page]
            if not page or any(names):
                return [name for name in names if name is not None]


class FolderLook:
    """blob_identity.Look, of a folder that may not be there."""

    def __init__(self, root: Path) -> None:
        self._layout = files.Layout(root)
        self._folders = iter(self._layout.fan_out)

    async def next_names(self) -> list[BlobId]:
        return await trio.to_thread.run_sync(self._next_names, abandon_on_cancel=True)

    async def read(self, blob_id: BlobId, size: int) -> bytes:
        work = partial(_head, self._layout, blob_id, size)
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)

    def _next_names(self) -> list[BlobId]:
        with files.storage_errors("listing blobs"):
            for folder in self._folders:
                if folder.is_dir():
                    names = (path.name for path in folder.iterdir())
                    found = [BlobId(name) for name in names if files.is_blob_id(name)]
                    if found:
                        return found
        return []


def _all(cursor: S3Cursor) -> bytes:
    pieces = []
    while piece := cursor.next_piece():
        pieces.append(piece)
    return b"".join(pieces)


def _head(layout: files.Layout, blob_id: BlobId, size: int) -> bytes:
    with files.storage_errors("reading a blob"):
        descriptor = files.open_blob(layout, blob_id, size)
        try:
            return os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)
