"""What every folder of tests may ask for: the servers."""

from __future__ import annotations

from tests.servers.fixtures import postgres, redis_server, seaweedfs, servers_folder

__all__ = ["postgres", "redis_server", "seaweedfs", "servers_folder"]
