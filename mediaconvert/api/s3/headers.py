"""Request headers as the domain's values, and stored objects as response headers.

Mappings have names in lower case and values in Latin-1, as dispatch makes and sends them.
What a request declares about its body is `integrity.py`'s matter. Pure; called by the verbs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate

from mediaconvert.api.s3.errors import S3Error, invalid_argument
from mediaconvert.api.s3.keys import check_key, percent_decode
from mediaconvert.errors import InvalidKey
from mediaconvert.model import Conditions, ObjectHeaders, StoredObject
from mediaconvert.sigv4.canonical import parse_http_date as parse_http_date

META_PREFIX = "x-amz-meta-"
MAX_METADATA_BYTES = 2048
"""Names without the prefix, and values, in UTF-8 (S3 User Guide: user-defined metadata)."""
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
SYSTEM_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)
"""Accepted and told again; all are stored alike."""

_OVERRIDES = ("content-type", *SYSTEM_HEADERS)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class CopySource:
    bucket: str
    key: str
    version_id: str | None = None


def parse_object_headers(headers: Mapping[str, str]) -> ObjectHeaders:
    """What a PUT, CreateMultipartUpload or replacing copy says about its object.

    Raises S3Error MetadataTooLarge, InvalidStorageClass, InvalidArgument.
    """
    user = {}
    for name, value in headers.items():
        if name.startswith(META_PREFIX):
            if name == META_PREFIX:
                raise invalid_argument(name, value, "user metadata need a name after x-amz-meta-")
            user[name.removeprefix(META_PREFIX)] = _text(value)
    size = sum(len(n.encode()) + len(v.encode()) for n, v in user.items())
    if size > MAX_METADATA_BYTES:
        raise S3Error(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            {"Size": str(size), "MaxSizeAllowed": str(MAX_METADATA_BYTES)},
        )
    system = {n: _text(headers[n]) for n in SYSTEM_HEADERS if headers.get(n)}
    if "content-encoding" in system:
        encoding = _without_aws_chunked(system.pop("content-encoding"))
        if encoding:
            system["content-encoding"] = encoding
    return ObjectHeaders(
        content_type=_text(headers.get("content-type", "")) or DEFAULT_CONTENT_TYPE,
        system=system,
        user=user,
        storage_class=parse_storage_class(headers),
    )


def parse_storage_class(headers: Mapping[str, str]) -> str:
    """`x-amz-storage-class`, STANDARD unless told. Raises S3Error InvalidStorageClass."""
    storage_class = headers.get("x-amz-storage-class", "STANDARD")
    if storage_class not in STORAGE_CLASSES:
        raise S3Error(
            "InvalidStorageClass",
            f"The storage class you specified is not valid: {storage_class!r} is none of "
            f"{', '.join(sorted(STORAGE_CLASSES))}",
            {"StorageClassRequested": storage_class},
        )
    return storage_class


def _without_aws_chunked(value: str) -> str:
    """The transfer's own coding is no part of the object (S3 API: PutObject)."""
    codings = [c.strip() for c in value.split(",")]
    return ",".join(c for c in codings if c and c.lower() != "aws-chunked")


