"""Request headers that ask for what is not offered: refused, never ignored. Pure.

Ignoring one would store an object without the tags, the lock or the encryption that its
client believes it has.
"""

from __future__ import annotations

from collections.abc import Mapping

from mediaconvert.api.s3.errors import S3Error

_PREFIXES = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock-",
)
_NAMES = frozenset(
    {
        "x-amz-tagging",
        "x-amz-website-redirect-location",
        "x-amz-write-offset-bytes",
        "x-amz-annotation-directive",
    }
)


def refuse_unsupported(headers: Mapping[str, str]) -> None:
    """Raises NotImplemented, with the header in the message."""
    for name, value in headers.items():
        if value and (name in _NAMES or name.startswith(_PREFIXES)):
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented: "
                f"{name}; leave it out",
                {"Header": name},
            )
