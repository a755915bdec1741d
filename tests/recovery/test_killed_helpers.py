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
    """The one child that stays with the service; what it starts are not the service's own."""
    (pid,) = [pid for pid in _image_servers_and_starter(program) if _is_own_child(program, pid)]
    return pid


def image_servers(program: Program) -> list[int]:
    """The server, and the commands that it has forked."""
    found = _image_servers_and_starter(program)
    return [pid for pid in found if not _is_own_child(program, pid)]


def _image_servers_and_starter(program: Program) -> list[int]:
    """The starter is forked into the server, and has its command line."""
    return [pid for pid in program.children() if "image_server" in command_line(pid)]


def _is_own_child(program: Program, pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[1]) == program.process.pid


def encoders(program: Program) -> list[int]:
    """ffmpegs themselves, not the sandbox around them."""
    return [
        pid
        for pid in program.children()
        if "-progress" in (line := command_line(pid)) and "bwrap" not in line.partition(" ")[0]
    ]


def kill_encoders(program: Program) -> bool:
    """Whether there was one."""
    found = encoders(program)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def test_a_killed_starter_is_replaced_and_its_jobs_run_again(tmp_path: Path) -> None:
    film = long_film(tmp_path, seconds=20)
    with run_program(tmp_path, environment=QUICKLY) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        wait_until(lambda: bool(encoders(program)), "its ffmpeg runs")
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
            assert job["status"] == "completed" or job["attempt"] >= 3, job
        last = person.upload("last.jpg", PHOTO, "image-resize")
        assert last is not None
        assert person.wait_for_job(last)["status"] == "completed"


def test_a_killed_ffmpeg_costs_an_attempt(tmp_path: Path) -> None:
    film = long_film(tmp_path, seconds=20)
    with run_program(tmp_path, environment=QUICKLY) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        wait_until(lambda: kill_encoders(program), "its ffmpeg is killed")
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
    with run_program(tmp_path, environment=settings, expect_errors=True) as program:
        person.move_to(program.url)
        job = person.wait_for_job(job_id)
        assert (job["status"], job["attempt"]) == ("failed", 3)
        assert "missing from the blob store" in job["error"]
        assert {line["message"] for line in program.errors()} == {"stored blob damaged"}


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
