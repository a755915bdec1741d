"""From a request's raw path to a bucket and a key, byte-exact; and the rules of their names.

Nothing is ever normalised: `.`, `..`, `//`, `%2e` and letters of either case are part of the
key. Called by dispatch before anything is looked up, and by whoever creates a bucket.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mediaconvert.errors import InvalidBucketName, InvalidKey

MAX_KEY_BYTES = 1024
"""Of UTF-8 (S3 User Guide: Naming Amazon S3 objects)."""

_SHAPE = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")
_IP_SHAPE = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


@dataclass(frozen=True, slots=True)
class Address:
    """What a request names: the service (both empty), a bucket, or an object."""

    bucket: str
    key: str
    is_virtual_host: bool = False
    """The bucket came from the Host header, not from the path."""


def parse_address(raw_path: bytes, host: str, *, domain: str = "") -> Address:
    """The bucket and key of a request.

    `raw_path` is the path as it was sent, without the query; `host` the Host header. With
    `domain` (`s3.domain`), `<bucket>.<domain>` is virtual-host style; every other host is path
    style. The first slash of the raw path ends the bucket: `%2F` before it is part of the name.
    Signatures do not tell the two apart, so a path that is signed for one object must not
    reach another.

    Raises InvalidKey for a path that is not percent-encoded UTF-8 or a key that breaks its
    rules, and InvalidBucketName for a bucket that is empty or contains a slash. The rest of a
    bucket's name is not checked: one that cannot exist is simply not found.
    """
    if not raw_path.startswith(b"/"):
        raise InvalidKey(f"the path {raw_path[:80]!r} is not valid: it must begin with '/'")
    bucket = virtual_host_bucket(host, domain)
    is_virtual_host = bucket is not None
    if bucket is None:
        segment, slash, rest = raw_path[1:].partition(b"/")
        bucket, key = percent_decode(segment), percent_decode(rest)
        if slash and not bucket:
            raise InvalidBucketName(bucket, "the path must not begin with two slashes")
    else:
        key = percent_decode(raw_path[1:])
    if "/" in bucket:
        raise InvalidBucketName(bucket, "it must not contain a slash")
    if key:
        check_key(key)
    return Address(bucket, key, is_virtual_host)


def virtual_host_bucket(host: str, domain: str) -> str | None:
    """The bucket that a Host header names below `domain`, or None for path style."""
    if not domain:
        return None
    name = host.lower().partition(":")[0].rstrip(".")
    suffix = "." + domain.lower().strip(".")
    return name.removesuffix(suffix) or None if name.endswith(suffix) else None


def percent_decode(raw: bytes) -> str:
    """Strict percent-decoding to UTF-8: InvalidKey for a broken escape, bytes that are no
    UTF-8, and NUL, which neither XML nor a database can carry. `+` stays a plus."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
        raise InvalidKey(f"{raw[:80]!r} is not valid: '%' must be followed by two hex digits")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidKey(f"{raw[:80]!r} is not valid: it is not UTF-8") from None
    if "\0" in text:
        raise InvalidKey(f"{raw[:80]!r} is not valid: keys cannot hold NUL")
    return text


def check_key(key: str) -> None:
    """Raises InvalidKey for a key that is empty, over 1,024 bytes of UTF-8, or holds NUL."""
    if not key:
        raise InvalidKey("the key is empty; an object needs one")
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidKey(f"key {key[:40]!r} is not valid: it is not UTF-8") from None
    if size > MAX_KEY_BYTES:
        raise InvalidKey(
            f"key '{key[:40]}…' is too long: it has {size} bytes and cannot be longer than "
            f"{MAX_KEY_BYTES}"
        )
    if "\0" in key:
        raise InvalidKey(f"key {key[:40]!r} is not valid: keys cannot hold NUL")


def check_bucket_name(name: str, reserved: Collection[str] = ()) -> None:
    """Raises InvalidBucketName unless a new bucket may have the name.

    The rules are those of general purpose buckets (S3 User Guide: Bucket naming rules);
    `reserved` are names that would collide with paths of our own.
    """
    if not 3 <= len(name) <= 63:
        raise InvalidBucketName(name, "it must have 3 to 63 characters")
    if not _SHAPE.fullmatch(name):
        raise InvalidBucketName(
            name,
            "only lower-case letters, digits, dots and hyphens, with a letter or digit at both "
            "ends",
        )
    if ".." in name:
        raise InvalidBucketName(name, "two dots cannot stand side by side")
    if _IP_SHAPE.fullmatch(name):
        raise InvalidBucketName(name, "it must not look like an IP address")
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            raise InvalidBucketName(name, f"it must not begin with '{prefix}'")
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            raise InvalidBucketName(name, f"it must not end with '{suffix}'")
    if name in reserved:
        raise InvalidBucketName(name, "the name is reserved for this service's own paths")
