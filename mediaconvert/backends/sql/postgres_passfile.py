"""~/.pgpass: the database's password from a file of its own, as libpq reads it.

asyncpg's own reading leaves the escapes in the password, so it is never let near the file: who
connects hands it what is found here. Says which file is not used and why, never what is in it.
Called by `postgres_uri.py`, which knows for whom, and before each connection. (PostgreSQL's
manual: libpq, The Password File and The Connection Service File.)
"""

from __future__ import annotations

import configparser
import getpass
import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from mediaconvert.errors import StartupError

log = logging.getLogger("mediaconvert.backends.sql.postgres")

# libpq's own default and Debian's, whose first name is a link to the second. To the libpq whose
# default it is, a folder is called localhost, and to any other by its own name.
_SOCKET_FOLDERS = frozenset(("/tmp", "/var/run/postgresql", "/run/postgresql"))
_FIELD = re.compile(r"(?:\\.|[^:\\]|\\$)*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class PasswordFile:
    """One file, and whose password is looked for in it."""

    def __init__(
        self, path: Path, places: Sequence[tuple[str, str]], database: str, user: str
    ) -> None:
        """`places` are hosts (names, addresses or folders of sockets) with their ports."""
        self.path = path
        self.places = tuple(places)
        self.database = database
        self.user = user
        self._is_complained_of = False

    def password(self) -> str:
        """As the file has it now, for it may be changed while we run; empty where it has none,
        or cannot be used. One for all hosts: they are one cluster, which shares its users."""
        text = self._read()
        for host, port in self.places:
            found = find_password(text, host, port, self.database, self.user)
            if found is not None:
                return found
        return ""

    def _read(self) -> str:
        try:
            # Before it is opened, which for a pipe might never end.
            mode = self.path.stat().st_mode
            if not stat.S_ISREG(mode):
                return self._complain("it is not a plain file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                return self._complain(
                    f"others than its owner may read or change it; run chmod 600 {self.path}"
                )
            return self.path.read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            return self._complain(f"it cannot be read: {error.strerror}")

    def _complain(self, why: str) -> str:
        """Once: it is looked at for each connection. Nothing stands in such a file."""
        if not self._is_complained_of:
            self._is_complained_of = True
            log.warning("the password file %s is not used: %s", self.path, why)
        return ""


def password_file(
    given: Mapping[str, str], hosts: Sequence[str], ports: Sequence[int]
) -> PasswordFile | None:
    """Where the password is looked up that neither the URI nor its service nor the environment
    has; None where one of them has it. `given` is what the URI says, by the names of libpq.
    Raises StartupError."""
    service = _service(given.get("service", ""))
    known = {**service, **{name: value for name, value in given.items() if value}}
    environment = os.environ
    path = known.get("passfile") or environment.get("PGPASSFILE") or _in_home(".pgpass")
    if known.get("password") or environment.get("PGPASSWORD") or not path:
        return None
    user = known.get("user") or environment.get("PGUSER") or _own_name()
    database = known.get("dbname") or environment.get("PGDATABASE") or user
    if hosts:
        places = list(zip(hosts, map(str, ports), strict=True))
    else:
        names = (service.get("host") or environment.get("PGHOST") or "").split(",")
        numbers = (service.get("port") or environment.get("PGPORT") or "5432").split(",")
        places = list(
            zip(names, numbers * len(names) if len(numbers) == 1 else numbers, strict=False)
        )
    return PasswordFile(Path(path), places, database, user)


def find_password(text: str, host: str, port: str, database: str, user: str) -> str | None:
    """The password of the first line that fits: `host:port:database:user:password`, any of the
    first four may be `*`, and a backslash stands before a colon or a backslash that is meant."""
    names = (host, "localhost") if host in _SOCKET_FOLDERS else (host or "localhost",)
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        for name in names:
            rest: str | None = line.rstrip("\r")
            for wanted in (name, port, database, user):
                rest = None if rest is None else _after(rest, wanted)
            if rest is not None:
                return _unescaped(_field(rest))
    return None


def _after(line: str, wanted: str) -> str | None:
    """What follows the first field, where that is what is wanted. It is read by what is wanted,
    so that a colon which that has, as IPv6 addresses do, may stand there without a backslash."""
    if line.startswith("*:"):
        return line[2:]
    for character in wanted:
        line = line.removeprefix("\\")
        if not line.startswith(character):
            return None
        line = line[1:]
    return line[1:] if line.startswith(":") else None


def _field(line: str) -> str:
    match = _FIELD.match(line)
    assert match is not None  # it matches nothing at all as well
    return match[0]


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(r"\1", field)


def _service(name: str) -> Mapping[str, str]:
    """What the connection service file says of a name; nothing where there is none."""
    path = os.environ.get("PGSERVICEFILE") or _in_home(".pg_service.conf")
    if not name or not path:
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeError):
        # Not its words: they repeat a line.
        raise StartupError(
            f"the service file {path} that DATABASE_URL names is not understood; it takes "
            "[service] and lines of name=value"
        ) from None
    return dict(parser[name]) if parser.has_section(name) else {}


def _in_home(name: str) -> str:
    try:
        return str(Path.home() / name)
    except (RuntimeError, KeyError):
        return ""


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise StartupError(
            "database.url (DATABASE_URL) names no user, and the one that this process runs as has "
            "no name; write postgres://user@host/database"
        ) from None
