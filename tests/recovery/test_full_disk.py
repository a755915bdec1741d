"""A disk of its own for the service, full to the last byte: refusals, no loss, no end.

The program runs in user and mount namespaces of its own, with a small tmpfs as its data folder.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.program import PHOTO, Person, Program, run_program, wait_until
from tests.service.media import SLOW_PIPELINE, long_film

_ON_OWN_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


@contextmanager
def on_own_disk(folder: Path, size: str, **settings: str) -> Iterator[tuple[Program, Path]]:
    """The program, and its data folder as seen from here."""
    data = folder / "data"
    data.mkdir()
    wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _ON_OWN_DISK, "sh"]
    if subprocess.run([*wrapper[:4], "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    environment = {"MEDIACONVERT_STORAGE__MIN_FREE_BYTES": "0"} | settings
    with run_program(
        folder, environment=environment, wrapper=[*wrapper, size, str(data)]
    ) as program:
        yield program, Path(f"/proc/{program.process.pid}/root{data.resolve()}")


def fill(data: Path) -> Path:
    """Take every free byte of the disk."""
    filler = data / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_full_disk_refuses_uploads_and_takes_them_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    with on_own_disk(tmp_path, "64m") as (program, data):
        person = Person(program.url)
        person.save_pipeline("image-resize")
        person.upload("kept.bin", b"kept" * 1000)
        for number in range(20):
            # Each time anew: whatever the service had to tidy up made room.
            filler = fill(data)
            with pytest.raises(ClientError) as refused:
                person.upload(f"{number}.bin", b"x" * 100_000)
            assert refused.value.response["Error"]["Code"] == "InsufficientStorage"
        assert person.keys_below("") == ["kept.bin"]
        assert person.read("kept.bin") == b"kept" * 1000
        filler.unlink()
        job_id = person.upload("p.jpg", PHOTO, "image-resize")
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "completed"


def test_a_disk_that_fills_up_while_jobs_wait_delays_them_and_no_more(tmp_path: Path) -> None:
    settings = {
        "MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.2",
        "MEDIACONVERT_WORKERS__SLOTS": "2",
    }
    film = long_film(tmp_path, seconds=60)
    with on_own_disk(tmp_path, "128m", **settings) as (program, data):
        person = Person(program.url)
        person.save_pipeline("image-resize")
        person.save_pipeline("slow", SLOW_PIPELINE)
        # At work whatever becomes of the others before the disk is full.
        long = person.upload("long.mp4", film, "slow")
        jobs = [person.upload(f"{n}.jpg", PHOTO, "image-resize") for n in range(12)]
        filler = fill(data)
        wait_until(
            lambda: any("full" in str(line) for line in program.log), "somebody notices the disk"
        )
        filler.unlink()
        person.post(f"/api/jobs/{long}/cancel", 200)
        for job_id in jobs:
            assert job_id is not None
            job = person.wait_for_job(job_id)
            assert job["status"] == "completed", job
            history = person.get(f"/api/jobs/{job_id}/history")["history"]
            assert [row["to_status"] for row in history].count("completed") == 1


def test_a_blob_store_that_turns_read_only_refuses_uploads_and_takes_them_again(
    tmp_path: Path,
) -> None:
    settings = {"MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.2"}
    with on_own_disk(tmp_path, "96m", **settings) as (program, _):
        person = Person(program.url)
        person.save_pipeline("image-resize")
        person.upload("kept.bin", b"kept")
        inside = ["nsenter", "-t", str(program.process.pid), "-U", "-m", "--preserve-credentials"]
        blobs = str(tmp_path.resolve() / "data/blobs")
        # A mount of its own over the folder: the catalog beside it goes on being written.
        read_only = f'mount --bind "{blobs}" "{blobs}" && mount -o remount,bind,ro "{blobs}"'
        subprocess.run([*inside, "sh", "-c", read_only], check=True)
        with pytest.raises(ClientError) as refused:
            person.upload("refused.bin", b"x" * 1000)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        # What needs no new bytes goes on.
        copy = {"Bucket": person.bucket, "Key": "kept.bin"}
        person.s3.copy_object(Bucket=person.bucket, Key="copy.bin", CopySource=copy)
        assert person.read("copy.bin") == b"kept"
        subprocess.run([*inside, "umount", blobs], check=True)
        job_id = person.upload("p.jpg", PHOTO, "image-resize")
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "completed"
