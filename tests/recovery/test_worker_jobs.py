"""One attempt at a job, from the claim to whichever end, with everything real."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from mediaconvert.model import Conditions, JobStatus, TriggeredBy
from mediaconvert.workers.leases import Stop
from mediaconvert.workers.settle import Ending
from tests.program import FILM, PHOTO
from tests.recovery.worker_rig import (
    SLOW_PIPELINE,
    Rig,
    ffmpeg_runs,
    kill_ffmpegs,
    long_film,
    make_film,
    open_rig,
    running_ffmpegs,
    settings_for,
    until,
)

RESIZE = """
name: small
steps:
  - {operation: resize, input: "${input}", output: "${output}/small.jpg",
     params: {width: 64, height: 64, mode: fit}}
"""
TRANSCODE = """
name: video
steps:
  - {operation: transcode, input: "${input}", output: "${output}/video.mp4",
     params: {codec: h264, preset: ultrafast, height: 96}}
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with open_rig(settings_for(tmp_path, retry_base_seconds=0.01, max_attempts=2)) as rig:
        yield rig


async def test_a_job_becomes_outputs_with_a_manifest_beside_them(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE, key="photos/rocket.jpg")
    assert await rig.run_next() is Ending.COMPLETED
    job = await rig.job(job_id)
    assert (job.status, job.progress, job.error) == (JobStatus.COMPLETED, 100.0, None)
    folder = f"results/job-{job_id}/"
    assert job.result["output_files"] == [folder + "small.jpg"]
    assert await rig.keys() == ["photos/rocket.jpg", folder + "manifest.json", folder + "small.jpg"]
    made = await rig.read(folder + "small.jpg")
    manifest = json.loads(await rig.read(folder + "manifest.json"))
    assert manifest["outputs"][0]["sha256"] == hashlib.sha256(made).hexdigest()
    assert manifest["outputs"][0]["name"] == "small.jpg"
    assert max(manifest["outputs"][0]["width"], manifest["outputs"][0]["height"]) == 64
    assert manifest["source"]["key"] == "photos/rocket.jpg"
    assert manifest["job"] | {"id": job_id, "attempt": 1} == manifest["job"]
    assert manifest["probe"]["kind"] == "image"
    assert manifest["commands"][0]["argv"]
    assert {tool["name"] for tool in manifest["tools"]} >= {"ffmpeg", "libvips"}
    stored = await rig.catalog.objects.get(rig.bucket, folder + "small.jpg")
    assert stored.etag == hashlib.md5(made).hexdigest()
    assert stored.headers.content_type == "image/jpeg"
    assert stored.headers.user == {"mediaconvert-job": str(job_id)}
    assert rig.workspaces() == []


async def test_a_film_is_transcoded_and_its_steps_say_what_they_did(rig: Rig) -> None:
    job_id = await rig.submit(FILM.read_bytes(), TRANSCODE)
    assert await rig.run_next() is Ending.COMPLETED
    job = await rig.job(job_id)
    (step,) = job.steps
    assert (step["status"], step["progress"], step["outputs"]) == (
        "completed",
        100.0,
        ["video.mp4"],
    )
    (output,) = job.result["outputs"]  # type: ignore[misc]
    assert (output["codec"], output["audio_codec"], output["height"]) == ("h264", "aac", 96)
    assert abs(output["duration"] - 5.3) < 0.2
    assert step["output_bytes"] == output["size"]


async def test_cancelling_a_running_job_kills_its_tools_and_leaves_nothing(
    rig: Rig, tmp_path: Path
) -> None:
    film = long_film(tmp_path)
    job_id = await rig.submit(film, SLOW_PIPELINE, key="long.mp4")
    before = await rig.stored_blobs()
    async with rig.running(await rig.claim()) as (_, endings):
        await until(ffmpeg_runs)
        assert await rig.catalog.jobs.cancel(rig.user_id, job_id) is JobStatus.PROCESSING
        rig.keeper.cancel(job_id)
    assert endings == [Ending.CANCELED]
    assert running_ffmpegs() == []
    assert (await rig.job(job_id)).status is JobStatus.CANCELED
    assert await rig.keys() == ["long.mp4"]
    assert await rig.stored_blobs() == before
    assert rig.workspaces() == []


