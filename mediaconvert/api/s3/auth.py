"""Who sent an S3 request: one function before routing, one credential source, or a refusal.

Reads the claim, finds its key, proves the signature, and answers with an `Authenticated` that
also says how the body is to be read. Signatures are computed in `sigv4` and `sigv2`; what a
caller may do with which bucket is the catalog's matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from mediaconvert import sigv2
from mediaconvert.api.s3.errors import from_signature
from mediaconvert.api.s3.integrity import CHECKSUM_HEADERS
from mediaconvert.api.s3.keycache import KeyCache, KnownKey, Unsealer
from mediaconvert.api.s3.keys import virtual_host_bucket
from mediaconvert.model import CredentialId, UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.settings import S3Settings
from mediaconvert.sigv4 import checks, claims
from mediaconvert.sigv4.canonical import (
    ALGORITHM,
    Claim,
    PayloadKind,
    SignatureError,
    SignedRequest,
)
from mediaconvert.sigv4.chunks import ChunkChain

# Parameters of presigned URLs that say how they are signed, and checksums of the body: SDKs put
# that of an empty body there, because they sign before there is one, and S3 takes no notice of
# it. Every other x-amz-* parameter stands for the header of its name.
_NO_HEADERS = frozenset(
    {
        *CHECKSUM_HEADERS,
        "x-amz-sdk-checksum-algorithm",
        "x-amz-algorithm",
        "x-amz-content-sha256",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
    }
)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A request whose signature holds."""

    user_id: UserId
    credential_id: CredentialId
    access_key: str
    owner_email: str
    payload: PayloadKind
    """How the body is sent, and what of it is signed."""
    payload_sha256: str | None
    """Lower-case hex, when `payload` is SHA256: the body must have it."""
    is_presigned: bool
    query_headers: Mapping[str, str]
    """Headers that the URL carries as parameters (`x-amz-meta-…`, `x-amz-acl`, …), presigned or
    not: a condition there must not be skipped. They hold unless the request has the header."""
    _claim: Claim | None = field(default=None, repr=False)
    _secret: str = field(default="", repr=False)

    def chunk_chain(self) -> ChunkChain | None:
        """Follows the signatures of this request's chunks from their first; None unless
        `payload.is_chunk_signed`. A new one each time."""
        if self._claim is None or not self.payload.is_chunk_signed:
            return None
        return ChunkChain(self._claim, self._secret)


