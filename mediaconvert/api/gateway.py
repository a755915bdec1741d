"""The one ASGI application that the server runs: tells REST from S3 and hands over."""

from __future__ import annotations

from mediaconvert.api.doors import RESERVED_NAMES

__all__ = ["RESERVED_NAMES"]
