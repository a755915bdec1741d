"""Where a request's head ends in a buffer, and whether it may go on to the HTTP parser.

Pure. Stricter than h11, which joins folded lines, takes bare line feeds and knows no limit for
a head that comes in one piece; what it lets through is h11's to parse. Called by
`connection.py` and `exchange.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11

_END = re.compile(rb"\n\r?\n")
# RFC 9110 §5.5: CR, LF and NUL are dangerous in field values, other controls never right.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# RFC 9112 §5.2: obs-fold; a server may answer 400.
_FOLD = re.compile(rb"\n[ \t]")
MAX_LENGTH_BYTES = 2**63 - 1
"""Of a body, and of one chunk: no client means more, and other parsers overflow."""

# Where h11 quotes what it could not read.
_QUOTED = re.compile(r": (?:bytearray\()?b['\"].*", re.DOTALL)


class BadRequest(Exception):
    """A request that is refused before it has reached a door; ends its connection."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def head_end(buffer: bytearray, limit: int) -> int:
    """Index after the head's empty line, or -1 while it has not come.

    Empty lines before the request line are dropped (RFC 9112 §2.2). Raises BadRequest (431)
    where the head is over `limit` bytes."""
    while buffer and buffer[0] in b"\r\n":
        del buffer[:1]
    # A search of at most `limit` bytes a call, and a call for each packet: bounded.
    found = _END.search(buffer, 0, limit)
    if found is None:
        if len(buffer) >= limit:
            raise BadRequest(
                431, "headers_too_large", f"the request line and headers are over {limit} bytes"
            )
        return -1
    return found.end()


def check_head(head: bytes) -> None:
    """Raises BadRequest (400) for what no client sends by accident."""
    if head.count(b"\r") != head.count(b"\n") or head.count(b"\r\n") != head.count(b"\n"):
        raise BadRequest(400, "bad_request", "each line of the head must end with CR LF")
    if _FOLD.search(head):
        raise BadRequest(400, "bad_request", "folded header lines are not accepted")
    if _CONTROL.search(head):
        raise BadRequest(400, "bad_request", "the head contains a NUL or a control character")


def h11_words(error: h11.RemoteProtocolError) -> str:
    """What h11 found wrong, without the bytes that it quotes: an Authorization header with a
    blank too much, or a presigned URL, would stand in the answer and in the log."""
    return _QUOTED.sub("", str(error))


def guess_request_line(head: bytes) -> tuple[bytes, bytes]:
    """(method, target) of a head that may be broken, for the form of the answer to it."""
    words = head.split(b"\n", 1)[0].strip().split(b" ")
    return words[0], words[1] if len(words) > 1 else b"/"


@dataclass(frozen=True, slots=True)
class Target:
    """A request target in origin form."""

    raw_path: bytes
    query: bytes
    authority: bytes | None
    """The host of a target in absolute form, which goes before the Host header."""


def parse_target(method: bytes, target: bytes) -> Target:
    """RFC 9112 §3.2. Raises BadRequest for CONNECT and for what is no target."""
    if method == b"CONNECT":
        raise BadRequest(405, "method_not_allowed", "this server is not a proxy")
    authority = None
    if target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
        authority, slash, rest = target.split(b"//", 1)[1].partition(b"/")
        authority, question, query = authority.partition(b"?")
        target = slash + rest if slash else b"/" + question + query
    elif target == b"*" and method == b"OPTIONS":
        target = b"/"
    if not target.startswith(b"/"):
        raise BadRequest(400, "bad_request", "the request target must begin with a slash")
    path, _, query = target.partition(b"?")
    return Target(path, query, authority)


@dataclass(frozen=True, slots=True)
class Framing:
    """How long a request's body is."""

    length: int
    """Bytes by Content-Length; 0 where there is no body or it is chunked."""
    chunked: bool


def body_framing(request: h11.Request) -> Framing:
    """RFC 9112 §6. Raises BadRequest where both headers stand: one of two parsers in a row
    would see another request in the body (§6.1 allows to refuse)."""
    names = dict(request.headers)
    chunked = b"transfer-encoding" in names
    if chunked and b"content-length" in names:
        raise BadRequest(
            400, "bad_request", "Content-Length and Transfer-Encoding must not stand together"
        )
    if chunked and request.http_version < b"1.1":
        raise BadRequest(400, "bad_request", "HTTP/1.0 knows no Transfer-Encoding")
    # h11 takes up to 20 digits.
    length = 0 if chunked else int(names.get(b"content-length", b"0"))
    if length > MAX_LENGTH_BYTES:
        raise BadRequest(400, "bad_request", f"Content-Length is over {MAX_LENGTH_BYTES}")
    return Framing(length, chunked)
