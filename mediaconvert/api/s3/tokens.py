"""Continuation tokens: opaque to clients, and nothing but a position.

A token carries no rights and no state; a forged one only lists from somewhere else.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from mediaconvert.api.s3.errors import invalid_argument

_MARK = b"1"


def seal_token(position: str) -> str:
    return urlsafe_b64encode(_MARK + position.encode()).decode().rstrip("=")


def open_token(token: str | None, name: str = "continuation-token") -> str | None:
    """The position, or None where there is no token. Raises InvalidArgument for one that we
    did not make (S3 API: ListObjectsV2)."""
    if token is None:
        return None
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        if not raw.startswith(_MARK):
            raise ValueError(token)
        return raw[1:].decode()
    except (binascii.Error, ValueError):
        raise invalid_argument(
            name, token, "The continuation token provided is incorrect"
        ) from None
