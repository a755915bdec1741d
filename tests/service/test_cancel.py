"""Cancel: the whole process tree dies, nothing becomes visible, the history says who."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import Person, Program, command_line, wait_until
from tests.service.media import SLOW_PIPELINE, long_film


def encoders(program: Program) -> set[int]:
    return {pid for pid in program.children() if "-progress" in command_line(pid)}


def test_a_long_transcode_that_is_canceled_leaves_nothing(
    person: Person, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    film = long_film(Path(tmp_path_factory.getbasetemp()))
    person.save_pipeline("slow", SLOW_PIPELINE)
    job_id = person.upload("film.mp4", film, "slow")
    assert job_id is not None
    person.wait_for_job(job_id, lambda job: job["progress"] > 0)
    assert encoders(program)
    answer = person.post(f"/api/jobs/{job_id}/cancel", 200)
    assert answer == {"message": "Job cancelled successfully", "job_id": job_id}
    wait_until(lambda: not encoders(program), "no encoder runs")
    job = person.job(job_id)
    assert job["status"] == "canceled"
    assert person.keys_below("results/") == []
    rows = person.get(f"/api/jobs/{job_id}/history")["history"]
    assert [(r["to_status"], r["triggered_by"]) for r in rows] == [
        ("pending", "user"),
        ("processing", "worker"),
        ("canceled", "user"),
    ]
    assert person.rest.post(f"/api/jobs/{job_id}/cancel").status_code == 400


def test_a_job_that_waits_and_is_canceled_never_starts(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    film = long_film(Path(tmp_path_factory.getbasetemp()))
    person.save_pipeline("slow", SLOW_PIPELINE)
    jobs = [person.upload(f"{n}.mp4", film, "slow") for n in range(4)]
    last = jobs[-1]
    assert last is not None
    assert person.job(last)["status"] == "pending"
    for job_id in reversed(jobs):
        person.post(f"/api/jobs/{job_id}/cancel", 200)
    rows = person.get(f"/api/jobs/{last}/history")["history"]
    assert [r["to_status"] for r in rows] == ["pending", "canceled"]


def test_progress_rises_and_tells_how_long_it_will_take(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    film = long_film(Path(tmp_path_factory.getbasetemp()))
    person.save_pipeline("slow", SLOW_PIPELINE)
    job_id = person.upload("film.mp4", film, "slow")
    assert job_id is not None
    first = person.wait_for_job(job_id, lambda job: job["progress"] > 0)
    later = person.wait_for_job(job_id, lambda job: job["progress"] > first["progress"])
    assert later["steps"][0]["status"] == "running"
    assert later["eta_seconds"] > 0
    person.post(f"/api/jobs/{job_id}/cancel", 200)
