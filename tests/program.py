"""Runs the real program, `mediaconvert serve`, as its own process in a folder of its own.

For tests that need what only a process has: signals, `kill -9`, memory, a second start. An
ERROR in its log that the test did not announce fails the test.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import boto3
import httpx
from botocore.config import Config as BotoConfig

ROOT = Path(__file__).resolve().parent.parent
FILM = ROOT / "mediaconvert/samples/bigbuckbunny.mp4"
PHOTO = ROOT / "tests/samples/rocket.jpg"
PIPELINES = ROOT / "pipelines"
Json = dict[str, Any]

WAIT_SECONDS = 240
"""A test's own patience: many times what the thing waited for takes."""
LAST_WORDS = 60
"""Lines of the log that a failed test shows."""
PEOPLE: list[Person] = []
"""Everybody with open connections; `tests.conftest` closes those of a test that has ended."""


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | more


class Program:
    """One process of the service. Use `run_program`."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        arguments: list[str],
        wrapper: Sequence[str] = (),
    ) -> None:
        """`wrapper` is a command that ends by executing the arguments that follow it."""
        self.folder = folder
        self.log: list[Json] = []
        self._logged = threading.Condition()
        self.process = subprocess.Popen(
            [
                *wrapper,
                *(sys.executable, "-m", "mediaconvert.cli.main", "serve", "--port", "0"),
                *arguments,
            ],
            cwd=folder,
            env=clean_environment(PYTHONPATH=str(ROOT), **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.url = str(self.wait_for_log("ready")["url"])

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for raw in lines:
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"level": "raw", "message": raw.decode(errors="replace").rstrip()}
                with self._logged:
                    self.log.append(line)
                    self._logged.notify_all()
        with self._logged:
            self.log.append({"level": "end", "message": "end of log"})
            self._logged.notify_all()

    def wait_for_log(self, message: str, *, is_prefix: bool = False) -> Json:
        """The first line with that message (or that begins with it); fails when the process
        ends without it."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._logged:
            while True:
                for line in self.log:
                    said = str(line["message"])
                    if said == message or (is_prefix and said.startswith(message)):
                        return line
                if self.log and self.log[-1]["level"] == "end":
                    raise AssertionError(f"it ended without saying {message!r}: {self.log[-12:]}")
                if not self._logged.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{message!r} was never logged: {self.log[-5:]}")

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def terminate(self) -> int:
        """SIGTERM, and wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(WAIT_SECONDS)
        self._reader.join()
        return status

    def errors(self) -> list[Json]:
        """Warnings of Python too: they are errors inside of the tests' own process."""
        return [
            line
            for line in self.log
            if line["level"] in ("error", "critical", "raw") or line.get("logger") == "py.warnings"
        ]

    def children(self) -> set[int]:
        """Every living descendant of the process."""
        return descendants(self.process.pid)

    def resident_bytes(self) -> int:
        """Largest resident size so far, of the service process alone."""
        return _status_bytes(self.process.pid, "VmHWM")


def _status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{field} is not in /proc/{pid}/status")


def descendants(pid: int) -> set[int]:
    """Living descendants by /proc; zombies do not count."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return found


def command_line(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


@contextmanager
def run_program(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
    expect_errors: bool = False,
) -> Iterator[Program]:
    """The program until the block ends; then it is stopped, if it still runs."""
    program = Program(folder, environment or {}, list(arguments), wrapper)
    try:
        yield program
    except BaseException:
        # pytest shows it with the failure: a state that never came has its reason in there.
        print(f"the last words of the program in {folder}:")
        print(*(json.dumps(line) for line in program.log[-LAST_WORDS:]), sep="\n")
        raise
    finally:
        if program.process.poll() is None:
            program.terminate()
        program._reader.join()
    if not expect_errors:
        assert program.errors() == []


class Person:
    """A user with a token, S3 keys and a bucket, over the public interface only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.email = f"user-{secrets.token_hex(6)}@example.com"
        self.password = secrets.token_urlsafe(12)
        self.rest = httpx.Client(base_url=url, timeout=60)
        answer = self.rest.post(
            "/auth/register", json={"email": self.email, "password": self.password}
        )
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["token"]
        self.rest.headers["authorization"] = f"Bearer {self.token}"
        self.keys = self.post("/api/s3-credentials", 201)
        self.bucket = str(self.keys["bucket_name"])
        self.s3 = self.connect_s3(url)
        PEOPLE.append(self)

    def connect_s3(self, url: str) -> Any:
        """A boto3 client with its newest defaults, but no retries that hide a failure."""
        return boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=self.keys["access_key"],
            aws_secret_access_key=self.keys["secret_key"],
            region_name="us-east-1",
            config=BotoConfig(retries={"max_attempts": 1}, read_timeout=120),
        )

    def move_to(self, url: str) -> None:
        """The service was started again on another port."""
        self.rest.base_url = httpx.URL(url)
        self.s3.close()
        self.s3 = self.connect_s3(url)

    def post(self, path: str, status: int, body: Json | None = None) -> Json:
        answer = self.rest.post(path, json=body)
        assert answer.status_code == status, answer.text
        return cast("Json", answer.json())

    def get(self, path: str) -> Json:
        answer = self.rest.get(path)
        assert answer.status_code == 200, answer.text
        return cast("Json", answer.json())

    def save_pipeline(self, name: str, content: str | None = None) -> int:
        text = content if content is not None else (PIPELINES / f"{name}.yaml").read_text()
        body = {"name": name, "format": "yaml", "content": text}
        return int(self.post("/api/pipelines", 201, body)["id"])

    def upload(self, key: str, data: bytes | Path, pipeline: str = "") -> int | None:
        """PUT; the id of the job that it started, if any."""
        extra = {"Metadata": {"Pipeline": pipeline}} if pipeline else {}
        body = data.read_bytes() if isinstance(data, Path) else data
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **extra)
        job = answer["ResponseMetadata"]["HTTPHeaders"].get("x-mediaconvert-job-id")
        return int(job) if job else None

    def job(self, job_id: int) -> Json:
        return self.get(f"/api/jobs/{job_id}")

    def wait_for_job(self, job_id: int, until: Callable[[Json], bool] | None = None) -> Json:
        """Ask until the job has ended (or `until` says so): the service is another process, so
        its state is all that can be waited for."""
        done = until or (lambda job: job["status"] not in ("pending", "processing"))
        deadline = time.monotonic() + WAIT_SECONDS
        pause = threading.Event()
        while not done(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            assert until is None or job["status"] in ("pending", "processing"), job
            pause.wait(0.05)
        return job

    def keys_below(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return cast("bytes", self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def close(self) -> None:
        """For who is not a test, or lives longer than one; tests' people are closed for them."""
        self.rest.close()
        self.s3.close()
        PEOPLE.remove(self)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Ask a state that no event announces (another process's) until it holds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        pause.wait(0.02)
