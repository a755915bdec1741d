"""Damage to stored bytes under the real program: jobs, `/ready`, metrics, `verify`, scrubber."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import trio

from mediaconvert.metrics import Metrics
from mediaconvert.settings import StorageSettings
from mediaconvert.workers.scrubber import Scrubber
from tests.program import PHOTO, ROOT, Person, clean_environment, run_program, wait_until
from tests.recovery.worker_rig import open_rig, settings_for
from tests.s3.test_bit_rot import flip
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import BUCKET, connect, s3_environment


def verify(folder: Path, **environment: str) -> tuple[int, str]:
    """`mediaconvert verify` on the data directory of the program in this folder."""
    return command(folder, "verify", **environment)


def command(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit status and everything printed by a command that ends."""
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", *words],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


def blobs_of(folder: Path, key: str) -> list[str]:
    with closing(sqlite3.connect(folder / "data/catalog.db")) as catalog:
        query = (
            "select s.blob_id from objects o join object_segments s on s.object_id = o.id "
            "where o.key = ? and o.is_current = 1 order by s.position"
        )
        return [row[0] for row in catalog.execute(query, (key,))]


def file_of(folder: Path, blob_id: str) -> Path:
    return folder / "data/blobs/blobs" / blob_id[:2] / blob_id


def ready_row(url: str) -> dict[str, object]:
    rows = httpx.get(f"{url}/ready", timeout=60).json()["checks"]
    (row,) = [row for row in rows if row["name"] == "stored data"]
    return dict(row)


