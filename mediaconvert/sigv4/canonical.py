"""The canonical form of a request and what is signed of it, for Signature Version 4.

A request's raw path is decoded strictly, encoded once and never normalised (S3 API Reference:
Authenticating Requests). Holds the values that the other modules of the room speak in.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_tz
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mediaconvert.errors import MediaConvertError

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256().hexdigest()

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class SignatureError(MediaConvertError):
    """A request whose authentication is missing, malformed or wrong.

    `code` is S3's error code and `fields` its further elements, for `api/s3/errors.py`."""

    def __init__(self, code: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = dict(fields or {})


class PayloadKind(StrEnum):
    """What `x-amz-content-sha256` says about the body. All but the first two are aws-chunked."""

    SHA256 = "SHA256"
    """The header is the body's own SHA-256."""
    UNSIGNED = "UNSIGNED-PAYLOAD"
    STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def is_chunked(self) -> bool:
        return self.startswith("STREAMING-")

    @property
    def is_chunk_signed(self) -> bool:
        return self in (PayloadKind.STREAMING, PayloadKind.STREAMING_TRAILER)

    @property
    def has_trailer(self) -> bool:
        return self.endswith("-TRAILER")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers, exactly as they were sent."""

    method: str
    raw_path: bytes
    """Without the query."""
    raw_query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case, as ASGI has them."""

    def header(self, name: bytes) -> bytes | None:
        """All values of the name joined by commas; None where there is none."""
        values = [value for key, value in self.headers if key == name]
        return b",".join(values) if values else None

    def query(self) -> list[tuple[bytes, bytes]]:
        """Decoded names and values, in order; a plus is a space. Raises SignatureError."""
        pairs = (item.partition(b"=") for item in self.raw_query.split(b"&") if item)
        return [
            (decode(name.replace(b"+", b" ")), decode(value.replace(b"+", b" ")))
            for name, _, value in pairs
        ]


@dataclass(frozen=True, slots=True)
class CredentialScope:
    """All of a Credential but its key: `20130524/us-east-1/s3/aws4_request`."""

    date: str
    region: str
    service: str = "s3"

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about who signed it, when and what; nothing is proven yet."""

    access_key: str
    scope: CredentialScope
    timestamp: str
    """`20130524T000000Z`."""
    signed_headers: tuple[str, ...]
    """In lower case, sorted."""
    signature: str
    payload: str
    """What stands for the body in the canonical request."""
    expires_seconds: int | None = None
    """Of a presigned URL; None for an Authorization header."""

    @property
    def is_presigned(self) -> bool:
        return self.expires_seconds is not None


# --- canonical form ---------------------------------------------------------------------------


def canonical_request(
    request: SignedRequest, signed_headers: Iterable[str], payload: str, *, is_presigned: bool
) -> bytes:
    """The text whose hash is signed. Of a presigned request all but `X-Amz-Signature` counts.
    Raises SignatureError InvalidURI for a path or query that is not percent-encoded."""
    names = tuple(signed_headers)
    lines = [
        request.method.encode("latin-1"),
        encode(decode(request.raw_path), safe="/"),
        _canonical_query(request, is_presigned=is_presigned),
        *(name.encode("latin-1") + b":" + _canonical_value(request, name) for name in names),
        b"",
        ";".join(names).encode("latin-1"),
        payload.encode("latin-1", "replace"),
    ]
    return b"\n".join(lines)


def _canonical_query(request: SignedRequest, *, is_presigned: bool) -> bytes:
    pairs = [
        (encode(name), encode(value))
        for name, value in request.query()
        if not (is_presigned and name == b"X-Amz-Signature")
    ]
    return b"&".join(name + b"=" + value for name, value in sorted(pairs))


def _canonical_value(request: SignedRequest, name: str) -> bytes:
    """Values trimmed, runs of spaces folded, several of one name joined by commas."""
    wanted = name.encode("latin-1")
    return b",".join(b" ".join(v.split()) for key, v in request.headers if key == wanted)


def encode(raw: bytes, *, safe: str = "") -> bytes:
    """S3's UriEncode: everything but `A-Za-z0-9-._~` becomes `%XX`."""
    return quote_from_bytes(raw, safe=safe).encode("ascii")


def decode(raw: bytes) -> bytes:
    """Strict percent-decoding. Raises SignatureError InvalidURI."""
    if b"%" in raw and _BROKEN_ESCAPE.search(raw):
        raise SignatureError(
            "InvalidURI", "Couldn't parse the specified URI: '%' must be followed by two hex digits"
        )
    return unquote_to_bytes(raw)


def string_to_sign(timestamp: str, scope: CredentialScope, canonical: bytes) -> bytes:
    digest = hashlib.sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}".encode("latin-1", "replace")


@lru_cache(maxsize=1024)
def signing_key(secret: str, scope: CredentialScope) -> bytes:
    """The key of one day, region and service; four HMACs, hence the cache."""
    key = b"AWS4" + secret.encode("utf-8")
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8"), "sha256")
    return key


def hex_hmac(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()


def is_equal(computed: str, given: str) -> bool:
    """Comparison in constant time, of texts that a client may have filled with anything."""
    return hmac.compare_digest(computed.encode("utf-8"), given.encode("utf-8", "replace"))


# --- times ------------------------------------------------------------------------------------


def parse_timestamp(text: str) -> int | None:
    """Seconds since 1970 of `20130524T000000Z`; None for anything else."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def format_timestamp(seconds: int) -> str:
    """`20130524T000000Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"


def parse_http_date(value: str | None) -> int | None:
    """Seconds since 1970 of a date in any of the three forms of RFC 9110 §5.6.7; None for
    what is none."""
    parsed = parsedate_tz(value) if value else None
    if parsed is None:
        return None
    try:
        datetime(*parsed[:6])  # the parser takes days and hours that do not exist
        seconds = calendar.timegm((*parsed[:6], 0, 1, 0)) - (parsed[9] or 0)
        datetime.fromtimestamp(seconds, UTC)  # and zones that lead out of all years
    except (ValueError, OverflowError):
        return None
    return seconds


def iso(seconds: int) -> str:
    """As S3's errors tell times: `2013-05-24T00:00:00Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
