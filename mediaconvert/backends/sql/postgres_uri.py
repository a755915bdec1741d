"""DATABASE_URL: a libpq URI, checked, and made one that asyncpg understands.

asyncpg hands every parameter that it does not know to the server, which refuses the connection;
libpq has many of them. Looks at nothing but the environment, whether the named certificates
exist and a named service, and never puts a password into an error. Called when the catalog is
opened. (PostgreSQL's manual: libpq, Connection URIs and Parameter Key Words.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from mediaconvert.backends.sql.postgres_passfile import PasswordFile, password_file
from mediaconvert.errors import StartupError, suggestion

EXAMPLE = "postgres://user:password@host:5432/database"

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSION_ATTRIBUTES = (*("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),)

# asyncpg takes these as libpq does.
_KNOWN = frozenset(
    (
        *("service", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "krbsrvname", "gsslib"),
    )
)
# What the server itself takes.
_SERVER = frozenset(("application_name", "options"))
# Read below.
_OURS = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "password", "passfile"),
        *("connect_timeout", "fallback_application_name", "pgbouncer"),
    )
)
# libpq's own affairs: sockets, and ways of proving who one is that asyncpg chooses by itself.
# asyncpg speaks UTF-8, whatever client_encoding says.
_IGNORED = frozenset(
    (
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "gssencmode", "channel_binding", "gssdelegation", "sslsni"),
        *("sslcompression", "sslcertmode", "sslcrldir", "requirepeer", "require_auth"),
        *("load_balance_hosts", "min_protocol_version", "max_protocol_version"),
        *("scram_client_key", "scram_server_key", "sslkeylogfile", "client_encoding"),
        *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
    )
)
_URI = re.compile(
    r"(?:postgres|postgresql)://(?:(?P<auth>[^/?]*)@)?(?P<hosts>[^/?@]*)"
    r"(?:/(?P<database>[^?/]*))?(?:\?(?P<query>.*))?"
)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
SYSTEM_ROOTS = "system"
"""The value of sslrootcert that means the certificates that the machine trusts."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the catalog is and how it is reached; made by `parse_postgres_uri`."""

    dsn: str = field(repr=False)
    """For asyncpg, without hosts; holds the password."""
    hosts: tuple[str, ...]
    """Names, addresses or folders of sockets; none for libpq's own defaults."""
    ports: tuple[int, ...]
    """As many as there are hosts."""
    database: str
    server_settings: Mapping[str, str]
    connect_seconds: float | None
    """`connect_timeout`, where it was given."""
    trusts_system: bool
    """TLS by the certificates that the machine trusts (`sslrootcert=system`)."""
    password_file: PasswordFile | None = field(repr=False, compare=False)
    """Where the password is looked up, where it is not known otherwise."""

    @property
    def shown(self) -> str:
        """`host:port/database`, for people."""
        places = [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in zip(self.hosts, self.ports, strict=True)
        ]
        return "/".join(filter(None, (",".join(places) or "localhost", self.database)))


def parse_postgres_uri(uri: str) -> PostgresAddress:
    """Raises StartupError with one sentence that names what is wrong, and no password."""
    match = _URI.fullmatch(uri.strip())
    if match is None:
        raise _wrong(_why_no_match(uri))
    for what, text in (
        ("the user or the password", match["auth"]),
        ("a host", match["hosts"]),
        ("the database's name", match["database"]),
        ("a parameter", match["query"]),
    ):
        _check_percent(what, text or "")
    parameters = _parameters(match["query"] or "")
    _check_choices(parameters)
    _check_files(parameters)
    settings = {name: parameters[name] for name in _SERVER if parameters.get(name)}
    settings.setdefault(
        "application_name", parameters.get("fallback_application_name", "mediaconvert")
    )
    places = _places(match["hosts"], parameters)
    login = _login(match, parameters)
    trusts_system = parameters.get("sslrootcert") == SYSTEM_ROOTS
    return PostgresAddress(
        dsn=_dsn(login, parameters, trusts_system=trusts_system),
        hosts=places.hosts,
        ports=places.ports,
        database=login["dbname"],
        server_settings=settings,
        connect_seconds=_seconds(parameters.get("connect_timeout", "")),
        trusts_system=trusts_system,
        password_file=password_file({**parameters, **login}, places.named, places.ports),
    )


def _wrong(why: str) -> StartupError:
    return StartupError(f"database.url (DATABASE_URL) is not a PostgreSQL URI: {why}")


def _why_no_match(uri: str) -> str:
    scheme, separator, _ = uri.strip().partition("://")
    if not separator:
        return f"it should begin with postgres://, as in {EXAMPLE}"
    if scheme not in ("postgres", "postgresql"):
        return f"it begins with '{scheme}://' where postgres:// belongs, as in {EXAMPLE}"
    return (
        "a '/' or '?' in the user, the password or the database is written %2F or %3F, as in "
        f"{EXAMPLE}"
    )


def _parameters(query: str) -> dict[str, str]:
    try:
        # To libpq a '+' is a '+'.
        encoded = query.replace("+", "%2B")
        pairs = parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise _wrong("its parameters should be ?name=value&name=value") from None
    known = _KNOWN | _SERVER | _OURS | _IGNORED
    parameters: dict[str, str] = {}
    for name, value in pairs:
        # JDBC's word, which libpq takes too, and libpq's own of long ago.
        if name in ("ssl", "requiressl"):
            name, value = "sslmode", "require" if _is_true(value) else "prefer"
        # Frameworks write the database in both ways.
        name = "dbname" if name == "database" else name
        if name not in known:
            raise _wrong(f"it has an unknown parameter '{name}'{suggestion(name, known)}")
        parameters[name] = value
    return parameters


