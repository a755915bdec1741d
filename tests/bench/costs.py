"""What one job costs each server, on one api and one worker with all four: the figures behind
SCALING.md. Counted by the servers themselves and by the kernel, so that a busy machine changes
little; nothing here is a speed.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.bench.measure import Figure
from tests.program import PHOTO, Person, Program, run_program, wait_until
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

JOBS = 200
UPLOADS = 500
KEYS = {"JWT_SECRET": "0123456789abcdefghijklmnopqrstuv", "MEDIACONVERT_MASTER_KEY": "A" * 43 + "="}
_TICKS = os.sysconf("SC_CLK_TCK")


class _CountingProxy(Proxy):
    """Counts the requests that go through it, by method."""

    def __init__(self, target_port: int) -> None:
        self.requests: Counter[str] = Counter()
        super().__init__(target_port)

    def _pass(self, piece: bytes, *, is_answer: bool) -> None:
        if not is_answer:
            for method in re.findall(rb"(GET|PUT|POST|DELETE|HEAD) \S+ HTTP/1\.1\r\n", piece):
                self.requests[method.decode()] += 1


@dataclass(frozen=True, slots=True)
class _Counts:
    """Everything at one moment; a cost is the difference of two, by what was done between."""

    wal_bytes: int
    transactions: int
    table_bytes: int
    postgres_cpu: float
    redis_commands: int
    redis_bytes: int
    store_requests: int
    api_cpu: float
    worker_cpu: float
    tools_cpu: float

    def since(self, before: _Counts, count: int) -> dict[str, float]:
        return {
            name: (getattr(self, name) - getattr(before, name)) / count for name in self.__slots__
        }


class _Installation:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.chmod(0o755)
        self.postgres = Postgres(folder / "postgres", fsync=True)
        self.redis = Redis(folder / "redis")
        self.store = SeaweedFS(folder / "seaweedfs")
        self.clickhouse = ClickHouse(folder / "clickhouse")
        for server in (self.postgres, self.redis, self.store, self.clickhouse):
            server.process.start()
            stack.callback(server.process.stop)
        self.database = self.postgres.create_database()
        self.proxy = _CountingProxy(self.store.port)
        stack.callback(self.proxy.close)
        environment = KEYS | {
            "DATABASE_URL": self.postgres.url(self.database),
            "REDIS_URL": self.redis.address,
            "S3_ENDPOINT": f"http://127.0.0.1:{self.proxy.port}",
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
            "CLICKHOUSE_DSN": self.clickhouse.dsn("costs"),
        }
        nodes: dict[str, Program] = {}
        for role in ("api", "worker"):
            (folder / role).mkdir()
            program = run_program(folder / role, "--role", role, environment=environment)
            nodes[role] = stack.enter_context(program)
        self.api, self.worker = nodes["api"], nodes["worker"]

    def count(self) -> _Counts:
        sql = self.postgres.execute
        client = redis.Redis(port=self.redis.port)
        with client:
            info = client.info()
        own, tools = _cpu_of(self.worker.process.pid)
        return _Counts(
            wal_bytes=int(sql(self.database, "select pg_current_wal_lsn() - '0/0'")),
            transactions=int(
                sql(
                    self.database,
                    "select xact_commit from pg_stat_database where datname = current_database()",
                )
            ),
            table_bytes=int(sql(self.database, "select pg_database_size(current_database())")),
            postgres_cpu=sum(_cpu_of(self.postgres.process.pid)),
            redis_commands=int(info["total_commands_processed"]),
            redis_bytes=int(info["total_net_input_bytes"]),
            store_requests=self.proxy.requests.total(),
            api_cpu=_cpu_of(self.api.process.pid)[0],
            worker_cpu=own,
            tools_cpu=tools,
        )

    def is_flushed(self) -> bool:
        return self.postgres.execute(self.database, "select count(*) from outbox") == "0"


def run() -> list[Figure]:
    with _installation() as installation:
        person = Person(installation.api.url)
        try:
            return _measure(installation, person)
        finally:
            person.close()


@contextmanager
def _installation() -> Iterator[_Installation]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        yield _Installation(Path(name), stack)


def _measure(installation: _Installation, person: Person) -> list[Figure]:
    person.save_pipeline("image-resize")
    _run_jobs(person, 10)
    wait_until(installation.is_flushed, "the events of the first jobs have left")
    before = installation.count()
    _run_jobs(person, JOBS)
    wait_until(installation.is_flushed, "the events have left")
    jobs = installation.count().since(before, JOBS)
    before = installation.count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: person.upload(f"small/{n}", b"x" * 1024), range(UPLOADS)))
    uploads = installation.count().since(before, UPLOADS)
    return [
        *_figures("a job", jobs),
        *_figures("a plain upload of 1 KiB", uploads),
        *_analytics(installation),
    ]


def _run_jobs(person: Person, count: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(
            pool.map(lambda n: person.upload(f"{n}.jpg", PHOTO, "image-resize"), range(count))
        )
    # One long request a job, as a client that wants its result: asking again and again would
    # be the greater part of what an api node does.
    for job_id in ids:
        while person.get(f"/api/jobs/{job_id}?wait=30&until=ended")["status"] in (
            "pending",
            "processing",
        ):
            pass
    page = person.get("/api/jobs?status=completed&limit=1")
    assert page["pagination"]["total"] >= count


_UNITS = {
    "wal_bytes": ("PostgreSQL: log written", "KiB", 1 / 1024),
    "transactions": ("PostgreSQL: transactions", "", 1),
    "table_bytes": ("PostgreSQL: growth", "KiB", 1 / 1024),
    "postgres_cpu": ("PostgreSQL: processor", "ms", 1000),
    "redis_commands": ("Redis: commands", "", 1),
    "redis_bytes": ("Redis: bytes in", "B", 1),
    "store_requests": ("S3 store: requests", "", 1),
    "api_cpu": ("api node: processor", "ms", 1000),
    "worker_cpu": ("worker: processor, itself", "ms", 1000),
    "tools_cpu": ("worker: processor, its tools", "ms", 1000),
}


def _figures(what: str, costs: dict[str, float]) -> list[Figure]:
    return [
        Figure(f"{what}: {label}", unit, [costs[name] * factor])
        for name, (label, unit, factor) in _UNITS.items()
    ]


def _analytics(installation: _Installation) -> list[Figure]:
    """Rows a job and bytes a row, as ClickHouse keeps them."""
    answer = installation.clickhouse.execute(
        "select sum(rows), sum(data_compressed_bytes) from system.parts "
        "where active and database = 'costs'"
    )
    rows, size = (int(each) for each in answer.split("\t"))
    return [
        Figure("ClickHouse: rows a job", "", [rows / (JOBS + 10)]),
        Figure("ClickHouse: bytes a row", "B", [size / rows]),
    ]


def _cpu_of(pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and of all its children, those that have ended included."""
    fields = _stat(pid)
    own = int(fields[11]) + int(fields[12])
    ended = int(fields[13]) + int(fields[14])
    living = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                child = _stat(int(entry.name))
            except OSError:
                continue
            if int(child[1]) == pid:
                theirs = _cpu_of(int(entry.name))
                living += int(sum(theirs) * _TICKS)
    return own / _TICKS, (ended + living) / _TICKS


def _stat(pid: int) -> list[str]:
    """Fields from the third on (proc(5)): 1 is the parent, 11 to 14 are processor times."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
