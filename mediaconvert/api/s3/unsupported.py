"""Request headers that ask for something: understood by the operation, harmless, or refused.

Skipping one would store an object without the tags, the lock or the encryption that its client
relies on, or delete one that its client meant to protect. So the lists here say what is
understood, and every other `x-amz-*` header and condition is refused. Pure; called by
`dispatch.py` before each handler, also for headers that a URL carries as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

from mediaconvert.api.s3.errors import S3Error, invalid_argument

HARMLESS: Mapping[str, str] = {
    "x-amz-user-agent": "names the client's software",
    "x-amz-api-version": "there is one version of the API",
    "x-amz-cf-id": "CloudFront's name for the request",
    "x-amz-te": "offers an MD5 behind the body; a server that appends one says so in its answer",
    "x-amz-request-payer": "requests are not charged for",
    "x-amz-checksum-mode": "only adds headers to the answers of GetObject and HeadObject",
    "x-amz-checksum-algorithm": "only names the algorithm, except where an upload begins",
    "x-amz-checksum-type": "only names the type, except where an upload begins or completes",
    "x-amz-storage-class": "all classes are stored alike",
    "x-amz-optional-object-attributes": "asks for the state of restores; nothing is archived",
    "x-amz-tagging-directive": "there are no tags, so either directive holds",
    "x-amz-object-annotation-directive": "there are no annotations, so either directive holds",
    "x-amz-object-ownership": "all objects belong to the bucket's owner; ACLs are refused",
}
"""Headers that any operation may carry without effect, and why."""

_HARMLESS_PREFIX = "x-amz-meta-"
"""Metadata is stored where an object or an upload is created; S3 ignores it elsewhere."""

# Read for every request: by authentication, by `payload.py`, by `dispatch.py` and by `acl.py`.
_ALWAYS = frozenset(
    {
        "x-amz-acl",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-expected-bucket-owner",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-source-expected-bucket-owner",
        "x-amz-trailer",
    }
)
_ALWAYS_PREFIXES = ("x-amz-checksum-", "x-amz-grant-")

_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_COPY = frozenset({"x-amz-copy-source", *(f"x-amz-copy-source-{name}" for name in _CONDITIONS)})

_UNDERSTOOD: Mapping[str, frozenset[str]] = {
    "AbortMultipartUpload": frozenset({"x-amz-if-match-initiated-time"}),
    "CompleteMultipartUpload": _CONDITIONS | {"x-amz-mp-object-size"},
    "CopyObject": _CONDITIONS | _COPY | {"x-amz-metadata-directive"},
    # s3cmd sends the directive of a large copy here; metadata always come from this request.
    "CreateMultipartUpload": frozenset({"x-amz-metadata-directive"}),
    "DeleteObject": _CONDITIONS | {"x-amz-if-match-size", "x-amz-if-match-last-modified-time"},
    "GetObject": _CONDITIONS,
    "GetObjectAttributes": frozenset(
        {"x-amz-max-parts", "x-amz-object-attributes", "x-amz-part-number-marker"}
    ),
    "HeadObject": _CONDITIONS,
    "PutObject": _CONDITIONS,
    "UploadPartCopy": _COPY | {"x-amz-copy-source-range"},
}

_NEUTRAL: Mapping[str, str] = {
    "x-amz-bucket-namespace": "global",
    "x-amz-bucket-object-lock-enabled": "false",
    "x-amz-bypass-governance-retention": "false",
    "x-amz-object-lock-event-hold": "off",
    "x-amz-object-lock-legal-hold": "off",
    "x-amz-server-side-encryption-bucket-key-enabled": "false",
}
"""Values of refused headers that mean the same as no header, in lower case."""

# RFC 9110 §13.1: a read of what has no validator of its own may be answered whole.
_HARMLESS_ON_READS = frozenset({"if-none-match", "if-modified-since"})


def refuse_unsupported(operation: str, method: str, headers: Mapping[str, str]) -> None:
    """Raises NotImplemented, with the header in the message. An `x-amz-*` header without a
    value asks for nothing."""
    understood = _UNDERSTOOD.get(operation, frozenset())
    for name, value in headers.items():
        if name in understood:
            continue
        if name in _CONDITIONS:
            if method not in ("GET", "HEAD") or name not in _HARMLESS_ON_READS:
                raise _refused(name)
        elif name == "content-range" and method == "PUT":
            raise _refused(name)  # RFC 9110 §14.5: a part must not become the whole
        elif name.startswith("x-amz-") and not _asks_for_nothing(name, value):
            if name == "x-amz-bypass-governance-retention":
                raise invalid_argument(
                    name, value, f"{name} is only applicable to Object Lock enabled buckets."
                )
            raise _refused(name)


def _asks_for_nothing(name: str, value: str) -> bool:
    return (
        value.lower() in ("", _NEUTRAL.get(name))
        or name in _ALWAYS
        or name in HARMLESS
        or name.startswith((_HARMLESS_PREFIX, *_ALWAYS_PREFIXES))
    )


def _refused(name: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        "A header you provided implies functionality that is not implemented: "
        f"{name}; leave it out",
        {"Header": name},
    )
