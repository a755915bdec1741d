"""Several processes of the real program on one PostgreSQL, with Redis and without: what one is
told the others know, what does not belong together is refused."""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError

from tests.program import PHOTO, ROOT, Person, Program, clean_environment, run_program, wait_until
from tests.servers.postgres import Postgres
from tests.servers.redis import KIND, Redis
from tests.service.readiness import queue_says, rows, rows_once, rows_once_ready
from tests.service.test_redis import EASY_PIPELINE


class Nodes:
    """An installation's common environment, and its processes while the test lasts."""

    def __init__(self, folder: Path, database: str, redis_address: str, stack: ExitStack) -> None:
        self.folder = folder
        self.environment = {
            "DATABASE_URL": database,
            "JWT_SECRET": secrets.token_urlsafe(32),
            "MEDIACONVERT_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "MEDIACONVERT_STORAGE__DIRECTORY": str(folder / "blobs"),
        }
        if redis_address:
            self.environment["REDIS_URL"] = redis_address
        self._stack = stack

    def start(self, role: str) -> Program:
        return self._stack.enter_context(
            run_program(self._own_folder(), "--role", role, environment=self.environment)
        )

    def refused(self, *arguments: str, **changes: str) -> str:
        """A node that differs in these variables (empty: not set): its one sentence."""
        done = self.command("serve", "--port", "0", *arguments, **changes)
        (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert (done.returncode, done.stdout) == (1, ""), done
        return sentence

    def command(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mediaconvert.cli.main", *arguments],
            cwd=self._own_folder(),
            env=clean_environment(PYTHONPATH=str(ROOT), **self.environment | changes),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _own_folder(self) -> Path:
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        return folder


@contextmanager
def open_nodes(folder: Path, postgres: Postgres, redis_address: str) -> Iterator[Nodes]:
    with postgres.database() as url, ExitStack() as stack:
        yield Nodes(folder, url, redis_address, stack)


@pytest.fixture
def own_redis(servers_folder: Path) -> Iterator[Redis]:
    server = Redis(servers_folder / f"redis-{secrets.token_hex(4)}")
    server.process.start()
    yield server
    server.process.stop()


def other_client(url: str, keys: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        region_name="us-east-1",
        config=BotoConfig(retries={"max_attempts": 1}),
    )


@pytest.mark.parametrize("redis", ["well", "dead", "none"])
def test_what_is_revoked_at_one_node_is_refused_by_the_other(
    tmp_path: Path, postgres: Postgres, own_redis: Redis, redis: str
) -> None:
    address = "" if redis == "none" else own_redis.address
    with open_nodes(tmp_path, postgres, address) as nodes:
        one, other = nodes.start("api"), nodes.start("api")
        if redis == "dead":
            own_redis.process.kill()
        person = Person(one.url)
        there = httpx.Client(
            base_url=other.url, headers={"authorization": f"Bearer {person.token}"}, timeout=60
        )
        keys = person.post("/api/s3-credentials", 201, {"bucket_name": f"b{secrets.token_hex(6)}"})
        s3 = other_client(other.url, keys)

        def is_key_refused() -> bool:
            try:
                s3.list_objects_v2(Bucket=keys["bucket_name"])
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InvalidAccessKeyId"
                return True
            return False

        assert not is_key_refused()
        assert person.rest.delete(f"/api/s3-credentials/{keys['id']}").status_code == 200
        wait_until(is_key_refused, "the other node refuses the revoked key")

        assert there.get("/api/me").status_code == 200
        change = {"current_password": person.password, "new_password": secrets.token_urlsafe(12)}
        person.post("/api/me/password", 200, change)
        wait_until(lambda: there.get("/api/me").status_code == 401, "the old token is refused")
        there.close()
        s3.close()


def test_a_worker_takes_what_an_api_node_was_given_with_redis_and_without(
    tmp_path: Path, postgres: Postgres, own_redis: Redis
) -> None:
    own_redis.process.stop()
    with open_nodes(tmp_path, postgres, own_redis.address) as nodes:
        api, worker = nodes.start("api"), nodes.start("worker")
        person = Person(api.url)
        person.save_pipeline("easy", EASY_PIPELINE)

        def run_a_job() -> None:
            job_id = person.upload(f"{secrets.token_hex(4)}.jpg", PHOTO, "easy")
            assert job_id is not None
            wait_until(
                lambda: (
                    person.get(f"/api/jobs/{job_id}?wait=20&until=ended")["status"] == "completed"
                ),
                "the job is completed",
            )

        def both_say(status: str) -> bool:
            return queue_says(api.url, status) and queue_says(worker.url, status)

        wait_until(lambda: both_say("degraded"), "both say that Redis is away")
        run_a_job()
        own_redis.process.start()
        wait_until(lambda: both_say("ok"), "both have found Redis")
        run_a_job()
        own_redis.process.kill()
        wait_until(lambda: both_say("degraded"), "both have lost Redis")
        run_a_job()
        for node in (api, worker):
            wait_until(lambda url=node.url: rows(url)["status"] == "ready", "it is ready without")


def test_ready_names_every_dependency_with_its_version(
    tmp_path: Path, postgres: Postgres, own_redis: Redis
) -> None:
    with open_nodes(tmp_path, postgres, own_redis.address) as nodes:
        worker = nodes.start("worker")
        found = rows_once_ready(worker.url)
    assert found.pop("status") == "ready"
    assert list(found) == [
        "database", "catalog records", "storage", "stored data", "queue", "analytics",
        "tools", "sandbox", "disk space",
    ]  # fmt: skip
    assert found["database"]["version"].startswith("PostgreSQL 18.")
    assert found["queue"]["version"].startswith(f"{KIND} ")
    assert found["analytics"]["version"].startswith("PostgreSQL 18.")
    assert found["storage"]["version"]
    assert found["disk space"]["detail"].endswith("bytes free")
    assert all(row["latency_ms"] >= 0 for row in found.values())


def test_a_node_with_other_keys_is_refused_with_what_to_set(
    tmp_path: Path, postgres: Postgres
) -> None:
    with open_nodes(tmp_path, postgres, "") as nodes:
        nodes.start("api")
        other_jwt = secrets.token_urlsafe(32)
        sentence = nodes.refused(JWT_SECRET=other_jwt)
        assert "JWT key is not the one of the installation's other nodes" in sentence
        assert "set JWT_SECRET to the same value on all nodes" in sentence
        assert other_jwt not in sentence
        other_master = base64.b64encode(secrets.token_bytes(32)).decode()
        sentence = nodes.refused("--role", "worker", MEDIACONVERT_MASTER_KEY=other_master)
        assert "set MEDIACONVERT_MASTER_KEY to the same value on all nodes" in sentence
        assert other_master not in sentence
        sentence = nodes.refused(JWT_SECRET="")
        assert "this node made a JWT key of its own" in sentence
        nodes.start("worker")


def test_the_jwt_key_of_all_nodes_is_changed_by_migrate(tmp_path: Path, postgres: Postgres) -> None:
    with open_nodes(tmp_path, postgres, "") as nodes:
        # Before any node: it makes the tables as well.
        assert "the schema is up to date" in nodes.command("migrate").stdout
        assert nodes.start("api").terminate() == 0
        former = nodes.environment["JWT_SECRET"]
        new = nodes.environment["JWT_SECRET"] = secrets.token_urlsafe(32)
        assert "--accept-jwt-key" in nodes.refused()
        done = nodes.command("migrate", "--accept-jwt-key")
        assert done.returncode == 0, done.stderr
        assert new not in done.stdout + done.stderr
        nodes.start("api")
        assert "set JWT_SECRET" in nodes.refused(JWT_SECRET=former)
        nodes.environment["JWT_SECRET"] = ""
        unset = nodes.command("migrate", "--accept-jwt-key")
        assert (unset.returncode, unset.stdout) == (1, "")
        assert "set JWT_SECRET" in unset.stderr


def test_a_node_that_the_schema_has_left_behind_says_so(tmp_path: Path, postgres: Postgres) -> None:
    with open_nodes(tmp_path, postgres, "") as nodes:
        api = nodes.start("api")
        rows_once_ready(api.url)
        name = nodes.environment["DATABASE_URL"].rpartition("/")[2]
        postgres.execute(name, "insert into schema_migrations values (999, 'of_later_days')")
        told = rows_once(
            api.url,
            lambda found: "schema version 999" in found["database"].get("detail", ""),
            "/ready tells of it",
        )
        assert told["database"]["status"] == told["status"] == "unavailable"
        assert "schema version 999" in nodes.refused("--role", "worker")


def test_an_absent_postgresql_is_one_sentence_without_its_password(
    tmp_path: Path, own_redis: Redis
) -> None:
    with ExitStack() as stack:
        url = "postgres://ann:hunter2@127.0.0.1:1/films"
        sentence = Nodes(tmp_path, url, own_redis.address, stack).refused()
    assert sentence.startswith("mediaconvert: ")
    assert "127.0.0.1" in sentence
    assert "hunter2" not in sentence
