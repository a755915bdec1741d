"""Decodes aws-chunked bodies as they arrive: signed or not, with trailers or without.

Sans-I/O and of bounded memory: what is fed comes out again at once, less its framing. Bytes
that came out are proven only once `finish` has returned, so nothing may be committed before.
Rules: S3 API Reference, Signature calculations for the Authorization header: transferring
payload in multiple chunks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from enum import Enum, auto

from mediaconvert.api.s3.errors import S3Error, from_signature
from mediaconvert.errors import IncompleteBody
from mediaconvert.sigv4.canonical import PayloadKind, SignatureError
from mediaconvert.sigv4.chunks import ChunkChain

MAX_LINE_BYTES = 256
"""16 hex digits and a signature need 98."""
MAX_TRAILER_BYTES = 4096
TRAILER_SIGNATURE = "x-amz-trailer-signature"

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;([^\r\n]*))?")
_SIGNATURE = re.compile(rb"chunk-signature=([0-9a-f]{64})")
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")

# A piece smaller than this is joined with its neighbours, so that a body of one-byte chunks
# does not become a million writes.
_SMALL_PIECE_BYTES = 4096


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    """The CRLF behind a chunk's data."""
    TRAILER = auto()
    """Everything behind the last chunk's line, up to the end of the HTTP body."""


class ChunkedDecoder:
    """One body's decoder: `feed` everything, then `finish`.

    `decoded_length` is `x-amz-decoded-content-length`; `chain` follows the signatures of the
    two signed kinds and must be given for them; `announced` are the names in `x-amz-trailer`.
    """

    def __init__(
        self,
        kind: PayloadKind,
        decoded_length: int,
        *,
        chain: ChunkChain | None = None,
        announced: Collection[str] = (),
    ) -> None:
        if not kind.is_chunked:
            raise ValueError(f"a body of kind {kind} is not aws-chunked")
        if kind.is_chunk_signed and chain is None:
            raise ValueError(f"a body of kind {kind} needs the chain of its signatures")
        self._kind = kind
        self._chain = chain if kind.is_chunk_signed else None
        self._announced = frozenset(name.strip().lower() for name in announced)
        self._declared = decoded_length
        self._received = 0
        self._state = _State.SIZE
        self._line = bytearray()
        self._left = 0
        """Of the current chunk's data."""
        self._hash = hashlib.sha256()
        self._signature = ""
        self._trailer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The body's own bytes in `data`, in order. Raises S3Error (IncompleteBody,
        SignatureDoesNotMatch, MalformedTrailerError, InvalidRequest)."""
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            match self._state:
                case _State.SIZE:
                    position = self._take_line(data, position)
                case _State.DATA:
                    end = min(len(data), position + self._left)
                    self._take_data(data[position:end], pieces)
                    position = end
                case _State.DATA_END:
                    position = self._take_line(data, position)
                case _State.TRAILER:
                    self._trailer += data[position:]
                    if len(self._trailer) > MAX_TRAILER_BYTES:
                        raise _malformed_trailer(f"it is over {MAX_TRAILER_BYTES} bytes long")
                    position = len(data)
        return _joined(pieces)

    def finish(self) -> Mapping[str, str]:
        """The body has ended: check that it is whole, and answer its trailers, names in lower
        case. Raises as `feed`, and IncompleteBody where bytes are missing."""
        if self._state is not _State.TRAILER or self._received != self._declared:
            raise IncompleteBody(self._declared, self._received)
        trailers = self._parse_trailer()
        signature = trailers.pop(TRAILER_SIGNATURE, None)
        if self._chain is not None and self._kind.has_trailer:
            if signature is None:
                raise _malformed_trailer(f"{TRAILER_SIGNATURE} is missing")
            try:
                self._chain.check_trailer(trailers.items(), signature)
            except SignatureError as error:
                raise from_signature(error) from None
        unknown = sorted(set(trailers) - self._announced)
        if unknown:
            raise _malformed_trailer(f"{unknown[0]!r} was not announced in x-amz-trailer")
        return trailers

    def _take_line(self, data: bytes, position: int) -> int:
        """Collect a line up to its CRLF, then act on it. Answers where to go on."""
        newline = data.find(b"\n", position)
        end = len(data) if newline < 0 else newline + 1
        self._line += data[position:end]
        if len(self._line) > MAX_LINE_BYTES:
            raise _malformed_chunk(f"a chunk's line is over {MAX_LINE_BYTES} bytes long")
        if newline >= 0:
            line = bytes(self._line)
            self._line.clear()
            if not line.endswith(b"\r\n"):
                raise _malformed_chunk("a chunk's line does not end with CRLF")
            self._act_on_line(line[:-2])
        return end

    def _act_on_line(self, line: bytes) -> None:
        if self._state is _State.DATA_END:
            if line:
                raise _malformed_chunk("a chunk's data go on behind their announced end")
            self._state = _State.SIZE
            return
        size, self._signature = self._parse_size_line(line)
        if size > self._declared - self._received:
            raise S3Error(
                "IncompleteBody",
                f"The request body has more bytes than x-amz-decoded-content-length declared "
                f"({self._declared})",
            )
        self._left = size
        self._hash = hashlib.sha256()
        if size == 0:
            self._check_chunk()
            self._state = _State.TRAILER
        else:
            self._state = _State.DATA

    def _parse_size_line(self, line: bytes) -> tuple[int, str]:
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise _malformed_chunk(f"{line[:40]!r} is not a chunk's size in hex")
        signature = _SIGNATURE.fullmatch(found[2] or b"")
        if self._chain is not None and signature is None:
            raise _malformed_chunk("a chunk has no chunk-signature of 64 hex digits")
        return int(found[1], 16), signature[1].decode("ascii") if signature else ""

    def _take_data(self, piece: bytes, pieces: list[bytes]) -> None:
        pieces.append(piece)
        self._left -= len(piece)
        self._received += len(piece)
        if self._chain is not None:
            self._hash.update(piece)
        if self._left == 0:
            self._check_chunk()
            self._state = _State.DATA_END

    def _check_chunk(self) -> None:
        if self._chain is None:
            return
        try:
            self._chain.check_chunk(self._hash.hexdigest(), self._signature)
        except SignatureError as error:
            raise from_signature(error) from None

    def _parse_trailer(self) -> dict[str, str]:
        """Lines of `name:value`. Blank lines and bare line feeds are let pass: SDKs differ in
        where they put them, and the HTTP body's end is the trailer's."""
        trailers: dict[str, str] = {}
        for line in self._trailer.decode("latin-1").split("\n"):
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if not colon or not _NAME.fullmatch(name) or name in trailers:
                raise _malformed_trailer(f"{line[:40]!r} is no trailer, or there twice")
            trailers[name] = value.strip()
        if trailers and not self._kind.has_trailer:
            raise _malformed_trailer(f"a body of kind {self._kind} has none")
        return trailers


def _joined(pieces: list[bytes]) -> list[bytes]:
    """Neighbours joined until none is small, save the last."""
    if len(pieces) < 2:
        return pieces
    result: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) >= _SMALL_PIECE_BYTES and not small:
            result.append(piece)
            continue
        small.append(piece)
        size += len(piece)
        if size >= _SMALL_PIECE_BYTES:
            result.append(b"".join(small))
            small, size = [], 0
    if small:
        result.append(b"".join(small))
    return result


def _malformed_chunk(reason: str) -> S3Error:
    return S3Error("InvalidRequest", f"The aws-chunked body is malformed: {reason}")


def _malformed_trailer(reason: str) -> S3Error:
    return S3Error(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our "
        f"published schema: {reason}",
    )
