"""One connection to Redis, blocking, for one thread at a time: what the client library is for.

Each step has a bound of its own but for the resolution of names, which has none; so a step may
be given up from outside (`close`), and the thread that is still in it closes the socket when it
comes back. Nothing is tried again here: a link that failed is replaced by its owner. The only
place that imports the client library.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from mediaconvert.backends.notices.redis_address import RedisAddress

T = TypeVar("T")

STEP_SECONDS = 2.0
"""For connecting, for each write, for each answer."""
MAX_MESSAGES = 1000
"""Handed over at once by `read`."""
OLDEST = (6, 2)


class LinkError(Exception):
    """The link is of no use any more; the text is a sentence without secrets."""


class _Connection(Protocol):
    """What is used of the library's connection, which has no types of its own."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_command(self, *parts: str) -> None: ...
    def pack_commands(self, commands: Sequence[tuple[str, str, bytes]]) -> Sequence[bytes]: ...
    def send_packed_command(self, command: Sequence[bytes]) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def read_response(self) -> object: ...


class Link:
    def __init__(self, address: RedisAddress, step_seconds: float = STEP_SECONDS) -> None:
        self._address = address
        self._connection = _connection(address, step_seconds)
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> str:
        """Connect and log in; the server's name and version."""
        return self._step(self._open)

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Channel and content of each, in one trip; returns when all are acknowledged."""
        self._step(lambda: self._publish(messages))

    def subscribe(self, channels: Sequence[str]) -> None:
        """Returns when the server has confirmed each: from here on nothing is missed."""
        self._step(lambda: self._subscribe(channels))

    def read(self, seconds: float) -> list[bytes]:
        """What was published on the channels: waits so long for the first, then takes what
        has come."""
        return self._step(lambda: self._read(seconds))

    def close(self) -> None:
        """From any thread, never waits: a step under way closes the link at its end."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._connection.disconnect()
            finally:
                self._lock.release()

    def _step(self, work: Callable[[], T]) -> T:
        try:
            with self._lock:
                if self._is_closed:
                    raise LinkError(f"the connection to Redis at {self._address} was closed")
                return work()
        except (RedisError, OSError, ValueError) as error:
            self._is_closed = True
            raise LinkError(_sentence(error, self._address)) from error
        finally:
            # Set by `close` while the lock was ours, or by the failure: nobody else will.
            if self._is_closed:
                self.close()

    def _open(self) -> str:
        self._connection.connect()
        self._connection.send_command("PING")
        self._connection.read_response()
        try:
            self._connection.send_command("INFO", "server")
            return version(self._connection.read_response())
        except NoPermissionError:
            return "Redis"

    def _publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        commands = [("PUBLISH", channel, content) for channel, content in messages]
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        for _ in commands:
            self._connection.read_response()

    def _subscribe(self, channels: Sequence[str]) -> None:
        self._connection.send_command("SUBSCRIBE", *channels)
        for _ in channels:
            # Nothing can be published to us before the last of them but on an earlier one;
            # that is lost as if it had come before.
            while True:
                match self._connection.read_response():
                    case [b"subscribe", *_]:
                        break

    def _read(self, seconds: float) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < MAX_MESSAGES and self._connection.can_read(0 if found else seconds):
            match self._connection.read_response():
                case [b"message", _, bytes() as content]:
                    found.append(content)
        return found


def examine_redis(address: RedisAddress) -> str:
    """Blocking: whether a notice would get through, by one on a channel that nobody else has;
    the server's version. Raises LinkError."""
    channel = f"mediaconvert:doctor:{secrets.token_hex(8)}"
    listener, sender = Link(address), Link(address)
    try:
        found = listener.open()
        listener.subscribe((channel,))
        sender.open()
        sender.publish([(channel, b"?")])
        if not listener.read(STEP_SECONDS):
            raise LinkError(f"Redis at {address} takes notices and does not deliver them")
    finally:
        listener.close()
        sender.close()
    oldest = ".".join(map(str, OLDEST))
    return f"{found}  older than {oldest}; update it" if is_too_old(found) else found


def version(info: object) -> str:
    """From the section `server` of INFO: forks tell Redis' version for compatibility, and
    their own beside it."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "valkey_version" in fields:
        return f"Valkey {fields['valkey_version']}"
    return f"Redis {fields.get('redis_version', '')}".rstrip()


def is_too_old(name: str) -> bool:
    """By its version; what tells none is trusted."""
    kind, _, number = name.partition(" ")
    parts = number.split(".")
    if kind != "Redis" or len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):
        return False
    return (int(parts[0]), int(parts[1])) < OLDEST


def _connection(address: RedisAddress, step_seconds: float) -> _Connection:
    # Untyped in the library: every option of a connection by name.
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_timeout": step_seconds,
        "socket_connect_timeout": step_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    kind: Callable[..., object]
    if address.path:
        # Abstract on paper only.
        kind = cast("Callable[..., object]", UnixDomainSocketConnection)
        options |= {"path": address.path}
    else:
        kind = SSLConnection if address.is_tls else Connection
        options |= {"host": address.host, "port": address.port}
    if address.is_tls:
        options |= {
            "ssl_cert_reqs": "required" if address.checks_certificate else "none",
            "ssl_check_hostname": address.checks_certificate,
            "ssl_ca_certs": address.ca_file,
            "ssl_certfile": address.certificate_file,
            "ssl_keyfile": address.key_file,
        }
    return cast("_Connection", kind(**options))


def _sentence(error: Exception, address: RedisAddress) -> str:
    where = f"Redis at {address}"
    match error:
        case AuthenticationError() if address.password is None:
            scheme = "unix" if address.path else "rediss" if address.is_tls else "redis"
            return (
                f"{where} wants a password, and redis.url (REDIS_URL) has none; write it as in "
                f"{scheme}://{address.username or ''}:password@{address}"
            )
        case AuthenticationError():
            return f"{where} refuses the user and password of redis.url (REDIS_URL)"
        case NoPermissionError():
            return f"{where} does not allow this user what notices need ({error})"
        case _:
            return f"{where} cannot be used: {_reason(error)}"


def _reason(error: BaseException) -> str:
    """The operating system's words, where the library's stand around them."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__
    return str(error).rstrip(".") or type(error).__name__
