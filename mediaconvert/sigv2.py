"""AWS Signature Version 2 for S3: presigned URLs, which boto3 and aws cli v1 still make by
default for us-east-1, and the older Authorization header.

Sans-I/O, as `sigv4`. The rules are those of the S3 User Guide (Appendix: Signing and
authenticating REST requests, signature version 2). Whether either form is accepted at all is
a setting, which `api/s3/auth.py` heeds.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mediaconvert.sigv4.canonical import (
    SignatureError,
    SignedRequest,
    is_equal,
    parse_http_date,
)
from mediaconvert.sigv4.checks import check_skew, does_not_match

STANDARD_HEADERS = ("content-md5", "content-type")
"""Signed by name, in this order; a presigned URL may carry them as parameters instead."""

# Parameters that name another resource or change the answer: part of what is signed.
_SIGNED_PARAMETERS = frozenset(
    name.encode()
    for name in (
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "partNumber",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    )
)


@dataclass(frozen=True, slots=True)
class ClaimV2:
    """Who signed a request, by its own word; nothing is proven yet."""

    access_key: str
    signature: str
    """Base64 of 20 bytes."""
    expires_at: int | None
    """Seconds since 1970, of a presigned URL; None for an Authorization header."""

    @property
    def is_presigned(self) -> bool:
        return self.expires_at is not None


def parse_authorization(request: SignedRequest) -> ClaimV2:
    """The claim in `Authorization: AWS <key>:<signature>`. Raises SignatureError."""
    text = (request.header(b"authorization") or b"").decode("latin-1").strip()
    access_key, colon, signature = text.removeprefix("AWS ").strip().rpartition(":")
    if not (colon and access_key and signature):
        raise SignatureError(
            "InvalidArgument",
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature",
            {"ArgumentName": "Authorization"},
        )
    return ClaimV2(access_key, signature, None)


def parse_presigned(request: SignedRequest) -> ClaimV2:
    """The claim in the parameters AWSAccessKeyId, Signature and Expires. Raises
    SignatureError."""
    names = (b"AWSAccessKeyId", b"Signature", b"Expires")
    values = {name: [v for n, v in request.query() if n == name] for name in names}
    if any(len(found) != 1 or not found[0] for found in values.values()):
        raise SignatureError(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters, each once",
        )
    access_key, signature, expires = (values[name][0].decode("latin-1") for name in names)
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        raise SignatureError(
            "AccessDenied",
            f"Invalid date (should be seconds since epoch): {expires}",
        )
    return ClaimV2(access_key, signature, int(expires))


def check_time(request: SignedRequest, claim: ClaimV2, now: int) -> None:
    """A presigned URL is good until it expires; a header for 15 minutes around its date.
    `now` in seconds. Raises SignatureError."""
    if claim.expires_at is not None:
        if now > claim.expires_at:
            raise SignatureError(
                "AccessDenied",
                "Request has expired",
                {"Expires": _iso(claim.expires_at), "ServerTime": _iso(now)},
            )
        return
    value = request.header(b"x-amz-date") or request.header(b"date") or b""
    signed_at = parse_http_date(value.decode("latin-1").strip())
    if signed_at is None:
        raise SignatureError(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    check_skew(signed_at, now)


def check_signature(
    request: SignedRequest, claim: ClaimV2, secret: str, *, virtual_bucket: str | None = None
) -> None:
    """`virtual_bucket` is the bucket that the Host header named, if it did: the signature
    covers the path as if the bucket stood in it. Raises SignatureError."""
    text = string_to_sign(request, claim.expires_at, virtual_bucket=virtual_bucket)
    if is_equal(sign(secret, text), claim.signature):
        return
    # A bucket's path may be sent without its last slash and signed with it: botocore does.
    if virtual_bucket is None and request.raw_path.count(b"/") == 1 and request.raw_path != b"/":
        slashed = replace(request, raw_path=request.raw_path + b"/")
        if is_equal(sign(secret, string_to_sign(slashed, claim.expires_at)), claim.signature):
            return
    raise does_not_match(claim.access_key, claim.signature, text)


def sign(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode("utf-8"), text, "sha1")).decode("ascii")


def string_to_sign(
    request: SignedRequest, expires_at: int | None, *, virtual_bucket: str | None = None
) -> bytes:
    """Method, Content-MD5, Content-Type, date or expiry, `x-amz-` headers, resource."""
    is_presigned = expires_at is not None
    amz = _amz_values(request, is_presigned=is_presigned)
    if expires_at is not None:
        date = str(expires_at).encode()
    else:
        # With x-amz-date among the signed headers the Date line stays empty.
        date = b"" if b"x-amz-date" in amz else (request.header(b"date") or b"").strip()
    lines = [
        request.method.encode("latin-1"),
        *(_standard(request, n.encode(), is_presigned=is_presigned) for n in STANDARD_HEADERS),
        date,
        *(name + b":" + b",".join(amz[name]) for name in sorted(amz)),
        _resource(request, virtual_bucket),
    ]
    return b"\n".join(lines)


def _standard(request: SignedRequest, name: bytes, *, is_presigned: bool) -> bytes:
    """A header's value; of a presigned URL, which may carry it instead, the parameter's."""
    value = request.header(name)
    if value is None and is_presigned:
        value = next((v for n, v in request.query() if n.lower() == name), None)
    return (value or b"").strip()


def _amz_values(request: SignedRequest, *, is_presigned: bool) -> dict[bytes, list[bytes]]:
    """`x-amz-*` headers; of a presigned URL also those that it carries as parameters."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        if name.startswith(b"x-amz-"):
            found.setdefault(name, []).append(b" ".join(value.split()))
    if is_presigned:
        for name, value in request.query():
            lowered = name.lower()
            if lowered.startswith(b"x-amz-") and lowered not in found:
                found[lowered] = [b" ".join(value.split())]
    return found


def _resource(request: SignedRequest, virtual_bucket: str | None) -> bytes:
    """The path as it was sent, with the bucket in front where the host named it, and the
    parameters that count, by name, their values decoded."""
    path = request.raw_path or b"/"
    if virtual_bucket is not None:
        path = b"/" + virtual_bucket.encode("utf-8") + path
    present = {item.partition(b"=")[0] for item in request.raw_query.split(b"&") if b"=" in item}
    signed = sorted((n, v) for n, v in request.query() if n in _SIGNED_PARAMETERS)
    items = [n + b"=" + v if n in present else n for n, v in signed]
    return path + (b"?" + b"&".join(items) if items else b"")


def _iso(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        return str(seconds)
