"""What an S3 handler answers: a status, headers and bytes or a stream, as one value.

Handlers build these and never write to the connection; `dispatch.py` is the one place that
does. No I/O here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

OpenStream = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. `length` is the Content-Length where the body is a stream, or where the
    request was a HEAD (then neither `body` nor `stream` is sent)."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; values in Latin-1."""
    body: bytes = b""
    stream: OpenStream | None = None
    length: int | None = None

    @property
    def content_length(self) -> int:
        return len(self.body) if self.length is None else self.length


def xml_response(document: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """200 with an XML document."""
    return Response(200, {"content-type": "application/xml", **(headers or {})}, document)


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    return Response(204, headers or {})
