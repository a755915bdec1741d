"""Whether a version 4 claim holds: its scope, its time, its headers, its signature.

The four checks of a request, in the order in which `api/s3/auth.py` makes them; the third and
fourth need the key. No clock: the caller says what time it is.
"""

from __future__ import annotations

from mediaconvert.sigv4.canonical import (
    Claim,
    SignatureError,
    SignedRequest,
    canonical_request,
    hex_hmac,
    is_equal,
    iso,
    parse_timestamp,
    signing_key,
    string_to_sign,
)

MAX_SKEW_SECONDS = 15 * 60


def check_scope(claim: Claim, *, region: str | None) -> None:
    """The service is S3 and the region, unless `region` is None, exactly the one given.
    Raises SignatureError."""
    is_query = claim.is_presigned
    code = "AuthorizationQueryParametersError" if is_query else "AuthorizationHeaderMalformed"
    what = (
        "Error parsing the X-Amz-Credential parameter"
        if is_query
        else ("The authorization header is malformed")
    )
    if claim.scope.service != "s3":
        raise SignatureError(
            code,
            f"{what}; incorrect service {claim.scope.service!r}. This endpoint belongs to 's3'.",
        )
    if region is not None and claim.scope.region != region:
        raise SignatureError(
            code,
            f"{what}; the region {claim.scope.region!r} is wrong; expecting {region!r}",
            {"Region": region},
        )


def check_time(claim: Claim, now: int) -> None:
    """An Authorization header is good for 15 minutes around its time, a presigned URL from 15
    minutes before it until it expires. `now` in seconds. Raises SignatureError."""
    signed_at = parse_timestamp(claim.timestamp) or 0
    if claim.expires_seconds is None:
        check_skew(signed_at, now)
        return
    if signed_at > now + MAX_SKEW_SECONDS:
        raise SignatureError("AccessDenied", "Request is not valid yet", {"ServerTime": iso(now)})
    expires = signed_at + claim.expires_seconds
    if now > expires:
        raise SignatureError(
            "AccessDenied",
            "Request has expired",
            {
                "X-Amz-Expires": str(claim.expires_seconds),
                "Expires": iso(expires),
                "ServerTime": iso(now),
            },
        )


def check_skew(signed_at: int, now: int) -> None:
    """Raises SignatureError RequestTimeTooSkewed over 15 minutes; both in seconds."""
    if abs(now - signed_at) > MAX_SKEW_SECONDS:
        raise SignatureError(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            {
                "RequestTime": iso(signed_at),
                "ServerTime": iso(now),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000),
            },
        )


def check_signed_headers(request: SignedRequest, claim: Claim) -> None:
    """`host` and every `x-amz-*` header must be signed, save `x-amz-content-sha256`, which
    is part of the canonical request anyway. Raises SignatureError AccessDenied."""
    present = {key.decode("latin-1") for key, _ in request.headers if key.startswith(b"x-amz-")}
    needed = (present | {"host"}) - {"x-amz-content-sha256"}
    missing = sorted(needed.difference(claim.signed_headers))
    if missing:
        raise SignatureError(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(missing)},
        )


def check_signature(request: SignedRequest, claim: Claim, secret: str) -> None:
    """Raises SignatureError SignatureDoesNotMatch, with what we computed it from."""
    canonical = canonical_request(
        request, claim.signed_headers, claim.payload, is_presigned=claim.is_presigned
    )
    to_sign = string_to_sign(claim.timestamp, claim.scope, canonical)
    computed = hex_hmac(signing_key(secret, claim.scope), to_sign)
    if not is_equal(computed, claim.signature):
        raise does_not_match(claim.access_key, claim.signature, to_sign, canonical)


def does_not_match(
    access_key: str, given: str, to_sign: bytes, canonical: bytes | None = None
) -> SignatureError:
    """SignatureDoesNotMatch as S3 explains it; `canonical` where the version has one."""
    fields = {
        "AWSAccessKeyId": access_key,
        "StringToSign": to_sign.decode("utf-8", "replace"),
        "SignatureProvided": given,
        "StringToSignBytes": to_sign.hex(" "),
    }
    if canonical is not None:
        fields["CanonicalRequest"] = canonical.decode("utf-8", "replace")
        fields["CanonicalRequestBytes"] = canonical.hex(" ")
    return SignatureError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method.",
        fields,
    )
