"""What every folder of tests may ask for: the servers. And what every test leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.program import PEOPLE
from tests.servers.fixtures import (
    catalog_template,
    clickhouse,
    databases,
    postgres,
    redis_address,
    redis_server,
    seaweedfs,
    servers_folder,
    valkey_address,
)

__all__ = [
    "catalog_template",
    "clickhouse",
    "databases",
    "postgres",
    "redis_address",
    "redis_server",
    "seaweedfs",
    "servers_folder",
    "valkey_address",
]

# Hypothesis gives an example 200 ms and a test a second to think of one: a machine that pauses
# would fail what is right.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _connections_end_with_the_test() -> Iterator[None]:
    """However it ended: what a failed test left open would fail another one."""
    before = list(PEOPLE)
    yield
    for person in PEOPLE[:]:
        if person not in before:
            person.close()