async def test_a_worker_that_hears_of_no_cancel_finds_out_by_its_next_progress(
    rig: Rig, tmp_path: Path
) -> None:
    job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
    async with rig.running(await rig.claim()) as (_, endings):
        await until(lambda: rig.has_progress(job_id))
        await rig.catalog.jobs.cancel(rig.user_id, job_id)
    assert endings == [Ending.LOST]
    assert (await rig.job(job_id)).status is JobStatus.CANCELED
    assert await rig.keys() == ["input"]


async def test_a_worker_whose_lease_is_gone_throws_its_outputs_away(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    before = await rig.stored_blobs()
    stale = await rig.claim()
    await rig.catalog.queue.recover(all_running=True, by=TriggeredBy.SYSTEM, message="test")
    assert await rig.run(stale) is Ending.LOST
    assert await rig.stored_blobs() == before
    assert await rig.keys() == ["input"]
    assert (await rig.job(job_id)).status is JobStatus.PENDING
    assert await rig.run_next() is Ending.COMPLETED
    assert len(await rig.keys()) == 3


async def test_a_job_never_has_two_results(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    first = await rig.claim()
    await rig.catalog.queue.recover(all_running=True, by=TriggeredBy.SYSTEM, message="test")
    second = await rig.claim()
    assert await rig.run(second) is Ending.COMPLETED
    stored = await rig.stored_blobs()
    assert await rig.run(first) is Ending.LOST
    assert await rig.stored_blobs() == stored
    history = await rig.catalog.jobs.history(rig.user_id, job_id)
    assert [row.to_status for row in history].count(JobStatus.COMPLETED) == 1


async def test_a_lost_lease_stops_the_attempt_at_once(rig: Rig, tmp_path: Path) -> None:
    await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
    async with rig.running(await rig.claim()) as (held, endings):
        await until(ffmpeg_runs)
        held.stop(Stop.LOST)
    assert endings == [Ending.LOST]
    assert running_ffmpegs() == []


async def test_a_process_that_is_cancelled_puts_its_job_back_with_the_attempt(
    rig: Rig, tmp_path: Path
) -> None:
    job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
    with trio.CancelScope() as process:
        async with rig.running(await rig.claim()):
            await until(ffmpeg_runs)
            process.cancel()
    assert process.cancelled_caught
    job = await rig.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.PENDING, 0)
    assert running_ffmpegs() == []
    assert rig.workspaces() == []


def _pdf(_: Path) -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>",
    ]
    text, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return text + (
        b"xref\n0 4\n0000000000 65535 f \n%strailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (table, len(text))
    )


def _cut_off(_: Path) -> bytes:
    return FILM.read_bytes()[:600_000]


def _cut_off_with_its_index_in_front(folder: Path) -> bytes:
    film = make_film(folder / "f.mp4", "-i", str(FILM), "-c", "copy", "-movflags", "+faststart")
    return film.read_bytes()[:600_000]


BAD_INPUTS = {
    "text": (lambda _: b"this is no film\n" * 50, "unsupported_container"),
    "empty": (lambda _: b"", "empty_file"),
    "cut off": (_cut_off, "broken_file"),
    "cut off, index in front": (_cut_off_with_its_index_in_front, "broken_file"),
    "pdf": (_pdf, "no_video_stream"),
}


@pytest.mark.parametrize("bad", BAD_INPUTS)
async def test_what_is_no_film_fails_with_a_clear_sentence_and_no_retry(
    rig: Rig, tmp_path: Path, bad: str
) -> None:
    make_input, code = BAD_INPUTS[bad]
    job_id = await rig.submit(make_input(tmp_path), TRANSCODE)
    assert await rig.run_next() is Ending.FAILED
    job = await rig.job(job_id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, code)
    assert job.error
    assert "\n" not in job.error
    assert "Traceback" not in job.error
    assert str(tmp_path) not in job.error
    assert await rig.keys() == ["input"]
    assert rig.workspaces() == []


