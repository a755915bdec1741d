"""The servers of the cluster tests, shared by all that do not break them, and films."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.topology import Servers
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.service import media


@pytest.fixture
def servers(postgres: Postgres, redis_server: Redis) -> Servers:
    """Without an S3 store and ClickHouse: the blobs lie in a folder that the nodes share, the
    analytics in PostgreSQL."""
    return Servers(postgres, redis_server)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture
def film(films: Path) -> Path:
    """Its transcoding takes several seconds, and ends."""
    return media.long_film(films, seconds=15)


@pytest.fixture
def endless_film(films: Path) -> Path:
    """Its transcoding outlasts any test."""
    return media.long_film(films)
