"""One line a request in the log `mediaconvert.access`, without anything secret in it.

Watches a request's messages on their way through the gateway; decides nothing.
"""

from __future__ import annotations

import logging
import re
import time

from mediaconvert.api.asgi import Message, Receive, Scope, Send
from mediaconvert.api.doors import Door

logger = logging.getLogger("mediaconvert.access")

CLIENT_LEFT = 499
"""Logged, as nginx does, for a request whose client left before an answer began."""
MAX_LOGGED_BYTES = 500

# Parameters whose values are shown; of the others only the name is. A list of what is harmless,
# not of what is secret: a new kind of signature must not end up in a log.
_SHOWN = frozenset(
    b"acl continuation-token days delete delimiter encoding-type interval limit list-type "
    b"location marker max-keys name page partNumber prefix start-after status tagging uploadId "
    b"uploads versioning versions x-id".split()
)
_ID_HEADERS = (b"x-amz-request-id", b"x-request-id")


class AccessRecord:
    """What became of one request. Its `receive` and `send` are handed to the door."""

    def __init__(self, scope: Scope, door: Door, request_id: str) -> None:
        self._scope = scope
        self._began = time.perf_counter()
        self.door = door
        self.request_id = request_id
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0

    def watch_receive(self, receive: Receive) -> Receive:
        async def watched() -> Message:
            message = await receive()
            self.received_bytes += len(message.get("body", b""))
            return message

        return watched

    def watch_send(self, send: Send) -> Send:
        """Also writes the request's id into the response, where the door has not."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                message = {**message, "headers": self._with_id(list(message["headers"]))}
            await send(message)
            self.sent_bytes += len(message.get("body", b""))

        return watched

    def _with_id(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        for name, value in headers:
            if name.lower() in _ID_HEADERS:
                self.request_id = value.decode("latin-1")
                return headers
        name = _ID_HEADERS[0 if self.door is Door.S3 else 1]
        return [*headers, (name, self.request_id.encode())]

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def write(self) -> None:
        method, status = self._scope["method"], self.status or CLIENT_LEFT
        path = logged_path(self._scope["raw_path"], self._scope["query_string"])
        fields = {
            "door": self.door.value,
            "method": method,
            "path": path,
            "status": status,
            "received": self.received_bytes,
            "sent": self.sent_bytes,
            "ms": round(self.seconds * 1000, 1),
            "request_id": self.request_id,
        }
        logger.info("%s %s %s", method, path, status, extra={"fields": fields})


def logged_path(raw_path: bytes, query: bytes) -> str:
    """Path and query as they came, with `...` for values that might be secret."""
    items = []
    for item in query.split(b"&") if query else []:
        name, equals, _ = item.partition(b"=")
        items.append(item if name in _SHOWN or not equals else name + b"=...")
    text = raw_path + (b"?" + b"&".join(items) if items else b"")
    if len(text) > MAX_LOGGED_BYTES:
        text = text[:MAX_LOGGED_BYTES] + b"..."
    return re.sub(rb"[^\x20-\x7e]", b"?", text).decode("ascii")
