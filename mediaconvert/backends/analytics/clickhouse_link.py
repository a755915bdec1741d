"""ClickHouse's HTTP interface, by clickhouse-connect in threads.

Connects at the first call, and again whenever the server has come back: that it is away is an
ordinary state, which every call says as Unavailable. All waits are bounded. Knows no table;
called by `clickhouse.py`, and by `examine` for its version.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import clickhouse_connect
import trio
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httpclient import HttpClient
from urllib3.exceptions import HTTPError

from mediaconvert.backends.analytics.clickhouse_address import ClickHouseAddress
from mediaconvert.errors import Unavailable

T = TypeVar("T")

CONNECT_SECONDS = 2
ANSWER_SECONDS = 10
"""Without a byte from the server, and for a thread that waits while another one connects."""
REFUSED_SECONDS = 3.0
"""A connection that could not be made is not tried again for so long, less than what the
refusals' Retry-After says: of many who ask, one waits for a silent server and not each."""
_RETRY_AFTER_SECONDS = 5
_CLOSE_SECONDS = 2.0
_MAX_WORDS = 300

# ClickHouse's error codes (src/Common/ErrorCodes.cpp), those whose remedy we know.
UNKNOWN_TABLE = 60
UNKNOWN_DATABASE = 81
READONLY = 164
ACCESS_DENIED = 497
_REMEDIES = {
    192: "it refuses the user or the password; set both in CLICKHOUSE_DSN",
    193: "it refuses the user or the password; set both in CLICKHOUSE_DSN",
    194: "it wants a password; set it in CLICKHOUSE_DSN",
    516: "it refuses the user or the password; set both in CLICKHOUSE_DSN",
    READONLY: "it lets this user only read; grant what config/clickhouse.sql says",
    ACCESS_DENIED: "it does not let this user do that; grant what config/clickhouse.sql says",
    243: "its disk is full; make room",
    242: "a table of the analytics is read-only; see the server's log",
}
_LASTING = frozenset(
    (
        *(6, 26, 27, 38, 41, 72),  # CANNOT_PARSE_*
        *(16, 20, 47, 50, 115),  # no such column, their number, an unknown name, type, setting
        *(36, 43, 44, 48, 53, 62, 70),  # arguments, types and statements that do not fit
        *(69, 117, 131, 321, 349, 407),  # values that do not fit
        *(452, 469, READONLY, ACCESS_DENIED),  # forbidden: by a setting, a constraint, a grant
    )
)
"""Codes of refusals that do not pass: somebody altered a table, a grant or a profile."""


class ClickHouseLink:
    def __init__(
        self,
        address: ClickHouseAddress,
        prepare: Callable[[HttpClient], None],
        *,
        threads: int,
        call_seconds: float,
    ) -> None:
        """`prepare` is called in a thread with each new client, before it is used; what it
        raises is as if the server could not be reached. `call_seconds` bounds a call as a
        whole, the wait for a thread with it."""
        self._address = address
        self._prepare = prepare
        self._call_seconds = call_seconds
        # Of their own: a server that does not answer keeps threads for seconds.
        self._threads = trio.CapacityLimiter(threads)
        self._lock = threading.Lock()
        self._client: HttpClient | None = None
        self._refusal: Unavailable | None = None
        self._refused_until = 0.0
        # What fails comes to us, and is logged once and not at each try.
        logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    async def run(self, work: Callable[[HttpClient], T]) -> T:
        """Call it with a client that is ready. May be cancelled, but then it goes on in its
        thread. Raises Unavailable."""
        with trio.move_on_after(self._call_seconds):
            return await trio.to_thread.run_sync(
                self._call, work, abandon_on_cancel=True, limiter=self._threads
            )
        raise self._unavailable(f"no answer within {self._call_seconds:g} s")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                await trio.to_thread.run_sync(client.close, abandon_on_cancel=True)

    def _call(self, work: Callable[[HttpClient], T]) -> T:
        try:
            return work(self._ready_client())
        except (ClickHouseError, HTTPError, OSError) as error:
            code = getattr(error, "code", None)
            is_lasting = code in _LASTING
            if is_lasting or code in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
                # Somebody altered or dropped the tables: they are looked at at the next call.
                self._client = None
            raise Unavailable(
                _sentence(self._address, error), _RETRY_AFTER_SECONDS, is_lasting=is_lasting
            ) from error
        except Unavailable as error:
            if error.is_lasting:
                self._client = None
            raise

    def _ready_client(self) -> HttpClient:
        if not self._lock.acquire(timeout=ANSWER_SECONDS):
            raise self._unavailable(f"no answer within {ANSWER_SECONDS} s")
        try:
            if self._client is None:
                self._client = self._new_client()
            return self._client
        finally:
            self._lock.release()

    def _new_client(self) -> HttpClient:
        if self._refusal is not None and time.monotonic() < self._refused_until:
            told = self._refusal
            raise Unavailable(str(told), _RETRY_AFTER_SECONDS, is_lasting=told.is_lasting)
        try:
            client = self._connect()
            try:
                self._prepare(client)
            except BaseException:
                client.close()
                raise
        except (ClickHouseError, HTTPError, OSError, Unavailable) as error:
            self._refusal = (
                error
                if isinstance(error, Unavailable)
                else Unavailable(_sentence(self._address, error))
            )
            self._refused_until = time.monotonic() + REFUSED_SECONDS
            raise
        return client

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(
            f"ClickHouse at {self._address} cannot be used: {reason}", _RETRY_AFTER_SECONDS
        )

    def _connect(self) -> HttpClient:
        address = self._address
        client = clickhouse_connect.get_client(
            interface="https" if address.is_tls else "http",
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            # Only afterwards: it may not exist yet.
            database=None,
            ca_cert=address.ca_file,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            query_retries=0,
            client_name="mediaconvert",
            # Without a session, calls from several threads do not wait for each other.
            autogenerate_session_id=False,
            show_clickhouse_errors="scrub",
            dedicated_pool=True,
        )
        assert isinstance(client, HttpClient)
        client.http_retries = 0
        client.database = address.database
        return client


def _sentence(address: ClickHouseAddress, error: Exception) -> str:
    code = getattr(error, "code", None)
    if code in _REMEDIES:
        return f"ClickHouse at {address} cannot be used: {_REMEDIES[code]}"
    if code is not None:
        return f"ClickHouse at {address} cannot be used: code {code}: {_words(str(error))}"
    return f"ClickHouse at {address} cannot be used: {_reason(error)}"


def _words(text: str) -> str:
    """What the server said, without the values that it tripped over: those are the users'."""
    text = " ".join(text.split())
    text = re.sub(r"^.*?server response: (?:Code: \d+\. DB::Exception: )*", "", text)
    # Between the first quote and the last: a value may hold quotes itself.
    text = re.sub(r"'.*'", "'…'", text)
    for beginning in ("Column values:", "parsed text:", "Row 1:"):
        text = text.partition(beginning)[0]
    return text[:_MAX_WORDS].rstrip()


def _reason(error: BaseException) -> str:
    """The innermost reason, which is the system's: those around it repeat addresses."""
    outermost = error.__cause__ or error
    while (inner := error.__cause__ or error.__context__ or _nested(error)) is not None:
        error = inner
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        is_at_connecting = "connect timeout" in str(outermost)
        return f"no answer within {CONNECT_SECONDS if is_at_connecting else ANSWER_SECONDS} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:_MAX_WORDS] or type(error).__name__


def _nested(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, BaseException) else None
