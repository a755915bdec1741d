"""The real program with Redis: well, away at the start, lost and back; and refused settings."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import (
    PHOTO,
    ROOT,
    Person,
    Program,
    clean_environment,
    run_program,
    wait_until,
)
from tests.servers.redis import KIND, Redis
from tests.service.readiness import queue_says, rows, rows_once

DOWN = "notices do not get through; workers poll meanwhile: "
AGAIN = "notices get through again"
EASY_PIPELINE = """\
name: easy
steps:
  - operation: probe
    input: ${input}
    output: ${output}/probe.json
"""


@pytest.fixture
def own_redis(servers_folder: Path) -> Iterator[Redis]:
    """Not started yet; one that a test may stop."""
    server = Redis(servers_folder / f"redis-{secrets.token_hex(4)}")
    yield server
    server.process.stop()


def said(program: Program, words: str) -> list[str]:
    return [str(line["message"]) for line in program.log if str(line["message"]).startswith(words)]


def test_without_redis_it_starts_says_so_once_and_heals_by_itself(
    tmp_path: Path, own_redis: Redis
) -> None:
    with run_program(tmp_path, environment={"REDIS_URL": own_redis.address}) as program:
        # The start waits for Redis a moment, and no longer.
        program.wait_for_log(DOWN, is_prefix=True)
        refused = f"Redis at {own_redis.address} cannot be used: connection refused"
        ready = rows_once(
            program.url,
            lambda found: found["queue"].get("detail") == f"workers poll: {refused}",
            "/ready tells why",
        )
        assert ready["queue"]["status"] == "degraded"
        wait_until(lambda: rows(program.url)["status"] == "ready", "it is ready all the same")
        person = Person(program.url)
        person.save_pipeline("easy", EASY_PIPELINE)

        def run_a_job() -> None:
            job_id = person.upload(f"{secrets.token_hex(4)}.jpg", PHOTO, "easy")
            assert job_id is not None
            assert person.wait_for_job(job_id)["status"] == "completed"

        run_a_job()
        assert len(said(program, DOWN)) == 1
        own_redis.process.start()
        program.wait_for_log(AGAIN)
        # An answer of /ready is a second old at most.
        ready = rows_once(
            program.url,
            lambda found: found["queue"]["status"] == "ok",
            "/ready tells that it is there",
        )
        assert ready["queue"]["version"].startswith(f"{KIND} ")
        assert ready["queue"]["latency_ms"] >= 0
        run_a_job()
        own_redis.process.kill()
        wait_until(lambda: queue_says(program.url, "degraded"), "/ready tells of the loss")
        run_a_job()
        own_redis.process.start()
        wait_until(lambda: queue_says(program.url, "ok"), "/ready tells of the return")
        run_a_job()
        # More where the machine is so busy that Redis does not answer in time.
        wait_until(
            lambda: len(said(program, DOWN)) == len(said(program, AGAIN)) >= 2,
            "each loss and each return is said once",
        )
        assert program.terminate() == 0


def test_it_stops_as_quickly_while_redis_hangs(tmp_path: Path, own_redis: Redis) -> None:
    own_redis.process.start()
    with run_program(tmp_path, environment={"REDIS_URL": own_redis.address}) as program:
        own_redis.process.suspend()
        wait_until(lambda: queue_says(program.url, "degraded"), "/ready tells of the silence")
        assert program.terminate() == 0
        assert not said(program, "stopping took too long")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://:hunter2@cache:6379", "redis.url begins with 'http://'"),
        ("redis://:hunter2@cache:film", "redis.url has no valid host and port"),
    ],
)
def test_a_wrong_address_is_one_sentence_and_no_password(
    tmp_path: Path, url: str, complaint: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "serve", "--port", "0"],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(ROOT), REDIS_URL=url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence.startswith(f"mediaconvert: {complaint}")
    assert "hunter2" not in done.stderr
