"""What the machine is used for: flat memory for large files, every slot for many small ones."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.program import PHOTO, Person, run_program
from tests.service.media import large_file

MEMORY_LIMIT = 200 << 20


@pytest.mark.slow
def test_memory_stays_below_200_mib_while_2_gib_go_up_and_down(tmp_path: Path) -> None:
    file = large_file(tmp_path / "large.bin", 2 << 30)
    with run_program(tmp_path) as program:
        person = Person(program.url)
        with file.open("rb") as body:
            person.s3.put_object(Bucket=person.bucket, Key="large.bin", Body=body)
        answer = person.s3.get_object(Bucket=person.bucket, Key="large.bin")
        digest = hashlib.sha256()
        for piece in answer["Body"].iter_chunks(1 << 20):
            digest.update(piece)
        with file.open("rb") as body:
            assert digest.digest() == hashlib.file_digest(body, "sha256").digest()
        assert program.resident_bytes() < MEMORY_LIMIT
    file.unlink()


@pytest.mark.slow
def test_200_photographs_at_once_all_complete_with_all_slots_busy(tmp_path: Path) -> None:
    # The first half waits when the workers begin, so that there is work for every slot however
    # fast they are; the second half comes while they are at it.
    with run_program(tmp_path, "--role", "api") as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        jobs = _upload(person, range(100))
    with run_program(tmp_path) as program:
        person.move_to(program.url)
        jobs += _upload(person, range(100, 200))
        for job_id in jobs:
            assert job_id is not None
            assert person.wait_for_job(job_id)["status"] == "completed"
        assert len(person.keys_below("results/")) == 400
        page = person.get("/api/jobs?limit=1&status=completed")
        assert page["pagination"]["total"] == 200
        assert _most_at_once(person) == _slots()
        assert program.resident_bytes() < MEMORY_LIMIT


def _upload(person: Person, numbers: range) -> list[int | None]:
    """Many at a time; the jobs that they started."""
    with ThreadPoolExecutor(16) as uploads:
        return list(
            uploads.map(lambda n: person.upload(f"photo-{n}.jpg", PHOTO, "image-resize"), numbers)
        )


def _slots() -> int:
    return os.cpu_count() or 1


def _most_at_once(person: Person) -> int:
    """How many jobs ran at the same moment, by their own times."""
    spans = []
    for number in range(1, 3):
        for job in person.get(f"/api/jobs?limit=100&page={number}")["jobs"]:
            spans += [(job["started_at"], 1), (job["finished_at"], -1)]
    running = most = 0
    for _, change in sorted(spans):
        running += change
        most = max(most, running)
    return most
