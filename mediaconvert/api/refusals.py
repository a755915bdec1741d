"""Answers that the server writes itself: to what is malformed, too slow, too much, or crashed.

Pure, and by hand: they must be possible in every state of the HTTP parser. In the form of the
door that the request seems to be for, never HTML, never empty; each ends its connection.
"""

from __future__ import annotations

import secrets
import time
from email.utils import formatdate
from http import HTTPStatus

from mediaconvert.api.doors import Door, door_of, refusal_body
from mediaconvert.api.request_head import BadRequest, guess_request_line
from mediaconvert.api.response_headers import RETRY_SECONDS, retry_headers

SERVER_NAME = b"MediaConvert"
_REQUEST_ID_HEADER = {Door.REST: "x-request-id", Door.S3: "x-amz-request-id"}


def new_request_id() -> str:
    """16 upper-case hex digits, as S3's own."""
    return secrets.token_hex(8).upper()


def reason_phrase(status: int) -> bytes:
    """What stands behind the status; some clients (botocore with Expect) split the line in
    three and go wrong where it is empty."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"


def http_date() -> bytes:
    return formatdate(time.time(), usegmt=True).encode()


def answer_bytes(
    bad: BadRequest, *, method: bytes, target: bytes, request_id: str | None = None
) -> bytes:
    """The whole answer as it goes over the wire, with `Connection: close`."""
    path = target.split(b"?", 1)[0]
    door = door_of(path)
    request_id = request_id or new_request_id()
    resource = path.decode("latin-1") if path.startswith(b"/") else "/"
    kind, body = refusal_body(door, bad.code, bad.message, request_id, resource)
    lines = [
        b"HTTP/1.1 %d %s" % (bad.status, reason_phrase(bad.status)),
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        f"{_REQUEST_ID_HEADER[door]}: {request_id}".encode(),
        b"Date: " + http_date(),
        b"Server: " + SERVER_NAME,
        b"Connection: close",
    ]
    if bad.status in (408, 503):
        lines += [b"%s: %s" % field for field in retry_headers(RETRY_SECONDS)]
    head = b"\r\n".join([*lines, b"", b""])
    return head if method == b"HEAD" else head + body


def answer_to_head(bad: BadRequest, head: bytes) -> bytes:
    """The same for a request whose head could not be understood."""
    method, target = guess_request_line(head)
    return answer_bytes(bad, method=method, target=target)
