"""Reads what a request claims in Signature Version 4: header, presigned query or POST form.

Strict about form and silent about truth, which `checks.py` does. The texts of refusals are
S3's, for clients and people search for them. Pure; called by `api/s3/auth.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mediaconvert.sigv4.canonical import (
    ALGORITHM,
    Claim,
    CredentialScope,
    PayloadKind,
    SignatureError,
    SignedRequest,
    format_timestamp,
    hex_hmac,
    is_equal,
    parse_http_date,
    parse_timestamp,
    signing_key,
)
from mediaconvert.sigv4.checks import does_not_match

MAX_EXPIRES_SECONDS = 7 * 24 * 3600

_HEX64 = re.compile(r"[0-9a-f]{64}")
_PARAMETERS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
_Malformed = Callable[[str], SignatureError]


@dataclass(frozen=True, slots=True)
class PostClaim:
    """The signature of a browser's POST form: over its policy and nothing else."""

    access_key: str
    scope: CredentialScope
    policy: str
    """Base64, as it was sent and signed."""
    signature: str


def parse_authorization(request: SignedRequest) -> Claim:
    """The claim in an `Authorization: AWS4-HMAC-SHA256 …` header. Raises SignatureError."""
    text = (request.header(b"authorization") or b"").decode("latin-1").strip()
    fields: dict[str, str] = {}
    for item in text.removeprefix(ALGORITHM).split(","):
        name, equals, value = item.strip().partition("=")
        if not equals or name in fields:
            raise _malformed_header(f"{name[:40]!r} is not one of its three fields")
        fields[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise _malformed_header(f"{name} is missing")
    access_key, scope = _parse_credential(fields["Credential"], _malformed_header)
    timestamp = _header_timestamp(request)
    _check_date(scope, timestamp, _malformed_header)
    payload = request.header(b"x-amz-content-sha256")
    if payload is None:
        raise SignatureError(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    return Claim(
        access_key,
        scope,
        timestamp,
        _parse_signed_headers(fields["SignedHeaders"], _malformed_header),
        _parse_signature(fields["Signature"], _malformed_header),
        payload.decode("latin-1").strip(),
    )


def parse_presigned(request: SignedRequest) -> Claim:
    """The claim in the `X-Amz-…` parameters of a presigned URL. Raises SignatureError."""
    given = [(n[6:].decode("latin-1"), v) for n, v in request.query() if n.startswith(b"X-Amz-")]
    fields = {name: value.decode("latin-1") for name, value in given}
    names = [name for name, _ in given]
    if any(not fields.get(n) or names.count(n) > 1 for n in _PARAMETERS):
        raise _malformed_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters, each once."
        )
    if fields["Algorithm"] != ALGORITHM:
        raise _malformed_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    access_key, scope = _parse_credential(fields["Credential"], _malformed_query)
    if parse_timestamp(fields["Date"]) is None:
        raise _malformed_query(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    _check_date(scope, fields["Date"], _malformed_query)
    signed_headers = _parse_signed_headers(fields["SignedHeaders"], _malformed_query)
    return Claim(
        access_key,
        scope,
        fields["Date"],
        signed_headers,
        _parse_signature(fields["Signature"], _malformed_query),
        _presigned_payload(request, fields, signed_headers),
        _parse_expires(fields["Expires"]),
    )


def parse_post(fields: Mapping[str, str]) -> PostClaim:
    """The claim in a POST form, whose field names are in lower case (S3 API: POST Object).
    Raises SignatureError."""
    for name in ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
        if not fields.get(name):
            raise SignatureError(
                "InvalidArgument",
                f"Bucket POST must contain a field named '{name}'.",
                {"ArgumentName": name, "ArgumentValue": ""},
            )
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise _malformed_query(f'x-amz-algorithm only supports "{ALGORITHM}"')
    access_key, scope = _parse_credential(fields["x-amz-credential"], _malformed_query)
    _check_date(scope, fields["x-amz-date"], _malformed_query)
    signature = _parse_signature(fields["x-amz-signature"], _malformed_query)
    return PostClaim(access_key, scope, fields["policy"], signature)


def check_post_signature(claim: PostClaim, secret: str) -> None:
    """Raises SignatureError SignatureDoesNotMatch. What the policy allows, and until when, is
    the caller's to check."""
    policy = claim.policy.encode("latin-1", "replace")
    if not is_equal(hex_hmac(signing_key(secret, claim.scope), policy), claim.signature):
        raise does_not_match(claim.access_key, claim.signature, policy)


def parse_payload(value: str) -> tuple[PayloadKind, str | None]:
    """What an `x-amz-content-sha256` value means, with the SHA-256 in lower case where it is
    one. Raises SignatureError InvalidArgument."""
    if _HEX64.fullmatch(value.lower()):
        return PayloadKind.SHA256, value.lower()
    for kind in PayloadKind:
        if value == kind and kind is not PayloadKind.SHA256:
            return kind, None
    kinds = ", ".join(k for k in PayloadKind if k is not PayloadKind.SHA256)
    raise SignatureError(
        "InvalidArgument",
        f"x-amz-content-sha256 must be {kinds}, or a valid sha256 value.",
        {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": value},
    )


def _presigned_payload(
    request: SignedRequest, fields: Mapping[str, str], signed_headers: Sequence[str]
) -> str:
    """A presigned URL leaves the body open, unless it says otherwise under its signature."""
    if "Content-Sha256" in fields:
        return fields["Content-Sha256"]
    header = request.header(b"x-amz-content-sha256")
    if header is not None and "x-amz-content-sha256" in signed_headers:
        return header.decode("latin-1").strip()
    return str(PayloadKind.UNSIGNED)


def _parse_expires(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _malformed_query("X-Amz-Expires should be a number")
    if len(text) > 10 or not 1 <= int(text) <= MAX_EXPIRES_SECONDS:
        raise _malformed_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            f"X-Amz-Expires must be 1 to {MAX_EXPIRES_SECONDS} seconds"
        )
    return int(text)


def _parse_credential(text: str, malformed: _Malformed) -> tuple[str, CredentialScope]:
    parts = text.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise malformed(
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/'
            'aws4_request".'
        )
    access_key, date, region, service, _ = parts
    if not re.fullmatch("[0-9]{8}", date):
        raise malformed(
            f"incorrect date format {date!r}. This date in the credential must be "
            'in the format "yyyyMMdd".'
        )
    return access_key, CredentialScope(date, region, service)


def _parse_signed_headers(text: str, malformed: _Malformed) -> tuple[str, ...]:
    names = text.split(";")
    if names != sorted(set(names)) or any(not name or name != name.lower() for name in names):
        raise malformed(
            f"SignedHeaders is {text!r}; it must be names in lower case, sorted, each once, "
            "separated by semicolons"
        )
    return tuple(names)


def _parse_signature(text: str, malformed: _Malformed) -> str:
    if not _HEX64.fullmatch(text):
        raise malformed("the Signature must be 64 lower-case hex digits")
    return text


def _header_timestamp(request: SignedRequest) -> str:
    """`x-amz-date`, or else `Date` in either form. Raises SignatureError AccessDenied."""
    for name in (b"x-amz-date", b"date"):
        value = request.header(name)
        if value is None:
            continue
        text = value.decode("latin-1").strip()
        if parse_timestamp(text) is not None:
            return text
        seconds = parse_http_date(text) if name == b"date" else None
        if seconds is not None:
            return format_timestamp(seconds)
        break
    raise SignatureError(
        "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
    )


def _check_date(scope: CredentialScope, timestamp: str, malformed: _Malformed) -> None:
    if scope.date != timestamp[:8]:
        raise malformed(
            f"Invalid credential date {scope.date!r}. This date is not the same as X-Amz-Date: "
            f"{timestamp[:8]!r}."
        )


def _malformed_header(reason: str) -> SignatureError:
    return SignatureError(
        "AuthorizationHeaderMalformed", f"The authorization header is malformed; {reason}"
    )


def _malformed_query(reason: str) -> SignatureError:
    return SignatureError("AuthorizationQueryParametersError", reason)
