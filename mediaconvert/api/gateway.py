"""The one ASGI application that the server runs: which door, and whether it is still open.

Gives each request its id, refuses undecodable paths, refuses everything while draining but
/health and /ready, counts what is under way and logs one line a request. Knows nothing of what
either door does behind it.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote_to_bytes

import trio

from mediaconvert.api.access_log import AccessRecord
from mediaconvert.api.asgi import App, Receive, Scope, Send, header
from mediaconvert.api.doors import RESERVED_NAMES, Door, door_of, refusal_body
from mediaconvert.api.drain import Drain, retries_left
from mediaconvert.api.refusals import new_request_id
from mediaconvert.api.request_head import BadRequest

__all__ = ["RESERVED_NAMES", "Gateway", "RequestMetrics"]

_OPEN_WHILE_DRAINING = frozenset({b"/health", b"/ready"})


class RequestMetrics(Protocol):
    """What of `metrics.Metrics` the gateway feeds."""

    def request(self, door: str, method: str, status: int, seconds: float) -> None: ...
    def bytes_received(self, door: str, size: int) -> None: ...
    def bytes_sent(self, door: str, size: int) -> None: ...


class Gateway:
    """ASGI application of types `http` and `lifespan`; the latter is the REST side's.

    `domain` is `s3.domain`, `max_connections` is the server's. `metrics` is told the bytes of both
    doors and the requests of the S3 door and of the gateway itself: the REST side counts its own,
    also where it stands alone.
    """

    def __init__(
        self,
        rest_app: App,
        s3_app: App,
        *,
        domain: str = "",
        metrics: RequestMetrics | None = None,
        drain: Drain | None = None,
        max_connections: int = 1000,
    ) -> None:
        self._apps = {Door.REST: rest_app, Door.S3: s3_app}
        self._domain = domain
        self._metrics = metrics
        self._under_way = 0
        self._drain = drain or Drain()
        # The other half is for /health and /ready, which must answer while requests are held.
        self._max_held = max_connections // 2
        self._held = 0
        self._all_done = trio.Event()

    @property
    def under_way(self) -> int:
        """Requests that have not been answered to their end, without probes."""
        return self._under_way

    @property
    def draining(self) -> bool:
        return self._drain.has_begun

    def begin_drain(self) -> None:
        """From now on answer 503 with the time to retry and `Connection: close`, save /health
        and /ready. Requests under way go on. Idempotent."""
        self._drain.begin()
        if not self._under_way:
            self._all_done.set()

    async def wait_drained(self) -> None:
        """Until nothing that was under way when the drain began is; wait with a deadline."""
        await self._all_done.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._apps[Door.REST](scope, receive, send)
            return
        assert scope["type"] == "http"  # the server upgrades nothing
        door = door_of(
            scope["raw_path"],
            header(scope, b"host"),
            self._domain,
            header(scope, b"authorization"),
        )
        state = scope.setdefault("state", {})
        record = AccessRecord(scope, door, state.setdefault("request_id", new_request_id()))
        refusal = self._refusal(door, scope["raw_path"])
        if refusal is None:
            await self._pass_on(scope, record, receive, send)
        else:
            await self._answer(refusal, scope, record, receive, send)

    async def _pass_on(
        self, scope: Scope, record: AccessRecord, receive: Receive, send: Send
    ) -> None:
        # Probes must not hold up the drain: /ready waits for dependencies that hang.
        counted = not (self.draining or _is_probe(record.door, scope["raw_path"]))
        self._under_way += counted
        try:
            app = self._apps[record.door]
            await app(scope, record.watch_receive(receive), record.watch_send(send))
        finally:
            self._under_way -= counted
            if self.draining and not self._under_way:
                self._all_done.set()
            record.write()
            self._count(scope, record, is_own_answer=False)

    def _refusal(self, door: Door, raw_path: bytes) -> BadRequest | None:
        if problem := path_problem(raw_path):
            return BadRequest(400, "invalid_uri", problem)
        if self.draining and not _is_probe(door, raw_path):
            return BadRequest(503, "draining", "the server is stopping; try again in a moment")
        return None

    async def _answer(
        self,
        refusal: BadRequest,
        scope: Scope,
        record: AccessRecord,
        receive: Receive,
        send: Send,
    ) -> None:
        kind, body = refusal_body(
            record.door,
            refusal.code,
            refusal.message,
            record.request_id,
            scope["raw_path"].decode("latin-1"),
        )
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        if refusal.status == 503:
            await self._hold(scope, record.watch_receive(receive))
            retry_seconds = self._drain.retry_seconds
            headers += [(b"retry-after", b"%d" % retry_seconds), (b"connection", b"close")]
        watched = record.watch_send(send)
        try:
            start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
            await watched(start)
            await watched({"type": "http.response.body", "body": body})
        finally:
            record.write()
            self._count(scope, record, is_own_answer=True)

    async def _hold(self, scope: Scope, receive: Receive) -> None:
        """Keep an SDK's last attempt but one until the drain ends.

        SDKs try three times and wait at most about 5 s in between, a drain may take longer. The
        first refusal comes at once: behind a load balancer the retry may reach another node.
        Held, the second attempt leaves the third for the next process. Its body is read and
        dropped: closing with unread bytes would reset the connection, and the client might never
        see the answer."""
        if retries_left(header(scope, b"amz-sdk-request")) != 1 or self._held >= self._max_held:
            return
        self._held += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drop_until_disconnect, receive, nursery.cancel_scope)
                await self._drain.wait_ended()
                nursery.cancel_scope.cancel()
        finally:
            self._held -= 1

    def _count(self, scope: Scope, record: AccessRecord, *, is_own_answer: bool) -> None:
        if self._metrics is None:
            return
        door = record.door.value
        self._metrics.bytes_received(door, record.received_bytes)
        self._metrics.bytes_sent(door, record.sent_bytes)
        if record.status and (is_own_answer or record.door is Door.S3):
            self._metrics.request(door, scope["method"], record.status, record.seconds)


async def _drop_until_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    """Read the body, at the rate that the server demands, and cancel `scope` when the client
    has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _is_probe(door: Door, raw_path: bytes) -> bool:
    return door is Door.REST and raw_path in _OPEN_WHILE_DRAINING


def path_problem(raw_path: bytes) -> str | None:
    """What is wrong with a path, if anything: it must be UTF-8 without NUL once it has been
    percent-decoded, for keys are stored as text and matched byte by byte."""
    decoded = unquote_to_bytes(raw_path)
    if b"\0" in decoded:
        return "the path contains a NUL"
    try:
        decoded.decode("utf-8")
    except UnicodeDecodeError:
        return "the path is not percent-encoded UTF-8"
    return None