class Authenticator:
    """Authenticates requests. Start `run` beside it, or revocations take up to a second."""

    def __init__(
        self,
        catalog: Catalog,
        notices: Notices,
        vault: Unsealer,
        settings: S3Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` answers seconds since 1970."""
        self._settings = settings
        self._clock = clock
        self._keys = KeyCache(
            catalog.credentials, notices, vault, note=catalog.housekeeping.damage.note
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget keys as they are revoked, until cancelled."""
        await self._keys.run(task_status=task_status)

    async def authenticate(self, scope: Mapping[str, Any]) -> Authenticated:
        """The caller of an ASGI request. Raises S3Error for everything that is missing,
        malformed, unknown, expired or wrong, and Unavailable."""
        request = SignedRequest(
            scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
        )
        try:
            return await self._authenticate(request)
        except SignatureError as error:
            raise from_signature(error) from None

    async def _authenticate(self, request: SignedRequest) -> Authenticated:
        match _source(request):
            case "header-v4":
                return await self._version4(request, claims.parse_authorization(request))
            case "query-v4":
                return await self._version4(request, claims.parse_presigned(request))
            case "header-v2" if self._settings.sigv2:
                return await self._version2(request, sigv2.parse_authorization(request))
            case "query-v2" if self._settings.sigv2_presign:
                return await self._version2(request, sigv2.parse_presigned(request))
            case "header-v2" | "query-v2":
                raise SignatureError(
                    "InvalidRequest",
                    "The authorization mechanism you have provided is not supported. Please use "
                    "AWS4-HMAC-SHA256.",
                )
            case _:
                raise SignatureError("AccessDenied", "Access Denied: the request is not signed")

    async def _version4(self, request: SignedRequest, claim: Claim) -> Authenticated:
        region = None if self._settings.any_region else self._settings.region
        checks.check_scope(claim, region=region)
        checks.check_time(claim, int(self._clock()))
        payload, payload_sha256 = claims.parse_payload(_body_payload(request, claim))
        known = await self._known(claim.access_key)
        checks.check_signed_headers(request, claim)
        checks.check_signature(request, claim, known.secret)
        return Authenticated(
            user_id=known.key.user_id,
            credential_id=known.key.credential_id,
            access_key=claim.access_key,
            owner_email=known.key.owner_email,
            payload=payload,
            payload_sha256=payload_sha256,
            is_presigned=claim.is_presigned,
            query_headers=_query_headers(request),
            _claim=claim,
            _secret=known.secret,
        )

    async def _version2(self, request: SignedRequest, claim: sigv2.ClaimV2) -> Authenticated:
        sigv2.check_time(request, claim, int(self._clock()))
        header = (request.header(b"x-amz-content-sha256") or b"").decode("latin-1").strip()
        payload, payload_sha256 = claims.parse_payload(header or PayloadKind.UNSIGNED)
        if payload.is_chunk_signed:
            raise SignatureError(
                "InvalidRequest", f"{payload} needs a request that is signed in version 4"
            )
        known = await self._known(claim.access_key)
        host = (request.header(b"host") or b"").decode("latin-1")
        bucket = virtual_host_bucket(host, self._settings.domain)
        sigv2.check_signature(request, claim, known.secret, virtual_bucket=bucket)
        return Authenticated(
            user_id=known.key.user_id,
            credential_id=known.key.credential_id,
            access_key=claim.access_key,
            owner_email=known.key.owner_email,
            payload=payload,
            payload_sha256=payload_sha256,
            is_presigned=claim.is_presigned,
            query_headers=_query_headers(
                request, *(sigv2.STANDARD_HEADERS if claim.is_presigned else ())
            ),
        )

    async def _known(self, access_key: str) -> KnownKey:
        known = await self._keys.get(access_key)
        if known is None:
            raise SignatureError(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                {"AWSAccessKeyId": access_key},
            )
        return known


def _source(request: SignedRequest) -> str | None:
    """Where the credentials stand; None for an anonymous request. Raises SignatureError for
    several, for an unknown scheme, and for session tokens, which we never hand out."""
    query = {name for name, _ in request.query()}
    authorizations = [value for name, value in request.headers if name == b"authorization"]
    found = []
    if authorizations:
        found += [_header_source(value) for value in authorizations]
    if query & {b"X-Amz-Algorithm", b"X-Amz-Signature", b"X-Amz-Credential"}:
        found.append("query-v4")
    if query & {b"AWSAccessKeyId", b"Signature"}:
        found.append("query-v2")
    if len(found) > 1:
        raise SignatureError(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
            "query string parameter or the Authorization header should be specified",
            {"ArgumentName": "Authorization"},
        )
    has_token = request.header(b"x-amz-security-token") is not None
    if found and (has_token or any(n.lower() == b"x-amz-security-token" for n in query)):
        raise SignatureError(
            "InvalidToken",
            "The provided token is malformed or otherwise invalid: this service issues no "
            "session tokens; send none",
        )
    return found[0] if found else None


def _header_source(value: bytes) -> str:
    scheme = value.strip().partition(b" ")[0]
    if scheme == ALGORITHM.encode():
        return "header-v4"
    if scheme == b"AWS":
        return "header-v2"
    raise SignatureError(
        "InvalidArgument",
        "Unsupported Authorization Type",
        {"ArgumentName": "Authorization", "ArgumentValue": scheme.decode("latin-1")[:40]},
    )


def _body_payload(request: SignedRequest, claim: Claim) -> str:
    """How the body is sent. Beside a presigned URL that leaves the body open, an unsigned
    x-amz-content-sha256 still says it: whoever may send any body may say how."""
    header = request.header(b"x-amz-content-sha256")
    if claim.is_presigned and claim.payload == PayloadKind.UNSIGNED and header is not None:
        return header.decode("latin-1").strip()
    return claim.payload


def _query_headers(request: SignedRequest, *more: str) -> dict[str, str]:
    """The headers that a URL carries as parameters; `more` are names beside x-amz-*."""
    found: dict[str, str] = {}
    for raw_name, value in request.query():
        name = raw_name.decode("latin-1").lower()
        if name in more or (name.startswith("x-amz-") and name not in _NO_HEADERS):
            found.setdefault(name, value.decode("latin-1"))
    return found
