"""What the janitor clears up and what it leaves alone; the outbox on its way to the store."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from mediaconvert.analytics.flusher import Flusher
from mediaconvert.backends.analytics.sqlite import open_sqlite_analytics
from mediaconvert.backends.sql.catalog import open_postgres_driver
from mediaconvert.model import BlobId, Conditions, JobStatus, ObjectHeaders
from mediaconvert.ports.notices import Notice, Topic
from mediaconvert.settings import AnalyticsSettings, Settings, StorageSettings, WorkerSettings
from mediaconvert.workers.janitor import Janitor, mercy_seconds
from mediaconvert.workers.leases import RETRY_SECONDS
from tests.program import PHOTO
from tests.recovery.test_worker_jobs import RESIZE
from tests.recovery.worker_rig import Rig, open_rig, settings_for, until


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with open_rig(settings_for(tmp_path, lease_seconds=1.0), with_tools=False) as rig:
        yield rig


def janitor(rig: Rig, **storage: float) -> Janitor:
    settings = Settings(
        server=rig.settings.server,
        workers=rig.settings.workers,
        storage=StorageSettings(**({"garbage_minutes": 0.0} | storage)),  # type: ignore[arg-type]
    )
    return Janitor(rig.catalog, rig.blobs, rig.notices, settings)


async def test_the_bytes_of_a_deleted_object_are_deleted_and_forgotten(rig: Rig) -> None:
    await rig.upload("gone", b"1")
    await rig.upload("kept", b"2")
    kept = {s.blob_id for s in (await rig.catalog.objects.get(rig.bucket, "kept")).segments}
    await rig.catalog.objects.delete(rig.bucket, [("gone", Conditions())])
    assert await janitor(rig).sweep_garbage() == 1
    assert await rig.stored_blobs() == kept
    assert await rig.catalog.housekeeping.garbage(10) == ()


async def test_deleted_bytes_stay_a_while_for_readers_on_other_machines(rig: Rig) -> None:
    await rig.upload("gone", b"1")
    stored = await rig.stored_blobs()
    await rig.catalog.objects.delete(rig.bucket, [("gone", Conditions())])
    assert await janitor(rig, garbage_minutes=1.0).sweep_garbage() == 0
    assert await rig.stored_blobs() == stored
    # Everything has been garbage since before a moment in the future.
    assert await janitor(rig, garbage_minutes=-1.0).sweep_garbage() == 1
    assert await rig.stored_blobs() == set()


async def test_a_blob_that_cannot_be_deleted_does_not_keep_the_others(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.upload("stuck", b"1")
    await rig.upload("gone", b"2")
    (stuck,) = (await rig.catalog.objects.get(rig.bucket, "stuck")).segments
    await rig.catalog.objects.delete(rig.bucket, [("stuck", Conditions()), ("gone", Conditions())])
    # A folder in the file's place is something that no unlink removes.
    path = rig.settings.server.data_dir / "blobs/blobs" / stuck.blob_id[:2] / stuck.blob_id
    path.unlink()
    path.mkdir()
    assert await janitor(rig).sweep_garbage() == 1
    assert await rig.catalog.housekeeping.garbage(10) == ()
    assert stuck.blob_id in caplog.text


async def test_a_janitor_that_runs_deletes_what_users_deleted(rig: Rig) -> None:
    await rig.upload("a", b"1")
    await rig.catalog.objects.delete(rig.bucket, [("a", Conditions())])

    async def is_swept() -> bool:
        return await rig.stored_blobs() == set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(janitor(rig).run)
        await until(is_swept)
        nursery.cancel_scope.cancel()


async def orphan(rig: Rig) -> BlobId:
    async with rig.blobs.stage() as writer:
        await writer.write(b"nobody's")
        await writer.seal()
    return writer.blob_id


async def test_only_old_blobs_that_nothing_knows_are_orphans(rig: Rig) -> None:
    await rig.upload("kept", b"2")
    kept = await rig.stored_blobs()
    nobodys = await orphan(rig)
    assert await janitor(rig, orphan_hours=1).sweep_orphans() == 0
    assert await rig.stored_blobs() == kept | {nobodys}
    # Everything is older than a moment in the future, and was due an hour before now.
    assert await janitor(rig, orphan_hours=-1).sweep_orphans() == 1
    assert await janitor(rig).sweep_garbage() == 1
    assert await rig.stored_blobs() == kept


async def test_an_orphan_is_deleted_only_as_long_after_it_was_found_as_it_was_old(
    rig: Rig,
) -> None:
    nobodys = await orphan(rig)
    path = rig.settings.server.data_dir / "blobs/blobs" / nobodys[:2] / nobodys
    os.utime(path, (0, 0))
    assert await janitor(rig, orphan_hours=24).sweep_orphans() == 1
    assert await janitor(rig, orphan_hours=24).sweep_orphans() == 0, "it is noted already"
    assert await janitor(rig).sweep_garbage() == 0
    assert await rig.stored_blobs() == {nobodys}
    catalog = rig.settings.server.data_dir / "catalog.db"
    with contextlib.closing(sqlite3.connect(catalog, isolation_level=None)) as other:
        other.execute("update garbage set created_at = created_at - 23 * 3600000000")
        assert await janitor(rig).sweep_garbage() == 0
        other.execute("update garbage set created_at = created_at - 3600000000")
    assert await janitor(rig).sweep_garbage() == 1
    assert await rig.stored_blobs() == set()


async def test_one_of_many_janitors_does_a_duty_for_all(rig: Rig) -> None:
    sweeps: list[str] = []

    async def sweep() -> int:
        sweeps.append("swept")
        return 0

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(janitor(rig).in_turn, "orphans", 3600.0, sweep)
    assert sweeps == ["swept"]


async def test_orphans_are_found_and_deleted_by_janitors_that_run(rig: Rig) -> None:
    nobodys = await orphan(rig)
    path = rig.settings.server.data_dir / "blobs/blobs" / nobodys[:2] / nobodys
    os.utime(path, (0, 0))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(janitor(rig, orphan_hours=0.1 / 3600).run)

        async def is_swept() -> bool:
            return await rig.stored_blobs() == set()

        await until(is_swept)
        nursery.cancel_scope.cancel()


async def test_a_copy_keeps_the_bytes_that_its_original_shared(rig: Rig) -> None:
    await rig.upload("a", b"shared")
    await rig.catalog.objects.copy(
        rig.bucket, "a", Conditions(), rig.bucket, "b", None, Conditions(), None
    )
    await rig.catalog.objects.delete(rig.bucket, [("a", Conditions())])
    await janitor(rig).sweep_garbage()
    assert await rig.read("b") == b"shared"


async def test_a_job_whose_lease_ran_out_is_taken_back_and_announced(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    await rig.claim()

    async def is_back() -> bool:
        await janitor(rig).sweep_leases()
        return (await rig.job(job_id)).status is JobStatus.PENDING

    async with rig.notices.subscribe(Topic.JOB_READY) as ready:
        await until(is_back)
        with trio.fail_after(30):
            assert await ready.receive() == Notice(Topic.JOB_READY, str(job_id))


def test_after_an_outage_a_worker_has_time_for_the_try_that_fails_and_for_the_next() -> None:
    default = inspect.signature(open_postgres_driver).parameters["deadline_seconds"].default
    patience = mercy_seconds(WorkerSettings().lease_seconds)
    assert patience > default + RETRY_SECONDS


async def test_stale_uploads_are_aborted_and_younger_ones_are_not(rig: Rig) -> None:
    upload = await rig.catalog.uploads.create(rig.bucket, "k", ObjectHeaders(), None, None, None)
    assert await janitor(rig, upload_expiry_days=1).sweep_uploads() == 0
    assert (await rig.catalog.uploads.get(rig.bucket, "k", upload.id)).id == upload.id
    assert await janitor(rig, upload_expiry_days=-1).sweep_uploads() == 1


async def test_events_reach_the_store_once_and_leave_the_outbox(rig: Rig, tmp_path: Path) -> None:
    await rig.submit(PHOTO.read_bytes(), RESIZE)
    async with open_sqlite_analytics(tmp_path / "analytics.db") as store:
        flusher = Flusher(rig.catalog.outbox, store, AnalyticsSettings(flush_seconds=0.05))
        batch = await rig.catalog.outbox.open_batch("another", 100, 0.0)
        assert batch is not None
        # As after a crash between sending and acknowledging.
        await store.record(batch)
        assert await flusher.flush() == len(batch.events) > 0
        assert await flusher.flush() == 0
        assert (await store.job_stats(rig.user_id, 0)).total_jobs == 1


async def test_the_flusher_delivers_while_it_runs_and_once_more_at_the_end(
    rig: Rig, tmp_path: Path
) -> None:
    async with open_sqlite_analytics(tmp_path / "analytics.db") as store:
        flusher = Flusher(rig.catalog.outbox, store, AnalyticsSettings(flush_seconds=0.05))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flusher.run)
            await rig.submit(PHOTO.read_bytes(), RESIZE, key="1")

            async def is_told() -> bool:
                return (await store.job_stats(rig.user_id, 0)).total_jobs == 1

            await until(is_told)
            nursery.cancel_scope.cancel()
        await rig.submit(PHOTO.read_bytes(), RESIZE, key="2")

        async def is_told_at_the_end() -> bool:
            # What does not get through within two seconds waits for the next time.
            await flusher.final_flush()
            return (await store.job_stats(rig.user_id, 0)).total_jobs == 2

        await until(is_told_at_the_end)


async def test_a_store_that_fails_loses_no_event_and_is_complained_about_once(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.submit(PHOTO.read_bytes(), RESIZE)
    async with open_sqlite_analytics(tmp_path / "analytics.db") as store:
        # Somebody restored the wrong file under it.
        with contextlib.closing(sqlite3.connect(tmp_path / "analytics.db")) as other:
            for (table,) in other.execute("select name from sqlite_master").fetchall():
                if table.startswith("job"):
                    other.execute(f"drop table if exists {table}")
            other.commit()
        flusher = Flusher(rig.catalog.outbox, store, AnalyticsSettings(flush_seconds=0.05))
        with caplog.at_level(logging.INFO, "mediaconvert.analytics.flusher"):
            for _ in range(3):
                await flusher.final_flush()
        said = [record.getMessage() for record in caplog.records]
        # On a slow disk one may be cut off before it has come to anything.
        complaints = [words for words in said if "left for the next start" not in words]
        assert len(complaints) == 1
        assert (await rig.catalog.housekeeping.gauges()).outbox_events == 2
