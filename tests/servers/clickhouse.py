"""The ClickHouse engine (chdb) as a server that clickhouse-connect talks to over HTTP.

Real: the engine with its DDL, MergeTree tables, deduplication, queries, error codes, and data
that outlives a kill. Not proven by it: replication, quotas, grants and other server
configuration, TLS, how a real server schedules many clients at once, its HTTP parser.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.servers.process import ServerProcess, accepts, free_port

_ROOT = Path(__file__).resolve().parents[2]


class ClickHouse:
    """One server with as many databases as are asked for, and one user."""

    def __init__(self, folder: Path, *, user: str = "default", password: str = "") -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.port = free_port()
        self.user, self.password = user, password
        self.process = ServerProcess(
            "clickhouse",
            [
                *(sys.executable, "-m", "tests.servers.clickhouse_http"),
                *("--port", str(self.port), "--data", folder),
                *("--user", user, "--password", password),
            ],
            folder,
            is_ready=lambda: accepts(self.port),
            environment={"PYTHONPATH": str(_ROOT)},
            # It is a library in this very Python, which only its owner may be able to read.
            drops_root=False,
        )

    @property
    def address(self) -> str:
        """`host:port`, as CLICKHOUSE_DSN takes it."""
        return f"127.0.0.1:{self.port}"

    def dsn(self, database: str = "default", *, port: int | None = None) -> str:
        """The URL form, through a proxy's port if one is given."""
        account = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"http://{account}@127.0.0.1:{port or self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a database that does not exist yet; it is dropped afterwards."""
        name = f"db_{secrets.token_hex(6)}"
        try:
            yield name
        finally:
            self.execute(f"drop database if exists {name}")

    def execute(self, statement: str, database: str = "default") -> str:
        """What the server answers to it, tab separated."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/",
            params={"database": database},
            content=statement,
            auth=httpx.BasicAuth(self.user.encode(), self.password.encode()),
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return answer.text.strip()
