"""Where ClickHouse is, out of `analytics.clickhouse_dsn`: its forms, and one sentence for
everything else.

Pure. The sentence names the setting and what is wrong, and never repeats the value, which may
hold a password. Called when the analytics are opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mediaconvert.errors import StartupError, suggestion

HTTP_PORT = 8123
HTTPS_PORT = 8443
DATABASE = "mediaconvert"
"""Where the DSN names none."""
FORMS = "host:port or http(s)://user:password@host:port/database"

# ClickHouse's other listeners (its server configuration's defaults, and those of its docker
# examples): native, native with TLS, MySQL, PostgreSQL, between servers, gRPC.
_OTHER_PORTS = frozenset({9000, 9001, 9440, 9004, 9005, 9009, 9010, 9100})
_OTHER_SCHEMES = frozenset({"clickhouse", "clickhouses", "clickhousedb", "native", "tcp", "ch"})
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """A server's HTTP interface, and how to log in there. `str()` is for people and holds no
    secret."""

    host: str
    port: int = HTTP_PORT
    database: str = DATABASE
    user: str = "default"
    password: str = field(default="", repr=False)
    is_tls: bool = False
    ca_file: str | None = None
    """Of a certificate authority of one's own."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database}"


def parse_clickhouse_dsn(dsn: str) -> ClickHouseAddress:
    """Raises StartupError."""
    text = dsn.strip()
    if "#" in text:
        raise _wrong("holds a '#'; in a password write it as %23")
    if _BROKEN_ESCAPE.search(text):
        raise _wrong("holds a '%' that begins no escape; in a password write it as %25")
    try:
        # Without a scheme it is the `host:port` of the original program.
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        # From none: the reason repeats what it tripped over, which may be a password's half.
        raise _wrong("has no valid host and port (a '/' in a password is %2F)") from None
    _check_scheme(parts.scheme)
    _check_port(port)
    if not parts.hostname:
        raise _wrong("names no host")
    is_tls = parts.scheme == "https"
    return ClickHouseAddress(
        host=unquote(parts.hostname),
        port=port or (HTTPS_PORT if is_tls else HTTP_PORT),
        database=_database(parts),
        user=unquote(parts.username) if parts.username else "default",
        password=unquote(parts.password or ""),
        is_tls=is_tls,
        ca_file=_ca_file(parts),
    )


def _check_scheme(scheme: str) -> None:
    if scheme in _OTHER_SCHEMES:
        raise _wrong(
            f"begins with '{scheme}://', the native protocol; this program speaks ClickHouse's "
            f"HTTP interface, on port {HTTP_PORT} ({HTTPS_PORT} with TLS)"
        )
    if scheme not in ("http", "https"):
        raise _wrong(f"begins with '{scheme}://'{suggestion(scheme, ('http', 'https'))}")


def _check_port(port: int | None) -> None:
    if port == 0:
        raise _wrong("has port 0")
    if port in _OTHER_PORTS:
        raise _wrong(
            f"names port {port}, which speaks no HTTP; ClickHouse's HTTP interface is on port "
            f"{HTTP_PORT} ({HTTPS_PORT} with TLS)"
        )


def _database(parts: SplitResult) -> str:
    name = unquote(parts.path.strip("/"))
    if "/" in name:
        raise _wrong("names more than one database (a '/' in a password is %2F)")
    return name or DATABASE


def _ca_file(parts: SplitResult) -> str | None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = options.pop("ca_cert", None)
    if options:
        # The name is not shown: behind a '?' that was not escaped it is a password's rest.
        raise _wrong("has an unknown option; the only one is ca_cert=/path/of/ca.pem")
    if path is not None and parts.scheme != "https":
        raise _wrong("has the option ca_cert, which is for https:// only")
    return path or None


def _wrong(what: str) -> StartupError:
    return StartupError(f"analytics.clickhouse_dsn (CLICKHOUSE_DSN) {what}; it takes {FORMS}")