def _check_choices(parameters: Mapping[str, str]) -> None:
    for name, choices in (
        ("sslmode", _SSL_MODES),
        ("target_session_attrs", _SESSION_ATTRIBUTES),
        ("sslnegotiation", ("postgres", "direct")),
    ):
        value = parameters.get(name)
        if value and value not in choices:
            hint = suggestion(value, choices)
            raise _wrong(f"{name} is '{value}'; it may be {', '.join(choices)}{hint}")
    if _is_true(parameters.get("pgbouncer", "")):
        # What became of a commit that was not answered is asked outside of a transaction, and
        # statements stay prepared: both need one server behind one connection.
        raise _wrong(
            "pgbouncer=true stands for its transaction mode, which cannot be used; run pgbouncer "
            "in session mode, or connect to the server itself, and leave the parameter out"
        )


def _check_files(parameters: Mapping[str, str]) -> None:
    for name in _FILES:
        file = parameters.get(name, "")
        if file and not (name == "sslrootcert" and file == SYSTEM_ROOTS):
            try:
                Path(file).open("rb").close()
            except OSError as error:
                raise _wrong(f"its {name} {file} cannot be read: {error.strerror}") from None


class _Places(NamedTuple):
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    named: tuple[str, ...]
    """The hosts as a password file has them."""


def _places(hosts: str, parameters: Mapping[str, str]) -> _Places:
    """Hosts and their ports: what a parameter says wins, and one port may stand for all."""
    names: list[str] = []
    ports: list[str] = []
    for text in filter(None, hosts.split(",")):
        name, port = _host_and_port(text)
        names.append(unquote(name))
        ports.append(port)
    if given := parameters.get("host"):
        names = given.split(",")
    named = names
    if given := parameters.get("hostaddr"):
        addresses = given.split(",")
        named = _named(names, addresses)
        # A host in a parameter goes before an address: TLS proves a name.
        names = named if parameters.get("host") else addresses
    if given := parameters.get("port"):
        ports = given.split(",")
    elif not any(ports):
        ports = [""] * len(names)
    if not names and any(ports):
        names = named = ["localhost"] * len(ports)
    if len(ports) == 1:
        ports *= len(names)
    if len(names) != len(ports):
        plural = "" if len(names) == 1 else "s"
        raise _wrong(
            f"it has {len(names)} host{plural} and {len(ports)} ports; give one port, or as many"
        )
    for name in names:
        _check_name(name)
    return _Places(
        hosts=tuple(name or "localhost" for name in names),
        ports=tuple(_port(port) for port in ports),
        named=tuple(name or "localhost" for name in named),
    )


def _named(names: list[str], addresses: list[str]) -> list[str]:
    """Whose addresses these are, as far as that is said."""
    if not names:
        return addresses
    if len(names) != len(addresses):
        raise _wrong(
            f"it has hosts ({len(names)}) and hostaddr ({len(addresses)}) in different numbers; "
            "give each host its address, or leave hostaddr out"
        )
    return [name or address for name, address in zip(names, addresses, strict=True)]


def _check_name(host: str) -> None:
    """What no resolver can be asked for: a label that is empty, or over 63 octets (RFC 1035)."""
    try:
        host.encode("idna")
    except UnicodeError:
        if not host.startswith(("/", "@")):
            raise _wrong(f"'{host}' cannot be the name of a host") from None


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, closed, port = text[1:].partition("]")
        if closed and (not port or port.startswith(":")):
            return address, port.removeprefix(":")
    elif text.count(":") <= 1:
        name, _, port = text.partition(":")
        return name, port
    raise _wrong(f"the IPv6 address in '{text}' should stand in [ and ]")


def _port(text: str) -> int:
    if not text:
        return 5432
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise _wrong(f"the port '{text}' is not a number between 1 and 65535")
    return int(text)


def _check_percent(what: str, text: str) -> None:
    # Not shown: any of them may be, or hold, the password.
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise _wrong(f"{what} holds a '%' that begins no escape; a percent sign is written %25")
    if "%00" in text:
        raise _wrong(f"{what} holds %00, which PostgreSQL cannot take")


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = int(text)
    except ValueError:
        raise _wrong(f"connect_timeout is '{text}'; it is a whole number of seconds") from None
    # To libpq less than one is "for ever"; to us, until the transaction's deadline.
    return float(seconds) if seconds > 0 else None


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "1", "yes", "on")


def _login(match: re.Match[str], parameters: Mapping[str, str]) -> dict[str, str]:
    """Who, and to which database; empty where the URI does not say. A parameter wins."""
    user, _, password = (match["auth"] or "").partition(":")
    said = {"user": user, "password": password, "dbname": match["database"] or ""}
    return {name: parameters.get(name) or unquote(text) for name, text in said.items()}


def _dsn(login: Mapping[str, str], parameters: Mapping[str, str], *, trusts_system: bool) -> str:
    """Every part quoted anew: asyncpg's own reading of a URI differs from libpq's where there
    is an '@' or a '#', and of a database that is named twice, or in a parameter alone."""
    kept = {name: value for name, value in parameters.items() if name in _KNOWN and value}
    if trusts_system:
        for name in ("sslmode", "sslrootcert"):
            kept.pop(name, None)
    user, password, database = (quote(login[k], safe="") for k in ("user", "password", "dbname"))
    auth = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = f"?{urlencode(kept, quote_via=quote)}" if kept else ""
    # Without a name no slash: to asyncpg it would be a database without a name.
    return f"postgresql://{auth}{database and '/'}{database}{query}"
