"""The header fields that all responses have in common.

Pure. Adds the retry hints to a 503, and keeps the fields that describe the connection to the
server alone. Called by `exchange.py` for the application's responses and by `refusals.py` for
the server's own.
"""

from __future__ import annotations

from collections.abc import Sequence

Headers = list[tuple[bytes, bytes]]

RETRY_SECONDS = 1
"""What a 503 suggests where its cause is not known better."""

# RFC 9110 §7.6.1 and ASGI: the connection is the server's, not the application's.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)


def retry_headers(seconds: int) -> Headers:
    """Both spellings of "try again in `seconds`".

    `Retry-After` is RFC 9110 §10.2.3, in seconds. The AWS SDKs' "standard" retry mode reads
    `x-amz-retry-after`, in milliseconds, and waits at most 5 s longer than it would without:
    botocore 1.44 ignores `Retry-After`, @smithy/core 3.41 obeys whichever comes first.
    """
    return [(b"retry-after", b"%d" % seconds), (b"x-amz-retry-after", b"%d" % (seconds * 1000))]


def response_headers(
    status: int, headers: Sequence[tuple[bytes, bytes]], server: Headers, *, must_close: bool
) -> Headers:
    """The fields that go out: the application's without those that are the server's, the
    `server` fields that it did not set, and one `Connection: close` where it or the server
    (`must_close`) ends the connection. Names are lower case."""
    names = {name for name, _ in headers}
    result = [
        (name, value)
        for name, value in headers
        if name not in _HOP_BY_HOP and name not in (b"retry-after", b"x-amz-retry-after")
    ]
    result += [(name, value) for name, value in server if name not in names]
    if status == 503 or b"retry-after" in names:
        result += retry_headers(_seconds(headers))
    if must_close or _closes(headers):
        result.append((b"connection", b"close"))
    return result


def _seconds(headers: Sequence[tuple[bytes, bytes]]) -> int:
    value = next((value for name, value in headers if name == b"retry-after"), b"")
    return int(value) if value.isdigit() else RETRY_SECONDS


def _closes(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    options = (value for name, value in headers if name == b"connection")
    return any(option.strip().lower() == b"close" for v in options for option in v.split(b","))
