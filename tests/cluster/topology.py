"""The whole of a cluster as plain processes: the servers, and nodes of ours in front of them.

What `docker-compose.yml` describes, for tests that break it and for trying by hand
(`python -m tests.cluster`). Every server may be left out; then the embedded one is used, and
blobs lie in a folder that all nodes share.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.nodes import Node
from tests.program import Person, wait_until
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import USER, Postgres
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS


@dataclass(frozen=True)
class Servers:
    """What the nodes share. Running, and stopped by whoever started them."""

    postgres: Postgres
    redis: Redis | None = None
    store: SeaweedFS | None = None
    clickhouse: ClickHouse | None = None

    def ports(self) -> dict[str, int]:
        servers = {
            "postgres": self.postgres,
            "redis": self.redis,
            "store": self.store,
            "clickhouse": self.clickhouse,
        }
        return {name: server.port for name, server in servers.items() if server is not None}


@contextmanager
def open_servers(folder: Path) -> Iterator[Servers]:
    """One of each, of one's own."""
    with ExitStack() as stack:
        servers = Servers(
            Postgres(folder / "postgres"),
            Redis(folder / "redis"),
            SeaweedFS(folder / "seaweedfs"),
            ClickHouse(folder / "clickhouse"),
        )
        for server in (servers.postgres, servers.redis, servers.store, servers.clickhouse):
            assert server is not None
            stack.callback(server.process.stop)
            server.process.start()
        yield servers


class Cluster:
    """Nodes on one catalog, one blob store, one pair of keys. Made by `open_cluster`."""

    def __init__(
        self, folder: Path, servers: Servers, database: str, settings: Mapping[str, str]
    ) -> None:
        """`database` is the name of a fresh one; `settings` are variables of every node."""
        self.folder = folder
        self.servers = servers
        self.database = database
        self.bucket = f"blobs-{secrets.token_hex(6)}"
        self.analytics = f"analytics_{secrets.token_hex(6)}"
        self.nodes: list[Node] = []
        self._people: list[Person] = []
        self._settings = dict(settings) | {
            "JWT_SECRET": secrets.token_urlsafe(32),
            "MEDIACONVERT_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }

    @property
    def apis(self) -> list[Node]:
        return [node for node in self.nodes if node.role == "api"]

    @property
    def workers(self) -> list[Node]:
        return [node for node in self.nodes if node.role == "worker"]

    def add(
        self,
        role: str,
        *,
        data_dir: Path | None = None,
        clock_shift_seconds: float = 0.0,
        **more: str,
    ) -> Node:
        """A further node, not started. `data_dir` is its own unless it shares another's; `more`
        are variables of it alone."""
        number = sum(node.role == role for node in self.nodes) + 1
        name = f"{role}{number}"
        proxies = {each: Proxy(port) for each, port in self.servers.ports().items()}
        ports = {each: proxy.port for each, proxy in proxies.items()}
        environment = self._settings | self.addresses(ports) | more
        if data_dir is not None:
            environment["MEDIACONVERT_DATA_DIR"] = str(data_dir)
        node = Node(
            name,
            role,
            self.folder / name,
            environment,
            proxies,
            clock_shift_seconds=clock_shift_seconds,
        )
        self.nodes.append(node)
        return node

    def addresses(self, ports: Mapping[str, int]) -> dict[str, str]:
        """The variables that name the servers, as they are reached on these ports."""
        told = {"DATABASE_URL": f"postgres://{USER}@127.0.0.1:{ports['postgres']}/{self.database}"}
        if "redis" in ports:
            told["REDIS_URL"] = f"127.0.0.1:{ports['redis']}"
        if "store" in ports:
            told |= {
                "S3_ENDPOINT": f"http://127.0.0.1:{ports['store']}",
                "S3_ACCESS_KEY": ACCESS_KEY,
                "S3_SECRET_KEY": SECRET_KEY,
                "S3_BUCKET": self.bucket,
            }
        else:
            told["MEDIACONVERT_STORAGE__DIRECTORY"] = str(self.folder / "blobs")
        if self.servers.clickhouse is not None:
            dsn = self.servers.clickhouse.dsn(self.analytics, port=ports["clickhouse"])
            told["CLICKHOUSE_DSN"] = dsn
        return told

    def direct_addresses(self) -> dict[str, str]:
        """As a program on no node's network would be told them, with the keys."""
        return self._settings | self.addresses(self.servers.ports())

    def start(self, nodes: Sequence[Node]) -> None:
        """All at once, as machines do."""
        with ThreadPoolExecutor(len(nodes)) as threads:
            for started in [threads.submit(node.start) for node in nodes]:
                started.result()

    def sql(self, statement: str) -> str:
        """Past all of the program, in the catalog's database."""
        return self.servers.postgres.execute(self.database, statement)

    def worker_of(self, job_id: int) -> Node | None:
        """The node that holds the job's lease; None while none that runs does."""
        worker_id = self.sql(f"select worker_id from jobs where id = {job_id}")
        running = (node for node in self.nodes if node.role != "api" and node.program is not None)
        return next((node for node in running if node.worker_id == worker_id), None)

    def wait_for_worker(self, job_id: int) -> Node:
        """The node that works on the job, with its tools."""
        found: list[Node] = []

        def is_at_work() -> bool:
            node = self.worker_of(job_id)
            if node is None or not node.encoders():
                return False
            found[:] = [node]
            return True

        wait_until(is_at_work, f"job {job_id} runs")
        return found[0]

    def history(self, job_id: int) -> list[str]:
        """Of the job, each state that it came to."""
        statement = f"select to_status from job_history where job_id = {job_id} order by id"
        return self.sql(statement).split()

    def person(self) -> Person:
        """A new user, at the first api for now; closed with the cluster."""
        person = Person(self.apis[0].url)
        self._people.append(person)
        return person

    def close(self) -> None:
        for person in self._people:
            person.close()
        with ThreadPoolExecutor(max(1, len(self.nodes))) as threads:
            for closed in [threads.submit(node.close) for node in self.nodes]:
                closed.result()


@contextmanager
def open_cluster(
    folder: Path,
    servers: Servers,
    *,
    apis: int = 1,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """A started cluster on a fresh database; stopped when the block ends. An ERROR or a
    traceback in any node's log fails the test."""
    database = servers.postgres.create_database()
    cluster = Cluster(folder, servers, database, settings or {})
    try:
        nodes = [cluster.add("api") for _ in range(apis)]
        nodes += [cluster.add("worker") for _ in range(workers)]
        if nodes:
            cluster.start(nodes)
        yield cluster
    finally:
        cluster.close()
        servers.postgres.drop_database(database)
    found = {node.name: node.errors() for node in cluster.nodes}
    assert not any(found.values()), {name: lines for name, lines in found.items() if lines}