async def test_a_source_that_is_overwritten_while_it_waits_is_still_what_runs(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    await rig.upload("input", b"something else")
    assert await rig.run_next() is Ending.COMPLETED
    assert (await rig.job(job_id)).status is JobStatus.COMPLETED
    assert await rig.read("input") == b"something else"


async def test_a_source_that_is_deleted_while_it_waits_is_still_what_runs(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    await rig.catalog.objects.delete(rig.bucket, [("input", Conditions())])
    assert await rig.run_next() is Ending.COMPLETED
    assert await rig.keys() == [f"results/job-{job_id}/{n}" for n in ("manifest.json", "small.jpg")]


async def test_a_store_that_fails_is_tried_again_and_then_given_up(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    await rig.blobs.delete(await rig.stored_blobs())
    assert await rig.run_next() is Ending.RETRIED
    assert (await rig.job(job_id)).status is JobStatus.PENDING
    await until(lambda: _is_due(rig))
    assert await rig.run_next() is Ending.FAILED
    job = await rig.job(job_id)
    assert (job.error_code, job.attempt) == ("source_missing", 2)
    assert "tried 2 times" in str(job.error)
    retried = (await rig.catalog.jobs.history(rig.user_id, job_id))[2]
    assert (retried.to_status, retried.triggered_by) == (JobStatus.PENDING, TriggeredBy.WORKER)


async def _kill_the_tool_of(rig: Rig) -> Ending:
    await until(lambda: _is_due(rig))
    async with rig.running(await rig.claim()) as (_, endings):

        async def has_ended() -> bool:
            kill_ffmpegs()
            await trio.lowlevel.checkpoint()
            return bool(endings)

        await until(ffmpeg_runs)
        await until(has_ended)
    return endings[0]


async def test_a_tool_that_is_killed_is_tried_twice_more_and_no_further(
    rig: Rig, tmp_path: Path
) -> None:
    job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
    endings = [await _kill_the_tool_of(rig) for _ in range(3)]
    assert endings == [Ending.RETRIED, Ending.RETRIED, Ending.FAILED]
    job = await rig.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, 3)
    assert "tried 3 times" in str(job.error)
    assert rig.workspaces() == []


async def test_a_tool_that_is_killed_while_the_process_ends_is_no_crash(
    rig: Rig, tmp_path: Path
) -> None:
    job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
    rig.keeper.begin_drain()
    assert await _kill_the_tool_of(rig) is Ending.RELEASED
    job = await rig.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.PENDING, 0)


async def _is_due(rig: Rig) -> bool:
    return await rig.catalog.queue.next_due_seconds() == 0


async def test_a_catalog_that_is_away_when_a_job_ends_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Of the ten seconds that an attempt is given to end in, one try may take two.
    async with open_rig(settings_for(tmp_path), catalog_seconds=1.0) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        job = await rig.claim()
        with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as other:
            other.execute("begin immediate")
            async with rig.running(job) as (_, endings):

                async def is_waiting() -> bool:
                    await trio.lowlevel.checkpoint()
                    return "did not answer" in caplog.text

                await until(is_waiting)
                assert endings == []
                other.rollback()
        assert endings == [Ending.COMPLETED]
        assert (await rig.job(job_id)).status is JobStatus.COMPLETED
        assert len(await rig.keys()) == 3


async def test_a_bug_ends_its_job_only_and_tells_the_user_no_internals(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Where the workspaces should lie stands a file: nothing that a job may ever meet.
    (tmp_path / "work").write_bytes(b"")
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    with caplog.at_level(logging.ERROR):
        assert await rig.run_next() is Ending.FAILED
    job = await rig.job(job_id)
    assert job.error_code == "internal_error"
    assert str(tmp_path) not in str(job.error)
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info
    assert record.fields["reference"] in str(job.error)  # type: ignore[attr-defined]
    (tmp_path / "work").unlink()
    await rig.submit(PHOTO.read_bytes(), RESIZE, key="next.jpg")
    assert await rig.run_next() is Ending.COMPLETED


async def test_a_stored_pipeline_that_is_no_longer_valid_fails_the_job(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), "name: x\nsteps: [{operation: levitate}]\n")
    assert await rig.run_next() is Ending.FAILED
    job = await rig.job(job_id)
    assert job.error_code == "invalid_pipeline"
    assert "levitate" in str(job.error)


async def test_a_bucket_deleted_during_the_job_fails_it_and_keeps_no_blob(rig: Rig) -> None:
    job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
    job = await rig.claim()
    await rig.catalog.objects.delete(rig.bucket, [("input", Conditions())])
    await rig.catalog.buckets.delete(rig.bucket)
    before = await rig.stored_blobs()
    assert await rig.run(job) is Ending.LOST
    assert (await rig.job(job_id)).error_code == "bucket_gone"
    assert await rig.stored_blobs() <= before
