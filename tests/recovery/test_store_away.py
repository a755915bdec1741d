"""The blob store goes away under the workers: what is finished waits, what waits is not tried."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.errors import StorageFull, Unavailable
from mediaconvert.workers.store_watch import BLIND_SECONDS, PATIENCE_SECONDS, StoreWatch
from tests.program import PHOTO, Person, run_program, wait_until
from tests.recovery.worker_rig import SLOW_PIPELINE, make_film
from tests.servers.proxy import open_proxy
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import s3_environment

EASY_PIPELINE = """\
name: easy
steps:
  - {operation: probe, input: "${input}", output: "${output}/probe.json"}
"""
WORKERS = {
    "MEDIACONVERT_WORKERS__SLOTS": "2",
    "MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.2",
}


def film(folder: Path, seconds: int) -> Path:
    source = f"testsrc2=size=640x360:rate=25:duration={seconds}"
    codec = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "30")
    return make_film(folder / f"{seconds}.mp4", "-f", "lavfi", "-i", source, *codec)


@pytest.mark.slow
def test_a_store_that_goes_away_costs_no_finished_work_and_no_attempts_of_those_who_wait(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with open_proxy(seaweedfs.port) as proxy:
        settings = s3_environment(f"http://127.0.0.1:{proxy.port}") | WORKERS
        with run_program(tmp_path, environment=settings) as program:
            person = Person(program.url)
            person.save_pipeline("slow", SLOW_PIPELINE)
            person.save_pipeline("easy", EASY_PIPELINE)
            films = [film(tmp_path, seconds) for seconds in (300, 16)]
            # The short one is uploaded when nothing else remains to be waited for: at the cut
            # it is at work, and the long one holds the other slot.
            long = person.upload("long.mp4", films[0], "slow")
            assert long is not None
            person.wait_for_job(long, lambda job: job["progress"] > 0)
            short = person.upload("short.mp4", films[1], "slow")
            assert short is not None
            waiting = [person.upload(f"{n}.jpg", PHOTO, "easy") for n in range(4)]
            person.wait_for_job(short, lambda job: job["progress"] > 0)

            proxy.refuse()
            away_since = time.monotonic()
            person.post(f"/api/jobs/{long}/cancel", 200)
            program.wait_for_log("outputs wait for the blob store", is_prefix=True)
            program.wait_for_log("no job can be claimed: ", is_prefix=True)
            job = person.job(short)
            assert (job["status"], job["attempt"]) == ("processing", 1)

            proxy.open()
            away_seconds = time.monotonic() - away_since
            ended = [person.wait_for_job(n) for n in (short, *waiting) if n is not None]
            assert [job["status"] for job in ended] == ["completed"] * 5
            assert ended[0]["attempt"] == 1
            # One that waited may have been taken in good faith, before anybody doubted the
            # store, and each time that it was tried unseen another.
            lost = sum(job["attempt"] - 1 for job in ended)
            assert lost <= 1 + away_seconds // BLIND_SECONDS
            wait_until(lambda: person.job(long)["status"] == "canceled", "the other one stays so")


async def test_a_store_that_answers_and_goes_on_refusing_an_output_is_believed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "no file"
    folder.mkdir()
    async with open_directory_blobs(tmp_path / "blobs", min_free_bytes=0) as blobs:
        store = StoreWatch(blobs)
        with trio.fail_after(PATIENCE_SECONDS / 2), pytest.raises(Unavailable):
            await store.adopt(folder)
        # It answers: whoever comes next is let through.
        await store.require()


async def test_a_store_that_is_full_is_told_at_once_and_is_not_taken_for_away(
    tmp_path: Path,
) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as output:
        output.write(b"on another file system, so it has to be copied")
        output.flush()
        async with open_directory_blobs(tmp_path / "blobs", min_free_bytes=1 << 60) as blobs:
            store = StoreWatch(blobs)
            with trio.fail_after(PATIENCE_SECONDS / 2), pytest.raises(StorageFull):
                await store.adopt(Path(output.name))
