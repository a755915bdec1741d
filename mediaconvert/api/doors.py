"""Which door a request goes to, REST or S3, and how a refusal looks before either has it.

Pure: no trio, no sockets. The gateway asks it for every request, the server for those that it
refuses itself (malformed, too slow, too many). Bucket names are checked against RESERVED_NAMES.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape

RESERVED_NAMES: tuple[str, ...] = (
    "api",
    "auth",
    "console",
    "docs",
    "favicon.ico",
    "health",
    "healthz",
    "livez",
    "metrics",
    "openapi.json",
    "ready",
    "readyz",
    "redoc",
    "robots.txt",
    "static",
    "swagger",
)
"""First path segments that are not S3's; none of them can be a bucket name."""

_RESERVED = frozenset(name.encode() for name in RESERVED_NAMES)


class Door(Enum):
    REST = "rest"
    S3 = "s3"


def door_of(
    raw_path: bytes,
    host: bytes | None = None,
    domain: str = "",
    authorization: bytes | None = None,
) -> Door:
    """The door for a path as it came over the wire (without query).

    A virtual-host style Host (`bucket.domain`) is always S3, and so is what is signed as S3
    signs: an S3 client that asks for a reserved name is told so in its own words. Else the
    first segment decides, percent-decoded once as Quart's router will."""
    if authorization is not None and authorization.startswith((b"AWS4-", b"AWS ")):
        return Door.S3
    if domain and host is not None:
        name = host.decode("latin-1").rsplit(":", 1)[0].lower()
        if name.endswith("." + domain.lower()):
            return Door.S3
    first = raw_path.lstrip(b"/").split(b"/", 1)[0] if raw_path[:2] != b"//" else b""
    return Door.REST if unquote_to_bytes(first) in _RESERVED else Door.S3


# What XML 1.0 has no way to write; a malformed request line may hold it.
_UNWRITABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")

_XML_CODES = {
    "request_timeout": "RequestTimeout",
    "internal_error": "InternalError",
    "draining": "SlowDown",
    "too_many_connections": "SlowDown",
    "headers_too_large": "RequestHeaderSectionTooLarge",
    "not_implemented": "NotImplemented",
    "invalid_uri": "InvalidURI",
}
"""S3's names (S3 API, "Error responses") for the codes below; what is missing is a BadRequest.

SlowDown where all that helps is to wait: of the two codes of a 503, SDKs (botocore 1.44,
@smithy/core 3.41) wait up to 20 times longer for it, for a third of their retry quota."""


def refusal_body(
    door: Door, code: str, message: str, request_id: str, resource: str = "/"
) -> tuple[bytes, bytes]:
    """(content type, body) of an error in the door's own format. `code` is snake_case."""
    if door is Door.REST:
        text = json.dumps({"error": message, "code": code, "request_id": request_id})
        return b"application/json", text.encode()
    resource = _UNWRITABLE.sub("?", resource)
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{_XML_CODES.get(code, 'BadRequest')}</Code>"
        f"<Message>{escape(message)}</Message><Resource>{escape(resource)}</Resource>"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return b"application/xml", xml.encode()
