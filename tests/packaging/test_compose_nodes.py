"""One api and two workers as docker-compose.yml starts them, as plain processes on real servers:
its settings, config/cluster.yaml, and one data folder for both workers."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.packaging.compose import services, with_variables
from tests.program import PHOTO, ROOT, Person, Program, clean_environment, run_program, wait_until
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Postgres
from tests.servers.redis import KIND, Redis
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

FILE = ROOT / "config/cluster.yaml"
JOBS = 8


@pytest.fixture
def addresses(
    postgres: Postgres, redis_server: Redis, seaweedfs: SeaweedFS, clickhouse: ClickHouse
) -> Iterator[dict[str, str]]:
    """What stands in place of the names that the servers have in Compose's network."""
    with postgres.database() as catalog, clickhouse.database() as reports:
        yield {
            "DATABASE_URL": catalog,
            "REDIS_URL": redis_server.address,
            "S3_ENDPOINT": seaweedfs.endpoint,
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
            "CLICKHOUSE_DSN": clickhouse.dsn(reports),
        }


def node_environment(name: str, addresses: dict[str, str]) -> dict[str, str]:
    """All that Compose gives the node, under the same names."""
    variables = {
        **dict.fromkeys(("POSTGRES_PASSWORD", "REDIS_PASSWORD", "CLICKHOUSE_PASSWORD"), "unused"),
        **{k: v for k, v in addresses.items() if k.startswith("S3_")},
        "JWT_SECRET": "0123456789-abcdefghij-KLMNOPQRST",
        "MEDIACONVERT_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    }
    told: dict[str, str] = with_variables(services()[name]["environment"], variables)
    assert set(addresses) <= set(told)
    return told | addresses


def health(program: Program) -> subprocess.CompletedProcess[str]:
    """The containers' health check."""
    command = services()["worker"]["healthcheck"]["test"][2:]
    return subprocess.run(
        [
            *(sys.executable, "-m", "mediaconvert.cli.main", *command),
            *("--port", program.url.rpartition(":")[2]),
        ],
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def names_all_servers(program: Program) -> bool:
    """By the version, which is missing of one that did not answer within its two seconds."""
    said = health(program)
    servers = ("PostgreSQL", "SeaweedFS", KIND, "ClickHouse")
    return said.returncode == 0 and all(server in said.stdout for server in servers)


def test_an_upload_through_the_api_is_completed_by_workers_that_share_a_folder(
    tmp_path: Path, addresses: dict[str, str]
) -> None:
    names = ["api"] + ["worker"] * services()["worker"]["deploy"]["replicas"]
    with ExitStack() as stack:
        programs = []
        for number, name in enumerate(names):
            folder = tmp_path / f"node-{number}"
            folder.mkdir()
            arguments = ("--config", str(FILE), "--data-dir", str(tmp_path / name))
            environment = node_environment(name, addresses)
            programs.append(
                stack.enter_context(run_program(folder, *arguments, environment=environment))
            )
        for program in programs:
            wait_until(lambda node=program: names_all_servers(node), "each server answers")
        person = Person(programs[0].url)
        stack.callback(person.close)
        person.save_pipeline("image-resize")
        jobs = [person.upload(f"{n}.jpg", PHOTO, "image-resize") for n in range(JOBS)]
        for job in jobs:
            assert job is not None
            assert person.wait_for_job(job)["status"] == "completed"
            assert person.keys_below(f"results/job-{job}/")
    told = [line["role"] for p in programs for line in p.log if line["message"] == "ready"]
    assert Counter(told) == {"api": 1, "worker": 2}
    assert not list((tmp_path / "worker/tools").iterdir()), "both leave the shared folder empty"
