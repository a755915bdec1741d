"""What every folder of tests may ask for: the servers."""

from __future__ import annotations

from tests.servers.fixtures import (
    catalog_template,
    clickhouse,
    databases,
    postgres,
    redis_address,
    redis_server,
    seaweedfs,
    servers_folder,
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
]