def parse_conditions(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The four conditional headers (RFC 9110 §13.1); with `prefix` `x-amz-copy-source-`
    those on a copy's source. A date that is none is ignored, as the RFC has it."""
    return Conditions(
        if_match=_entity_tags(headers.get(f"{prefix}if-match")),
        if_none_match=_entity_tags(headers.get(f"{prefix}if-none-match")),
        if_modified_since=parse_http_date(headers.get(f"{prefix}if-modified-since")),
        if_unmodified_since=parse_http_date(headers.get(f"{prefix}if-unmodified-since")),
    )


def _entity_tags(value: str | None) -> tuple[str, ...] | None:
    """ETags without quotes; clients of S3 send them with and without. Linear in the header's
    length, which a regular expression with its optional white space would not be."""
    if value is None or not value.strip():
        return None
    tags = []
    rest = value.strip()
    while rest:
        rest = rest.removeprefix("W/")
        if rest.startswith('"'):
            tag, _, rest = rest[1:].partition('"')
            rest = rest.partition(",")[2]
        else:
            tag, _, rest = rest.partition(",")
        tags.append(tag.strip())
        rest = rest.strip()
    return tuple(tag for tag in tags if tag)


def http_date(time_us: int) -> str:
    """Microseconds since 1970 as RFC 9110 §5.6.7 writes them; cut, not rounded, to seconds."""
    return formatdate(time_us // 1_000_000, usegmt=True)


def iso_date(time_us: int) -> str:
    """Microseconds since 1970 as S3's documents write them: `2009-10-12T17:50:30.000Z`."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us // 1000 % 1000:03}Z"


def parse_copy_source(headers: Mapping[str, str]) -> CopySource | None:
    """`x-amz-copy-source`: `/bucket/key` or `bucket/key`, percent-encoded, with
    `?versionId=` behind it or not; None without the header. Raises S3Error InvalidArgument."""
    value = headers.get("x-amz-copy-source")
    if value is None:
        return None
    path, _, version = value.strip().partition("?versionId=")
    try:
        text = percent_decode(path.removeprefix("/").encode("latin-1", "surrogateescape"))
        bucket, _, key = text.partition("/")
        check_key(key)
        if not bucket:
            raise InvalidKey("the bucket is missing")
    except (InvalidKey, UnicodeEncodeError) as error:
        raise invalid_argument(
            "x-amz-copy-source",
            value,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey, "
            f"percent-encoded ({error})",
        ) from None
    return CopySource(bucket, key, version or None)


def parse_directive(headers: Mapping[str, str], name: str) -> str:
    """`x-amz-metadata-directive` or `x-amz-tagging-directive`: COPY (unless told) or REPLACE.
    Raises S3Error InvalidArgument."""
    value = headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        raise invalid_argument(name, value, f"{name} is {value!r}; it must be COPY or REPLACE")
    return value


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """The headers that `response-…` parameters put in place of the object's own (S3 API:
    GetObject). Raises S3Error InvalidArgument for values that cannot stand in a header."""
    found = {}
    for name in _OVERRIDES:
        value = query.get(f"response-{name}")
        if value is None:
            continue
        if _CONTROL.search(value):
            raise invalid_argument(
                f"response-{name}", value, f"response-{name} holds control characters"
            )
        found[name] = _latin1(value)
    return found


def object_headers(
    stored: StoredObject,
    *,
    overrides: Mapping[str, str] | None = None,
    with_checksum: bool = False,
    with_parts_count: bool = False,
) -> dict[str, str]:
    """The headers of a GET or HEAD answer that come from the object, without its length.

    `with_checksum` is `x-amz-checksum-mode: ENABLED` on a whole object; `with_parts_count`
    adds `x-amz-mp-parts-count`, which belongs to requests with a partNumber.
    """
    headers = {
        "etag": f'"{stored.etag}"',
        "last-modified": http_date(stored.created_at_us),
        "accept-ranges": "bytes",
        "content-type": _latin1(stored.headers.content_type),
    }
    headers.update((name, _latin1(value)) for name, value in stored.headers.system.items())
    headers.update(overrides or {})
    for name, value in stored.headers.user.items():
        headers[META_PREFIX + name] = _mail_safe(value)
    if stored.headers.storage_class != "STANDARD":
        headers["x-amz-storage-class"] = stored.headers.storage_class
    if with_checksum:
        headers.update(checksum_headers(stored))
    if with_parts_count and stored.parts:
        headers["x-amz-mp-parts-count"] = str(len(stored.parts))
    headers.update(job_headers(stored))
    if stored.is_damaged:
        headers["x-mediaconvert-damaged"] = "true"
    return headers


def checksum_headers(stored: StoredObject) -> dict[str, str]:
    """`x-amz-checksum-<algorithm>` and `x-amz-checksum-type`; empty where there is none."""
    if stored.checksum is None:
        return {}
    return {
        f"x-amz-checksum-{stored.checksum.algorithm.lower()}": stored.checksum.value,
        "x-amz-checksum-type": stored.checksum.type,
    }


def job_headers(stored: StoredObject) -> dict[str, str]:
    """What the newest job of an upload is doing; empty where it started none."""
    headers = {}
    if stored.job_id is not None:
        headers["x-mediaconvert-job-id"] = str(stored.job_id)
    if stored.job_status is not None:
        headers["x-mediaconvert-job-status"] = str(stored.job_status)
    if stored.job_progress is not None:
        headers["x-mediaconvert-job-progress"] = f"{stored.job_progress:.1f}"
    return headers


def _text(value: str) -> str:
    """A header's characters: UTF-8 where its bytes are that, else Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return value.strip()


def _latin1(text: str) -> str:
    """The same bytes that `_text` read."""
    return text.encode("utf-8").decode("latin-1")


def _mail_safe(text: str) -> str:
    """User metadata as S3 gives them back: plain where ASCII, else RFC 2047 in UTF-8."""
    if text.isascii():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode('utf-8')).decode('ascii')}?="
