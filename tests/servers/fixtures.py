"""One copy of each server a test run, started when the first test asks for it.

Tests that stop or break a server start one of their own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_postgres_driver
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Databases, GivenPostgres, Postgres
from tests.servers.process import START_SECONDS
from tests.servers.redis import Redis
from tests.servers.seaweedfs import SeaweedFS


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where the servers keep their files; other users may pass through it."""
    with tempfile.TemporaryDirectory(prefix="mediaconvert-servers-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[Postgres]:
    server = Postgres(servers_folder / "postgres")
    server.process.start()
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, servers_folder: Path) -> Databases:
    """What tests want that need a well PostgreSQL: the machine's own where
    MEDIACONVERT_TEST_POSTGRES names one, as any URI that DATABASE_URL takes."""
    given = os.environ.get("MEDIACONVERT_TEST_POSTGRES")
    if given:
        return GivenPostgres(given, servers_folder)
    server: Postgres = request.getfixturevalue("postgres")
    return server


@pytest.fixture(scope="session")
def catalog_template(databases: Databases) -> Iterator[str]:
    """The name of a database with an empty catalog, to make others from."""
    name = databases.create_database()

    async def migrate() -> None:
        async with open_postgres_driver(databases.url(name), deadline_seconds=START_SECONDS):
            pass

    # Asked for inside of a test's loop, so a loop of its own needs a thread.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(trio.run, migrate).result()
    yield name
    databases.drop_database(name)


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Iterator[Redis]:
    server = Redis(servers_folder / "redis")
    server.process.start()
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def redis_address(request: pytest.FixtureRequest) -> str:
    """What tests of a well Redis use: the machine's own where MEDIACONVERT_TEST_REDIS names
    one, in any form that REDIS_URL takes."""
    given = os.environ.get("MEDIACONVERT_TEST_REDIS")
    if given:
        return given
    server: Redis = request.getfixturevalue("redis_server")
    return server.address


@pytest.fixture(scope="session")
def valkey_address(servers_folder: Path) -> Iterator[str]:
    server = Redis(servers_folder / "valkey", kind="Valkey")
    server.process.start()
    yield server.address
    server.process.stop()


@pytest.fixture(scope="session")
def seaweedfs(servers_folder: Path) -> Iterator[SeaweedFS]:
    server = SeaweedFS(servers_folder / "seaweedfs")
    server.process.start()
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def clickhouse(servers_folder: Path) -> Iterator[ClickHouse]:
    server = ClickHouse(servers_folder / "clickhouse")
    server.process.start()
    yield server
    server.process.stop()
