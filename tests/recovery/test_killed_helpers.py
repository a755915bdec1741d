"""The processes that the service leans on are killed by hand: what they did is done again, once."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from mediaconvert.media import Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import open_toolbox
from tests.program import PHOTO, Person, Program, command_line, run_program, wait_until
from tests.service.media import long_film

QUICKLY = {"MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.1"}


def starter(program: Program) -> int:
    """The one child that the service has by itself."""
    children = Path(f"/proc/{program.process.pid}/task")
    found = [int(p) for t in children.iterdir() for p in (t / "children").read_text().split()]
    (pid,) = found
    return pid


def image_servers(program: Program) -> list[int]:
    """The server, and the commands that it has forked."""
    return [
        pid
        for pid in program.children()
        if "image_server" in command_line(pid) and pid != starter(program)
    ]


def test_a_killed_starter_is_replaced_and_its_jobs_run_again(tmp_path: Path) -> None:
    film = long_film(tmp_path, seconds=8)
    with run_program(tmp_path, environment=QUICKLY) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["progress"] > 2)
        tools = program.children()
        os.kill(starter(program), signal.SIGKILL)
        wait_until(lambda: not any(map(command_line, tools)), "its children die with it")
        job = person.wait_for_job(job_id)
        assert (job["status"], job["attempt"]) == ("completed", 2)
        messages = [r["message"] for r in person.get(f"/api/jobs/{job_id}/history")["history"]]
        assert any("watches over the tools was killed" in message for message in messages)


def test_an_image_server_that_is_killed_ten_times_comes_back(tmp_path: Path) -> None:
    with run_program(tmp_path, environment=QUICKLY) as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        jobs = [person.upload(f"{n}.jpg", PHOTO, "image-resize") for n in range(20)]
        for _ in range(10):
            wait_until(lambda: bool(image_servers(program)), "the image server runs")
            for pid in image_servers(program):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for job_id in jobs:
            assert job_id is not None
            job = person.wait_for_job(job_id)
            # Whoever was under way three times is taken for what kills it.
            killers = ("tool_crashed", "bad_output")
            assert job["status"] == "completed" or job["error_code"] in killers, job
            assert job["status"] == "completed" or job["attempt"] == 3, job
        last = person.upload("last.jpg", PHOTO, "image-resize")
        assert last is not None
        assert person.wait_for_job(last)["status"] == "completed"


def test_a_killed_ffmpeg_costs_an_attempt(tmp_path: Path) -> None:
    film = long_film(tmp_path, seconds=8)
    with run_program(tmp_path, environment=QUICKLY) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["progress"] > 2)
        for pid in program.children():
            line = command_line(pid)
            if "-i input" in line and "bwrap" not in line.partition(" ")[0]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        job = person.wait_for_job(job_id)
        assert (job["status"], job["attempt"]) == ("completed", 2)


def test_a_source_whose_blob_was_deleted_by_hand_fails_with_a_sentence(tmp_path: Path) -> None:
    settings = {"MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.01"}
    settings |= {"MEDIACONVERT_WORKERS__MAX_ATTEMPTS": "3"}
    with run_program(tmp_path, "--role", "api") as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        job_id = person.upload("p.jpg", PHOTO, "image-resize")
        assert job_id is not None
    for blob in (tmp_path / "data/blobs/blobs").glob("??/*"):
        blob.unlink()
    with run_program(tmp_path, environment=settings) as program:
        person.move_to(program.url)
        job = person.wait_for_job(job_id)
        assert (job["status"], job["attempt"]) == ("failed", 3)
        assert "missing from the blob store" in job["error"]


async def test_a_command_cancelled_before_it_was_sent_leaves_the_image_server_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_toolbox(ToolSettings(), slots=2) as tools:
        await tools.probe(PHOTO, Limits())
        for ticks in range(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tools.probe, PHOTO, Limits())
                for _ in range(ticks):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                nursery.cancel_scope.cancel()
        await tools.probe(PHOTO, Limits())
        lost = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert "image server" not in " ".join(r.getMessage() for r in lost)
