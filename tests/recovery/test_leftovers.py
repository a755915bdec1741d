"""What `kill -9` leaves in the data directory is gone once the next start is complete."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from mediaconvert.workers.janitor import Janitor
from tests.program import Person, Program, run_program, wait_until
from tests.recovery.worker_rig import open_rig, settings_for
from tests.service.media import SLOW_PIPELINE, long_film


def _staged(folder: Path) -> list[Path]:
    """Files of uploads that are under way."""
    staging = folder / "data/blobs/staging"
    return [path for path in staging.rglob("*") if path.is_file() and path.suffix != ".lock"]


def _begin(program: Program, person: Person, operation: str, **params: Any) -> socket.socket:
    """Send half of a body, and leave the connection open."""
    params = {"Bucket": person.bucket, **params}
    url = person.s3.generate_presigned_url(operation, Params=params)
    host, port = program.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    path = url.removeprefix(program.url)
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 8000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 4_000_000)
    return client


def test_no_staged_file_is_older_than_the_start(tmp_path: Path) -> None:
    person: Person | None = None
    upload_id = ""
    for _ in range(4):
        with run_program(tmp_path) as program:
            assert _staged(tmp_path) == []
            if person is None:
                person = Person(program.url)
                upload_id = person.s3.create_multipart_upload(Bucket=person.bucket, Key="parts")[
                    "UploadId"
                ]
            person.move_to(program.url)
            part = {"Key": "parts", "UploadId": upload_id, "PartNumber": 1}
            with (
                _begin(program, person, "put_object", Key="whole"),
                _begin(program, person, "upload_part", **part),
            ):
                wait_until(lambda: len(_staged(tmp_path)) == 2, "both bodies are staged")
                program.kill()
        assert len(_staged(tmp_path)) == 2
    old = tmp_path / "data/blobs/staging" / ("a" * 32)
    old.write_bytes(b"staged by an earlier version")
    key = tmp_path / "data/secrets/.master_key.0123456789abcdef"
    key.write_bytes(b"half")
    with run_program(tmp_path) as program:
        assert _staged(tmp_path) == []
        staging = tmp_path / "data/blobs/staging"
        assert len(list(staging.iterdir())) == 2, "one folder and its lock"
        assert not key.exists()
    assert list((tmp_path / "data/blobs/staging").iterdir()) == []


def test_folders_of_jobs_and_tools_are_gone_after_the_next_start(tmp_path: Path) -> None:
    """Also below the place for temporary files, where children without mounts work."""
    place = tmp_path / "tmp"
    place.mkdir()
    environment = {"TMPDIR": str(place), "MEDIACONVERT_TOOLS__SANDBOX": "off"}
    film = long_film(tmp_path, seconds=40)
    data = tmp_path / "data"
    with run_program(tmp_path, environment=environment) as program:
        person = Person(program.url)
        person.save_pipeline("slow", SLOW_PIPELINE)
        job_id = person.upload("film.mp4", film, "slow")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["progress"] > 2)
        before = {path.name for path in (*(data / "work").iterdir(), *(data / "tools").iterdir())}
        assert len(before) == 2
        program.kill()
    with run_program(tmp_path, environment=environment) as program:
        person.move_to(program.url)
        after = {path.name for path in (*(data / "work").iterdir(), *(data / "tools").iterdir())}
        assert not before & after
        person.rest.post(f"/api/jobs/{job_id}/cancel")
    assert list(place.iterdir()) == []


async def test_a_janitor_removes_what_other_killed_processes_left(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        data = rig.settings.server.data_dir
        for name in ("work", "tools"):
            (data / name / "dead").mkdir(parents=True)
        staging = data / "blobs/staging"
        (staging / "dead").mkdir()
        (staging / "dead" / ("a" * 32)).write_bytes(b"half")
        (staging / "dead.lock").write_bytes(b"")
        os.utime(staging / "dead.lock", (1, 1))
        janitor = Janitor(rig.catalog, rig.blobs, rig.notices, rig.settings)
        assert await janitor.sweep_leftovers() == 3
        assert await janitor.sweep_leftovers() == 0
        assert not (staging / "dead").exists()
