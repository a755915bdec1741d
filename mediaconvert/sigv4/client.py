"""Signs requests in Signature Version 4: the demo's and the tests' side.

Sans-I/O: the caller brings the time. What is signed is exactly what will be sent: the raw path
and query must be percent-encoded already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mediaconvert.sigv4.canonical import (
    ALGORITHM,
    Claim,
    CredentialScope,
    PayloadKind,
    SignedRequest,
    canonical_request,
    encode,
    format_timestamp,
    hex_hmac,
    signing_key,
    string_to_sign,
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    access_key: str
    secret: str = field(repr=False)
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed request, and the claim that it makes (the first link of a chunk chain)."""

    request: SignedRequest
    claim: Claim


def sign(request: SignedRequest, keys: KeyPair, *, now: int, payload: str) -> Signed:
    """The request with `x-amz-date`, `x-amz-content-sha256` and `authorization` added.

    All of its headers are signed and it must have `host`. `payload` is the body's SHA-256 in
    hex or one of `PayloadKind`'s values; `now` is in seconds since 1970.
    """
    timestamp = format_timestamp(now)
    headers = [
        *request.headers,
        (b"x-amz-date", timestamp.encode()),
        (b"x-amz-content-sha256", payload.encode()),
    ]
    names = tuple(sorted({name.decode("latin-1") for name, _ in headers}))
    unsigned = SignedRequest(request.method, request.raw_path, request.raw_query, headers)
    claim = _claim(unsigned, keys, timestamp, names, payload, None)
    authorization = (
        f"{ALGORITHM} Credential={keys.access_key}/{claim.scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={claim.signature}"
    )
    headers.append((b"authorization", authorization.encode()))
    return Signed(
        SignedRequest(request.method, request.raw_path, request.raw_query, headers), claim
    )


def presign(
    request: SignedRequest, keys: KeyPair, *, now: int, expires_seconds: int = 3600
) -> bytes:
    """The raw query of a presigned URL for the request, whose headers (`host` at least) must
    then be sent as they are here."""
    timestamp = format_timestamp(now)
    names = tuple(sorted({name.decode("latin-1") for name, _ in request.headers}))
    scope = CredentialScope(timestamp[:8], keys.region)
    parameters = (
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{keys.access_key}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires_seconds)),
        ("X-Amz-SignedHeaders", ";".join(names)),
    )
    query = _with_parameters(request.raw_query, parameters)
    unsigned = SignedRequest(request.method, request.raw_path, query, request.headers)
    payload = str(PayloadKind.UNSIGNED)
    claim = _claim(unsigned, keys, timestamp, names, payload, expires_seconds)
    return _with_parameters(query, [("X-Amz-Signature", claim.signature)])


def _with_parameters(query: bytes, parameters: Sequence[tuple[str, str]]) -> bytes:
    added = [name.encode() + b"=" + encode(value.encode()) for name, value in parameters]
    return b"&".join(([query] if query else []) + added)


def _claim(
    request: SignedRequest,
    keys: KeyPair,
    timestamp: str,
    names: tuple[str, ...],
    payload: str,
    expires_seconds: int | None,
) -> Claim:
    scope = CredentialScope(timestamp[:8], keys.region)
    is_presigned = expires_seconds is not None
    canonical = canonical_request(request, names, payload, is_presigned=is_presigned)
    to_sign = string_to_sign(timestamp, scope, canonical)
    signature = hex_hmac(signing_key(keys.secret, scope), to_sign)
    return Claim(keys.access_key, scope, timestamp, names, signature, payload, expires_seconds)
