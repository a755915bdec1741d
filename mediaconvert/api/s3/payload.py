"""A request's body as `intake` wants it: what was declared, then the bytes less their framing.

Nothing is read when a Payload is made, so a refusal before the first piece costs the client
no body. The bytes are proven only when the iteration has come to its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from mediaconvert.api.body import RequestBody
from mediaconvert.api.s3.chunked import ChunkedDecoder
from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.integrity import (
    DeclaredChecksum,
    declares_checksum,
    parse_checksum,
    parse_content_md5,
    parse_decoded_length,
    parse_trailing_checksum,
)
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.digests import Digests
from mediaconvert.errors import BodyTooLarge
from mediaconvert.model import Checksum
from mediaconvert.receiving import Declared, verify
from mediaconvert.sigv4.canonical import EMPTY_SHA256, PayloadKind


class Payload:
    """The body of a PUT. Raises S3Error and Refusals for whatever its headers say wrongly:
    MissingContentLength, EntityTooLarge (over `limit` bytes), InvalidDigest, InvalidRequest."""

    def __init__(self, request: S3Request, *, limit: int, has_checksum: bool = True) -> None:
        headers, identity = request.headers, request.identity
        self._body = request.body
        self._decoder: ChunkedDecoder | None = None
        self._trailers: Mapping[str, str] = {}
        checksum = parse_checksum(headers) if has_checksum else DeclaredChecksum()
        if identity.payload.is_chunked:
            size = parse_decoded_length(headers)
            self._decoder = ChunkedDecoder(
                identity.payload,
                size,
                chain=identity.chunk_chain(),
                announced=headers.get("x-amz-trailer", "").split(","),
            )
        else:
            size = _content_length(headers, self._body)
        if size > limit:
            raise BodyTooLarge(size, limit)
        self.declared = Declared(
            size=size,
            md5=parse_content_md5(headers),
            sha256=identity.payload_sha256,
            checksum=checksum.checksum,
            trailing=checksum.trailing,
        )

    def pieces(self) -> AsyncIterator[bytes]:
        return self._body if self._decoder is None else _Decoded(self._body, self._decoder, self)

    def trailing_checksum(self) -> Checksum | None:
        algorithm = self.declared.trailing
        return None if algorithm is None else parse_trailing_checksum(self._trailers, algorithm)

    def finish(self, decoder: ChunkedDecoder) -> None:
        """The framed body has come to its end."""
        self._trailers = decoder.finish()


class _Decoded:
    """The pieces of an aws-chunked body."""

    def __init__(self, body: RequestBody, decoder: ChunkedDecoder, payload: Payload) -> None:
        self._body = body
        self._decoder = decoder
        self._payload = payload
        self._waiting: list[bytes] = []
        self._is_finished = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._waiting:
            if self._is_finished:
                raise StopAsyncIteration
            piece = await anext(self._body, None)
            if piece is None:
                self._is_finished = True
                self._payload.finish(self._decoder)
            else:
                self._waiting = self._decoder.feed(piece)[::-1]
        return self._waiting.pop()


def _content_length(headers: Mapping[str, str], body: RequestBody) -> int:
    if "content-length" not in headers or body.declared_length is None:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    return body.declared_length


SMALL_DOCUMENT_BYTES = 64 << 10
"""1,000 connections x 64 KiB: at most 64 MiB."""
MAX_UNUSED_BYTES = SMALL_DOCUMENT_BYTES
"""Accepted of a body that the operation has no use for."""


async def read_document(
    services: Services,
    request: S3Request,
    limit: int,
    *,
    needs_digest: bool = False,
    has_checksum: bool = True,
) -> bytes:
    """A document whole, compared with all that was declared of it. With `needs_digest` one
    of Content-MD5 and x-amz-checksum-* must be there (S3 API: DeleteObjects)."""
    payload = Payload(request, limit=limit, has_checksum=has_checksum)
    declared = payload.declared
    if needs_digest and declared.md5 is None and declared.algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    algorithms = (declared.algorithm,) if declared.algorithm else ()
    digests = Digests(algorithms, payload_sha256=declared.sha256 is not None)
    pieces = []
    with ExitStack() as place:
        if declared.size > SMALL_DOCUMENT_BYTES:
            place.enter_context(services.document_places.taken_by(request.user_id))
        async for piece in payload.pieces():
            digests.update(piece)
            pieces.append(piece)
    verify(payload, digests)
    return b"".join(pieces)


async def read_optional_document(services: Services, request: S3Request, limit: int) -> bytes:
    """A body that may be missing, compared with all that was declared of it.

    Operations without a body discard the result: a body that the signature covers (or that
    UNSIGNED-PAYLOAD leaves open) is read and has no effect, as on AWS, one that is not what was
    signed is refused. Reading it keeps the connection in step with its client. Raises as
    `read_document`, but needs no Content-Length.
    """
    request = _without_blank_md5(request)
    if _is_plainly_empty(request):
        return b""
    if request.identity.payload.is_chunked:
        return await read_document(services, request, limit)
    has_checksum = declares_checksum(request.headers)
    checksum = parse_checksum(request.headers) if has_checksum else DeclaredChecksum()
    body = await request.body.read_all(limit)
    declared = Declared(
        size=len(body),
        md5=parse_content_md5(request.headers),
        sha256=request.identity.payload_sha256,
        checksum=checksum.checksum,
        trailing=checksum.trailing,
    )
    algorithms = (declared.algorithm,) if declared.algorithm else ()
    digests = Digests(algorithms, payload_sha256=declared.sha256 is not None)
    digests.update(body)
    verify(_Whole(declared), digests)
    return body


def _without_blank_md5(request: S3Request) -> S3Request:
    """A Content-MD5 without a value declares nothing. PutObject and UploadPart refuse it, as S3
    does; here it may come with requests that have no body."""
    if request.headers.get("content-md5") != "":
        return request
    headers = {name: value for name, value in request.headers.items() if name != "content-md5"}
    return replace(request, headers=headers)


def _is_plainly_empty(request: S3Request) -> bool:
    """Whether there is no body and nothing that says otherwise: most requests by far."""
    return (
        request.body.declared_length == 0
        and request.identity.payload in (PayloadKind.SHA256, PayloadKind.UNSIGNED)
        and request.identity.payload_sha256 in (None, EMPTY_SHA256)
        and "content-md5" not in request.headers
        and not declares_checksum(request.headers)
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """A body that has been read; it cannot have trailers."""

    declared: Declared

    def trailing_checksum(self) -> None:
        return None
