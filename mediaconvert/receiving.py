"""The machinery under `intake`: one body staged, sealed, verified and committed, or no trace.

Knows neither objects nor parts: what a commit is, the caller says. Never leaves a sealed blob
that no row refers to, and never deletes one that a lost answer may have committed.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from mediaconvert.digests import Digests
from mediaconvert.errors import (
    ChecksumMismatch,
    IncompleteBody,
    InvalidRequest,
    Refusal,
    Unavailable,
)
from mediaconvert.model import BlobId, Checksum, Segment
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Housekeeping

log = logging.getLogger(__name__)
_T = TypeVar("_T")

# The catalog ends each write within 5 s by itself; this only bounds a backend that hangs.
_COMMIT_SECONDS = 15.0
_CLEANUP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What a client says about a body before it sends it."""

    size: int
    md5: bytes | None = None
    """Raw, 16 bytes, of Content-MD5."""
    sha256: str | None = None
    """Lower-case hex, of a signed x-amz-content-sha256."""
    checksum: Checksum | None = None
    trailing: str | None = None
    """The algorithm of a checksum that follows the body."""

    @property
    def algorithm(self) -> str | None:
        return self.checksum.algorithm if self.checksum else self.trailing


class DeclaredBody(Protocol):
    """A body with what its client said about it."""

    @property
    def declared(self) -> Declared: ...

    def trailing_checksum(self) -> Checksum | None:
        """The checksum that followed the body; asked after the last piece."""


class UploadBody(DeclaredBody, Protocol):
    """A body on its way in, its transfer coding undone."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, once. Asking for the first is what lets a client that sent
        `Expect: 100-continue` begin. Raises IncompleteBody, SlowClient, BodyTooLarge, and
        what its framing refuses."""


Commit = Callable[[tuple[Segment, ...], Digests], Awaitable[_T]]
"""Makes the bytes visible: their segments (none for an empty body) and what was computed."""
Find = Callable[[BlobId], Awaitable[_T | None]]
"""What an uncertain commit made of a blob, if anything."""


class Receiver:
    """Raises, besides what it says, what the store and the given commit raise."""

    def __init__(self, blobs: BlobStore, housekeeping: Housekeeping) -> None:
        self._blobs = blobs
        self._housekeeping = housekeeping

    async def receive(
        self, body: UploadBody, algorithm: str | None, commit: Commit[_T], find: Find[_T]
    ) -> _T:
        """Stage a body, seal it, verify it and commit it. Raises ChecksumMismatch and
        IncompleteBody. May be cancelled until the commit begins."""
        sha256 = body.declared.sha256 is not None
        digests = Digests((algorithm,) if algorithm else (), payload_sha256=sha256)
        if body.declared.size == 0:
            async for piece in body.pieces():
                digests.update(piece)
            verify(body, digests)
            return await uninterrupted(lambda: commit((), digests))
        async with self._blobs.stage(digests.update) as writer:
            async for piece in body.pieces():
                await writer.write(piece)
            is_sealed = is_kept = False
            try:
                # The store hashes in its own time: only now have the digests seen it all.
                await writer.seal()
                is_sealed = True
                verify(body, digests)
                segments = (Segment(writer.blob_id, 0, digests.size, digests.blob_digest),)
                committed = await uninterrupted(lambda: commit(segments, digests))
                is_kept = True
                return committed
            except Unavailable:
                # The commit may have happened although its answer was lost.
                again = await _look_up(find, writer.blob_id)
                if again is None:
                    raise
                is_kept = True
                return again
            finally:
                if not is_kept:
                    await self._discard(writer.blob_id, is_sealed=is_sealed)

    async def _discard(self, blob_id: BlobId, *, is_sealed: bool) -> None:
        """Delete a blob, unless its commit happened after all. What cannot be told is left to
        the sweep of orphans."""
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            try:
                if not await self._housekeeping.is_referenced(blob_id):
                    await self._blobs.delete([blob_id])
            except Unavailable as error:
                # Of what could not even be sealed there is nothing, most likely.
                level = logging.WARNING if is_sealed else logging.DEBUG
                log.log(level, "blob %s is left to the sweep of orphans: %s", blob_id, error)


async def uninterrupted(commit: Callable[[], Awaitable[_T]]) -> _T:
    """A commit and its notice, which no disconnect and no shutdown cuts in two."""
    with trio.move_on_after(_COMMIT_SECONDS, shield=True):
        return await commit()
    raise Unavailable(f"the catalog did not answer within {_COMMIT_SECONDS:.0f} seconds")


async def _look_up(find: Find[_T], blob_id: BlobId) -> _T | None:
    try:
        return await find(blob_id)
    except Refusal:
        return None


def verify(body: DeclaredBody, digests: Digests) -> None:
    """Compare a body, read to its end, with all that was declared of it. Raises
    ChecksumMismatch, IncompleteBody, InvalidRequest."""
    declared = body.declared
    if digests.size != declared.size:
        raise IncompleteBody(declared.size, digests.size)
    if declared.sha256 is not None and declared.sha256 != digests.payload_sha256:
        raise ChecksumMismatch("x-amz-content-sha256", declared.sha256, digests.payload_sha256)
    if declared.md5 is not None and declared.md5 != digests.md5:
        told, is_really = b64encode(declared.md5).decode(), b64encode(digests.md5).decode()
        raise ChecksumMismatch("Content-MD5", told, is_really)
    checksum = declared.checksum
    if declared.trailing is not None:
        checksum = body.trailing_checksum()
        if checksum is None:
            raise InvalidRequest(
                f"the {declared.trailing} checksum that x-amz-trailer announced did not follow"
            )
    if checksum is not None:
        computed = digests.checksum(checksum.algorithm)
        if computed.value != checksum.value:
            raise ChecksumMismatch(checksum.algorithm, checksum.value, computed.value)
