"""The chain of signatures of an aws-chunked body: each covers its chunk and the one before it.

Sans-I/O; fed by `api/s3/chunked.py`. The first link is the request's own signature (S3 API
Reference: Signature calculations, multiple chunks; with trailers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mediaconvert.sigv4.canonical import (
    ALGORITHM,
    EMPTY_SHA256,
    Claim,
    hex_hmac,
    is_equal,
    signing_key,
)
from mediaconvert.sigv4.checks import does_not_match


class ChunkChain:
    """Follows the signatures of one body, in order; both for checking and for signing."""

    def __init__(self, claim: Claim, secret: str) -> None:
        self._access_key = claim.access_key
        self._key = signing_key(secret, claim.scope)
        self._head = f"{claim.timestamp}\n{claim.scope}"
        self._previous = claim.signature

    def sign_chunk(self, data_sha256: str) -> str:
        """The signature of the next chunk, whose data have this SHA-256 (hex)."""
        return self._next(self._chunk_text(data_sha256))

    def sign_trailer(self, trailers: Iterable[tuple[str, str]]) -> str:
        """The signature of the trailers, which follow the last (empty) chunk."""
        return self._next(self._trailer_text(trailers))

    def check_chunk(self, data_sha256: str, signature: str) -> None:
        """Raises SignatureError SignatureDoesNotMatch."""
        self._check(self._chunk_text(data_sha256), signature)

    def check_trailer(self, trailers: Iterable[tuple[str, str]], signature: str) -> None:
        """Raises SignatureError SignatureDoesNotMatch."""
        self._check(self._trailer_text(trailers), signature)

    def _chunk_text(self, data_sha256: str) -> bytes:
        return (
            f"{ALGORITHM}-PAYLOAD\n{self._head}\n{self._previous}\n{EMPTY_SHA256}\n{data_sha256}"
        ).encode("latin-1", "replace")

    def _trailer_text(self, trailers: Iterable[tuple[str, str]]) -> bytes:
        block = "".join(f"{name.lower()}:{value.strip()}\n" for name, value in trailers)
        digest = hashlib.sha256(block.encode("latin-1", "replace")).hexdigest()
        return f"{ALGORITHM}-TRAILER\n{self._head}\n{self._previous}\n{digest}".encode(
            "latin-1", "replace"
        )

    def _next(self, text: bytes) -> str:
        self._previous = hex_hmac(self._key, text)
        return self._previous

    def _check(self, text: bytes, signature: str) -> None:
        if not is_equal(self._next(text), signature):
            raise does_not_match(self._access_key, signature, text)
