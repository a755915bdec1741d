"""Where Redis is, out of `redis.url`: its forms, and one sentence for everything else.

Pure. The sentence names the setting and what is wrong, and never repeats the value, which may
hold a password. Called when the notices are opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mediaconvert.errors import StartupError, suggestion

DEFAULT_PORT = 6379
FORMS = "host:port, redis://[user:password@]host:port/db, rediss://… (TLS) or unix:///path"
# Named as redis-py and its tools name them.
_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_OPTIONS = {*_FILES, "ssl_cert_reqs", "db"}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A server and how to log in there. `str()` is for people and holds no secret."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    """Of a Unix socket, in place of host and port."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    checks_certificate: bool = True
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


def parse_address(url: str) -> RedisAddress:
    """Raises StartupError."""
    text = url.strip()
    if "#" in text:
        raise _wrong("holds a '#'; in a password write it as %23")
    try:
        # Without a scheme it is the `host:port` of the original program.
        parts = urlsplit(text if "://" in text else f"redis://{text}")
        port = parts.port
    except ValueError:
        # From none: the reason repeats what it tripped over, which may be a password's half.
        raise _wrong("has no valid host and port (a '/' in a password is %2F)") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        known = suggestion(parts.scheme, ("redis", "rediss", "unix"))
        raise _wrong(f"begins with '{parts.scheme}://'{known}")
    is_socket = parts.scheme == "unix"
    host = unquote(parts.hostname or "")
    if is_socket and (host or not parts.path.strip("/")):
        raise _wrong("names no socket")
    if not is_socket and not host:
        raise _wrong("names no host")
    if port == 0:
        raise _wrong("has port 0")
    options = _options(parts)
    certificates = options.get("ssl_cert_reqs", "required")
    if certificates not in ("required", "none"):
        raise _wrong("has an ssl_cert_reqs that is neither 'required' nor 'none'")
    return RedisAddress(
        host="" if is_socket else host,
        port=port or DEFAULT_PORT,
        path=unquote(parts.path) if is_socket else "",
        db=_database(options.get("db", "" if is_socket else parts.path.strip("/"))),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        is_tls=parts.scheme == "rediss",
        checks_certificate=certificates == "required",
        ca_file=options.get("ssl_ca_certs"),
        certificate_file=options.get("ssl_certfile"),
        key_file=options.get("ssl_keyfile"),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query))
    for name in options:
        if name not in _OPTIONS:
            # The name is not shown: behind a '?' that was not escaped it is a password's rest.
            raise _wrong(f"has an unknown option; known are {', '.join(sorted(_OPTIONS))}")
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise _wrong(f"has the option {name}, which is for rediss:// only")
    return options


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise _wrong("has a database that is not a number")
    return int(text)


def _wrong(what: str) -> StartupError:
    return StartupError(f"redis.url {what}; it takes {FORMS}")
