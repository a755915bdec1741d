"""The HTTP client under the `minio` SDK: bounded waits, bounded retries, no redirects.

Every thread that calls the SDK does so with a `Patience` of its own, which says how long its
requests may take and lets a task that was cancelled end them. Made by `s3_client.py`; knows
nothing of blobs. A body is sent in slices, so that a slow line is no dead one.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3
from urllib3.exceptions import HTTPError

from mediaconvert.backends.blobs.s3_errors import is_distrust, reason
from mediaconvert.backends.blobs.s3_health import StoreHealth

STALL_SECONDS = 12.0
"""A store that takes or sends nothing for this long is dead to the call."""
RETRY_SECONDS = 5.0
"""A refused or broken request is tried again for this long."""
TRANSFER_RETRY_SECONDS = 12.0
"""The same in the middle of a transfer, where more is lost: a store may be restarting."""
COMPLETE_SECONDS = 60.0
"""For joining the parts of an upload, which some stores do by copying them."""
LAST_WORD_SECONDS = 2.0
"""For each request after the one that the store did not answer (the SDK's clean-up)."""
SLICE_BYTES = 256 << 10
"""The timeout holds for each slice: 256 KiB in 12 s, so 21 KiB/s are enough."""
IDLE_CONNECTIONS = 64
# Overloaded, restarting or asked too often (SlowDown is a 503): a later try may do.
_BUSY = frozenset({429, 500, 502, 503, 504})
# Says nobody, or somebody in front of it; what went wrong inside (500) says neither.
_AWAY = frozenset({502, 503, 504})

# That a connection beyond the idle ones is closed after use is worth no line in the log.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class Patience:
    """How long one call waits: its requests and its retries. For one thread at a time."""

    def __init__(
        self, *, retry_seconds: float = RETRY_SECONDS, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._retry_seconds = retry_seconds
        self._stall_seconds = stall_seconds
        self._abandoned = threading.Event()
        self._is_exhausted = False
        self._attempts = 0
        self._progress_at = time.monotonic()

    @property
    def is_abandoned(self) -> bool:
        return self._abandoned.is_set()

    def abandon(self) -> None:
        """Nobody waits any more: no retries. May be called from any thread."""
        self._abandoned.set()

    def progressed(self) -> None:
        """Bytes have moved, or a new request begins: the clocks start anew."""
        self._progress_at = time.monotonic()
        self._attempts = 0

    def timeout(self, longest: float | None = None) -> urllib3.Timeout:
        """For the next request: less the longer the call has waited already."""
        if self._is_exhausted or self.is_abandoned:
            seconds = LAST_WORD_SECONDS
        else:
            allowed = longest or self._stall_seconds
            waited = time.monotonic() - self._progress_at
            seconds = min(allowed, max(LAST_WORD_SECONDS, allowed + LAST_WORD_SECONDS - waited))
        return urllib3.Timeout(connect=min(seconds, self._stall_seconds), read=seconds)

    def may_retry(self) -> bool:
        """Whether to try again, after the pause that this takes. Once it says no, the requests
        that follow in this call get one short try."""
        pause = min(2.0, 0.1 * 2**self._attempts) * random.uniform(0.5, 1.0)
        self._attempts += 1
        too_late = time.monotonic() + pause - self._progress_at > self._retry_seconds
        if self._is_exhausted or too_late or self._abandoned.wait(pause):
            self._is_exhausted = True
        return not self._is_exhausted


class StoreHttp(urllib3.PoolManager):
    """Given to the SDK as its `http_client`."""

    def __init__(self, *, ca_file: str) -> None:
        super().__init__(
            maxsize=IDLE_CONNECTIONS,
            cert_reqs="CERT_REQUIRED",
            ca_certs=ca_file,
            timeout=urllib3.Timeout(connect=STALL_SECONDS, read=STALL_SECONDS),
        )
        self._local = threading.local()
        self.server_name = ""
        """What the store last called itself."""
        self.health = StoreHealth()

    @contextmanager
    def patient(self, patience: Patience) -> Iterator[None]:
        """Requests of this thread wait as `patience` says while the block lasts."""
        outer = getattr(self._local, "patience", None)
        self._local.patience = patience
        try:
            yield
        finally:
            self._local.patience = outer

    def close(self) -> None:
        """Ends every idle connection; one that a thread still uses is ended after its use."""
        for key in self.pools.keys():  # noqa: SIM118 - it is no mapping that can be iterated
            pool = self.pools.get(key)
            if pool is not None:
                pool.close()
        self.clear()

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: object
    ) -> urllib3.BaseHTTPResponse:
        """Never follows a redirect: the signature would be wrong there, and the other host's
        business. May send a request twice, which for every request of ours does no harm."""
        patience: Patience = getattr(self._local, "patience", None) or Patience()
        patience.progressed()
        body = options.get("body")
        if isinstance(body, bytes) and body:
            options["body"] = _Slices(body, patience)
        joins_parts = method == "POST" and "uploadId=" in url
        while True:
            options["timeout"] = patience.timeout(COMPLETE_SECONDS if joins_parts else None)
            asked_at = self.health.now()
            try:
                response = super().urlopen(method, url, redirect=False, retries=False, **options)
            except HTTPError as error:
                self._note_failure(patience, asked_at, reason(error))
                if is_distrust(error) or not patience.may_retry():
                    raise
                continue
            self.server_name = response.headers.get("server") or self.server_name
            if response.headers.get("content-type", "").startswith("text/xml"):
                # So do some stores call an error (rclone), and the SDK does not read it then.
                response.headers["content-type"] = "application/xml"
            if response.status in _AWAY:
                self._note_failure(patience, asked_at, f"HTTP status {response.status}")
            elif response.status != 500:
                self.health.answered()
            if response.status not in _BUSY or not patience.may_retry():
                return response
            response.drain_conn()

    def _note_failure(self, patience: Patience, asked_at: float, words: str) -> None:
        # For those who have left, the store has little time to answer.
        if not patience.is_abandoned:
            self.health.failed(asked_at, words)


class _Slices:
    """A body that is sent piece by piece, as often as asked for. It is progress only when it
    gets further than before: a connection that will break takes some at first every time."""

    def __init__(self, body: bytes, patience: Patience) -> None:
        self._body = memoryview(body)
        self._patience = patience
        self._furthest = 0

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self._body), SLICE_BYTES):
            yield self._body[start : start + SLICE_BYTES]
            if start >= self._furthest:
                self._furthest = start + SLICE_BYTES
                self._patience.progressed()