def test_damage_is_reported_everywhere_until_the_file_is_restored(tmp_path: Path) -> None:
    with run_program(tmp_path, expect_errors=True) as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        person.upload("photo.jpg", PHOTO)
        person.upload("other.jpg", PHOTO)
        assert ready_row(program.url)["status"] == "ok"
        assert verify(tmp_path)[0] == 0

        (blob_id,) = blobs_of(tmp_path, "photo.jpg")
        path = file_of(tmp_path, blob_id)
        before = path.read_bytes()
        flip(path, len(before) // 2)

        status, printed = verify(tmp_path)
        assert status == 1
        assert f"damaged: s3://{person.bucket}/photo.jpg: blob {blob_id}" in printed
        assert "other.jpg" not in printed
        wait_until(lambda: ready_row(program.url)["status"] == "degraded", "/ready shows it")
        assert "1 stored blob is damaged or missing" in str(ready_row(program.url)["detail"])
        assert httpx.get(f"{program.url}/ready", timeout=60).status_code == 200
        head = person.s3.head_object(Bucket=person.bucket, Key="photo.jpg")
        assert head["ResponseMetadata"]["HTTPHeaders"]["x-mediaconvert-damaged"] == "true"

        path.write_bytes(before)
        status, printed = verify(tmp_path)
        assert (status, "1 of them were marked" in printed) == (0, True)
        assert person.read("photo.jpg") == before
    assert program.errors() == []


def test_a_job_on_a_damaged_picture_fails_and_says_why(tmp_path: Path) -> None:
    # No worker: the job waits until its source has been damaged.
    with run_program(tmp_path, "--role", "api", expect_errors=True) as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        job_id = person.upload("photo.jpg", PHOTO, "image-resize")
        assert job_id is not None
        (blob_id,) = blobs_of(tmp_path, "photo.jpg")
        flip(file_of(tmp_path, blob_id), 30_000)
    with run_program(tmp_path, expect_errors=True) as program:
        person.move_to(program.url)
        job = person.wait_for_job(job_id)
        assert (job["status"], job["error_code"]) == ("failed", "source_damaged")
        assert "damaged" in job["error"]
        assert person.keys_below("results/") == []
        (error,) = program.errors()
        assert (error["message"], error["blob"]) == ("stored blob damaged", blob_id)


def test_verify_gives_digests_to_blobs_that_predate_them(tmp_path: Path) -> None:
    with run_program(tmp_path) as program:
        person = Person(program.url)
        person.upload("photo.jpg", PHOTO)
    with closing(sqlite3.connect(tmp_path / "data/catalog.db")) as catalog:
        catalog.execute("delete from blobs")
        catalog.commit()
    assert "1 of them had no digest yet" in verify(tmp_path)[1]
    (blob_id,) = blobs_of(tmp_path, "photo.jpg")
    flip(file_of(tmp_path, blob_id), 0)
    assert verify(tmp_path)[0] == 1


def test_an_s3_stores_damage_is_found_too(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    environment = s3_environment(seaweedfs.endpoint)
    with (
        run_program(tmp_path, "--role", "api", environment=environment) as program,
        connect(seaweedfs.endpoint) as store,
    ):
        person = Person(program.url)
        person.save_pipeline("image-resize")
        job_id = person.upload("photo.jpg", PHOTO, "image-resize")
        assert job_id is not None
        (blob_id,) = blobs_of(tmp_path, "photo.jpg")
        key = environment["MEDIACONVERT_STORAGE__S3_PREFIX"] + blob_id
        photo = PHOTO.read_bytes()
        store.put_object(Bucket=BUCKET, Key=key, Body=photo[:999] + b"x" + photo[1000:])
    with run_program(tmp_path, environment=environment, expect_errors=True) as program:
        person.move_to(program.url)
        assert person.wait_for_job(job_id)["error_code"] == "source_damaged"
        with pytest.raises(person.s3.exceptions.ClientError, match="InternalError"):
            person.read("photo.jpg")
        assert verify(tmp_path, **environment)[0] == 1


async def test_one_blob_that_cannot_be_read_does_not_stop_the_scrubber(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        for index in range(4):
            await rig.upload(f"object {index}", bytes([index]) * 1000)
        names = sorted(await rig.stored_blobs())
        path = tmp_path / "blobs/blobs" / names[1][:2] / names[1]
        path.unlink()
        path.symlink_to("/etc/hostname")  # as unreadable as a bad sector
        settings = StorageSettings(scrub_mib_per_second=1000.0)
        scrubber = Scrubber(rig.catalog, rig.blobs, settings, Metrics())
        assert await scrubber.take_turn() == 4
        digests = await rig.catalog.blobs.digests(names)
        assert set(digests) == set(names) - {names[1]}


def test_a_blob_folder_that_is_not_mounted_is_no_damage(tmp_path: Path) -> None:
    store = tmp_path / "mount"
    store.mkdir()
    environment = {"MEDIACONVERT_STORAGE__DIRECTORY": str(store)}
    with run_program(tmp_path, environment=environment) as program:
        person = Person(program.url)
        for index in range(6):
            person.upload(f"object {index}", bytes([index]))
    store.rename(tmp_path / "elsewhere")
    store.mkdir()
    status, printed = verify(tmp_path, **environment)
    assert (status, "mount its file system" in printed) == (1, True)
    status, printed = command(tmp_path, "serve", "--port", "0", **environment)
    assert (status, "mount its file system" in printed) == (1, True)
    assert list(store.iterdir()) == []
    # Another store, or one that has lost everything, is not taken for damaged by `verify`.
    for number in range(256):
        (store / "blobs" / f"{number:02x}").mkdir(parents=True)
    status, printed = verify(tmp_path, **environment)
    assert (status, "none of the first 6 blobs" in printed) == (1, True)
    shutil.rmtree(store)
    (tmp_path / "elsewhere").rename(store)
    assert verify(tmp_path, **environment)[0] == 0


async def test_the_scrubber_finds_damage_goes_on_where_it_was_and_waits_for_the_next_pass(
    tmp_path: Path,
) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        metrics = Metrics()
        for index in range(5):
            await rig.upload(f"object {index}", bytes([index]) * 1000)
        names = sorted(await rig.stored_blobs())
        flip(tmp_path / "blobs/blobs" / names[3][:2] / names[3], 17)
        settings = StorageSettings(scrub_mib_per_second=1000.0)

        def scrubber(turn_seconds: float) -> Scrubber:
            return Scrubber(rig.catalog, rig.blobs, settings, metrics, turn_seconds=turn_seconds)

        # Uploads of this rig have no digests: the first pass gives them one.
        hurried = scrubber(turn_seconds=0.0)
        # A stop in the first moment of a pass does not end it.
        with trio.CancelScope() as stopped:
            stopped.cancel()
            await hurried.take_turn()
        assert [await hurried.take_turn() for _ in range(6)] == [1, 1, 1, 1, 1, 0]
        assert await hurried.take_turn() == 0, "the next pass is due in 30 days"
        digests = await rig.catalog.blobs.digests(names)
        assert [name for name in names if digests[name] is None] == [names[3]]
        assert (await rig.catalog.housekeeping.gauges()).damaged_blobs == 1
        assert b"mediaconvert_scrubbed_bytes_total 5000.0" in metrics.render(None)
