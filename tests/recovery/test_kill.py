"""`kill -9` at the worst moments. What was acknowledged is there, byte for byte; what was not
has left no trace; a job that was running runs again, and completes once."""

from __future__ import annotations

import random
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.program import FILM, PHOTO, WAIT_SECONDS, Person, run_program, wait_until
from tests.service.media import SLOW_PIPELINE, large_file, long_film


def test_a_job_that_was_killed_with_the_service_completes_once(tmp_path: Path) -> None:
    film = long_film(tmp_path, seconds=40)
    with run_program(tmp_path) as first:
        person = Person(first.url)
        person.save_pipeline("video-complete")
        person.upload("other.bin", b"acknowledged")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["progress"] > 2)
        running = first.children()
        assert running
        first.kill()
        wait_until(lambda: not running & _alive(running), "no child outlives the service")
    with run_program(tmp_path) as second:
        person.move_to(second.url)
        assert person.read("other.bin") == b"acknowledged"
        assert person.read("film.mp4") == film.read_bytes()
        job = person.wait_for_job(job_id)
        assert job["status"] == "completed"
        history = person.get(f"/api/jobs/{job_id}/history")["history"]
        assert [r["to_status"] for r in history].count("completed") == 1
        assert len(person.keys_below(f"results/job-{job_id}/")) == 3


def _alive(pids: set[int]) -> set[int]:
    from tests.program import command_line

    return {pid for pid in pids if command_line(pid)}


def test_an_upload_that_was_under_way_leaves_no_trace(tmp_path: Path) -> None:
    with run_program(tmp_path) as first:
        person = Person(first.url)
        person.upload("kept.bin", b"kept")
        url = person.s3.generate_presigned_url(
            "put_object", Params={"Bucket": person.bucket, "Key": "half.bin"}
        )
        host, port = first.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            path = url.removeprefix(first.url)
            head = f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 8000000\r\n\r\n"
            client.sendall(head.encode() + b"x" * 4_000_000)
            wait_until(
                lambda: any((tmp_path / "data/blobs/staging").glob("*/*")), "the body is staged"
            )
            first.kill()
    with run_program(tmp_path) as second:
        person.move_to(second.url)
        assert person.keys_below("") == ["kept.bin"]
        assert person.read("kept.bin") == b"kept"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_acknowledged_upload_survives_a_kill_among_commits(tmp_path: Path, seed: int) -> None:
    """Uploads from four threads; the kill falls at a random one of their commits."""
    chance = random.Random(seed)
    stop_after = chance.randrange(20, 120)
    acknowledged: dict[str, bytes] = {}
    enough = threading.Event()
    with run_program(tmp_path) as first:
        person = Person(first.url)
        person.save_pipeline("image-resize")

        def upload(thread: int) -> None:
            client = person.connect_s3(first.url)
            for number in range(1000):
                key, body = f"{thread}/{number}", f"{thread} {number} ".encode() * 200
                try:
                    client.put_object(Bucket=person.bucket, Key=key, Body=body)
                except Exception:
                    client.close()
                    return
                acknowledged[key] = body
                if len(acknowledged) >= stop_after:
                    enough.set()

        threads = [threading.Thread(target=upload, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(WAIT_SECONDS)
        first.kill()
        for thread in threads:
            thread.join()
    with run_program(tmp_path) as second:
        person.move_to(second.url)
        present = person.keys_below("")
        assert set(acknowledged) <= set(present)
        # One commit a thread may have happened without its answer having been received.
        assert len(present) <= len(acknowledged) + 4
        for key, body in acknowledged.items():
            assert person.read(key) == body
        job_id = person.upload("p.jpg", PHOTO, "image-resize")
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "completed"


def test_a_multipart_upload_goes_on_after_a_kill(tmp_path: Path) -> None:
    film = large_file(tmp_path / "large.bin", 11 << 20)
    with run_program(tmp_path) as first:
        person = Person(first.url)
        upload = person.s3.create_multipart_upload(Bucket=person.bucket, Key="large.bin")
        name = {"Bucket": person.bucket, "Key": "large.bin", "UploadId": upload["UploadId"]}
        data = film.read_bytes()
        one = person.s3.upload_part(**name, PartNumber=1, Body=data[: 6 << 20])
        first.kill()
    with run_program(tmp_path) as second:
        person.move_to(second.url)
        two = person.s3.upload_part(**name, PartNumber=2, Body=data[6 << 20 :])
        parts = [{"PartNumber": 1, "ETag": one["ETag"]}, {"PartNumber": 2, "ETag": two["ETag"]}]
        person.s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
        assert person.read("large.bin") == data


def test_a_job_that_runs_at_many_kills_completes_when_they_end(tmp_path: Path) -> None:
    """Each time, the service is killed once while the job runs, and once while it waits."""
    settings = {"MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.5"}
    catalog = tmp_path / "data/catalog.db"
    with run_program(tmp_path, environment=settings) as program:
        person = Person(program.url)
        person.save_pipeline("slow", SLOW_PIPELINE)
        job_id = person.upload("film.mp4", long_film(tmp_path, seconds=5), "slow")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["status"] == "processing")
        program.kill()
    for _ in range(4):
        with run_program(tmp_path, environment=settings) as program:
            wait_until(lambda: _is_running(catalog), "it runs, alone if it is a suspect")
            program.kill()
        with run_program(tmp_path, environment=settings) as program:
            program.kill()
    with run_program(tmp_path, environment=settings) as program:
        person.move_to(program.url)
        job = person.wait_for_job(job_id)
        assert job["status"] == "completed", job
        history = person.get(f"/api/jobs/{job_id}/history")["history"]
        assert any("runs alone next" in row["message"] for row in history)


def _is_running(catalog: Path) -> bool:
    with closing(sqlite3.connect(catalog)) as database:
        ready = "select count(*) from jobs where status = 'processing' and runs_alone = is_suspect"
        (count,) = database.execute(ready).fetchone()
    return bool(count)


def test_a_film_is_uploaded_while_nothing_is_lost_of_an_earlier_one(tmp_path: Path) -> None:
    with run_program(tmp_path) as first:
        person = Person(first.url)
        person.upload("a.mp4", FILM)
        person.upload("a.mp4", PHOTO)
        first.kill()
    with run_program(tmp_path) as second:
        person.move_to(second.url)
        assert person.read("a.mp4") == PHOTO.read_bytes()
