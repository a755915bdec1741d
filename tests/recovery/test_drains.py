"""SDKs with their defaults upload in a loop through ten drains and see no error.

A proxy keeps the address and holds new connections while no process listens, in place of
systemd's socket activation.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.program import (
    ROOT,
    WAIT_SECONDS,
    Person,
    Program,
    clean_environment,
    run_program,
    wait_until,
)
from tests.servers.proxy import open_holding_proxy
from tests.service.media import SLOW_PIPELINE, long_film

DRAINS = 10
NODE = ROOT / ".venv-javascript/bin/node"
LOOP = Path(__file__).with_name("upload_loop.mjs")
SETTINGS = {
    "MEDIACONVERT_WORKERS__SLOTS": "1",
    # A job is always running: each drain lasts this long.
    "MEDIACONVERT_SERVER__DRAIN_JOBS_SECONDS": "0.5",
}


@dataclass
class Uploads:
    """What a client did."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Key → ETag."""
    retried: int = 0
    error: str = ""

    def check(self, stored: dict[str, str]) -> None:
        assert self.error == ""
        assert self.retried > 0, "no drain was noticed"
        assert {key: stored.get(key) for key in self.acknowledged} == self.acknowledged


@pytest.fixture(scope="module")
def drained(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, str], Uploads, Uploads]:
    """After ten drains: what is stored, and what boto3 and the SDK for JavaScript did."""
    folder = tmp_path_factory.mktemp("drains")
    film = long_film(folder, seconds=60)
    boto, script = Uploads(), Uploads()
    with open_holding_proxy() as proxy, ExitStack() as clients:
        url = f"http://127.0.0.1:{proxy.port}"
        with run_program(folder, environment=SETTINGS) as program:
            proxy.point_to(port_of(program))
            person = Person(url)
            person.save_pipeline("slow", SLOW_PIPELINE)
            job_id = person.upload("film.mp4", film, "slow")
            clients.enter_context(boto_uploads(url, person, boto))
            if NODE.exists():
                clients.enter_context(script_uploads(url, person, script))
            watched = [boto, script] if NODE.exists() else [boto]
            drain(program, watched)
        for number in range(1, DRAINS + 1):
            with run_program(folder, environment=SETTINGS) as program:
                proxy.point_to(port_of(program))
                if number < DRAINS:
                    drain(program, watched)
                else:
                    wait_for_uploads(watched)
                    clients.close()
                    person.post(f"/api/jobs/{job_id}/cancel", 200)
                    pages = person.s3.get_paginator("list_objects_v2").paginate(
                        Bucket=person.bucket
                    )
                    stored = {o["Key"]: o["ETag"] for page in pages for o in page["Contents"]}
    return stored, boto, script


def test_boto3(drained: tuple[dict[str, str], Uploads, Uploads]) -> None:
    stored, uploads, _ = drained
    uploads.check(stored)


def test_the_sdk_for_javascript(drained: tuple[dict[str, str], Uploads, Uploads]) -> None:
    assert NODE.exists(), "run 'make test', which installs Node.js into .venv-javascript"
    stored, _, uploads = drained
    uploads.check(stored)


def port_of(program: Program) -> int:
    return int(program.url.rpartition(":")[2])


def wait_for_uploads(watched: list[Uploads]) -> None:
    """Until each client goes on: what it does when the next drain begins at once is another
    question."""
    for uploads in watched:
        before = len(uploads.acknowledged)
        wait_until(
            lambda each=uploads, count=before: each.error or len(each.acknowledged) > count + 1,
            "uploads go on",
        )


def drain(program: Program, watched: list[Uploads]) -> None:
    program.wait_for_log("began a job")
    wait_for_uploads(watched)
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(WAIT_SECONDS) == 0


@contextmanager
def boto_uploads(url: str, person: Person, uploads: Uploads) -> Iterator[None]:
    """Uploads in a thread until the block ends."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=person.keys["access_key"],
        aws_secret_access_key=person.keys["secret_key"],
        region_name="us-east-1",
    )
    ended = threading.Event()

    def upload(number: int) -> None:
        key, body = f"boto3/{number}", os.urandom(1000 if number % 10 else 3_000_000)
        answer = client.put_object(Bucket=person.bucket, Key=key, Body=body)
        uploads.acknowledged[key] = f'"{hashlib.md5(body).hexdigest()}"'
        uploads.retried += answer["ResponseMetadata"]["RetryAttempts"] > 0

    def run() -> None:
        number = 0
        try:
            while not ended.is_set():
                upload(number)
                number += 1
        except Exception as error:
            uploads.error = f"{number} uploads, then: {error!r}"

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        client.close()


@contextmanager
def script_uploads(url: str, person: Person, uploads: Uploads) -> Iterator[None]:
    """The same by the SDK for JavaScript, in a process of its own."""
    process = subprocess.Popen(
        [NODE, LOOP, NODE.parents[1], url, person.bucket],
        env=clean_environment(
            AWS_ACCESS_KEY_ID=str(person.keys["access_key"]),
            AWS_SECRET_ACCESS_KEY=str(person.keys["secret_key"]),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def read() -> None:
        assert process.stdout is not None and process.stderr is not None
        for line in map(json.loads, process.stdout):
            uploads.acknowledged[line["key"]] = line["etag"]
            uploads.retried += line["attempts"] > 1
        uploads.error = process.stderr.read()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.close()
        process.wait(WAIT_SECONDS)
        reader.join()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
