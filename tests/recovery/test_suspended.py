"""The whole process stands still for longer than a lease, as a laptop does, and goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.program import Person, run_program, wait_until
from tests.service.media import long_film


def test_a_suspended_service_loses_no_job_and_blames_none(tmp_path: Path) -> None:
    # Renewed often: a disk that is slow for a moment must not end it.
    settings = {
        "MEDIACONVERT_WORKERS__LEASE_SECONDS": "4",
        "MEDIACONVERT_WORKERS__RENEW_SECONDS": "0.7",
    }
    film = long_film(tmp_path, seconds=20)
    with run_program(tmp_path, environment=settings) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        catalog = tmp_path / "data/catalog.db"
        for _ in range(3):  # as often as makes a job that ends its workers poison
            person.wait_for_job(job_id, lambda job: job["progress"] > 0)
            os.kill(program.process.pid, signal.SIGSTOP)
            try:
                wait_until(lambda: _leases_have_run_out(catalog), "the lease has run out")
                waits_before = _times_it_waited(catalog)
            finally:
                os.kill(program.process.pid, signal.SIGCONT)
            _wait_until_given_back(catalog, waits_before)
        job = person.wait_for_job(job_id)
        assert job["status"] == "completed", job
        assert len(person.keys_below(f"results/job-{job_id}/")) == 3
        wait_until(lambda: not list((tmp_path / "data/work").iterdir()), "nothing is left")


def _leases_have_run_out(catalog: Path) -> bool:
    with closing(sqlite3.connect(catalog)) as database:
        running = "select max(lease_until) from jobs where status = 'processing'"
        (until_us,) = database.execute(running).fetchone()
    return until_us is None or until_us < time.time_ns() // 1000


def _wait_until_given_back(catalog: Path, waits_before: int) -> None:
    """By its history: it may be at work again before anybody looks."""
    wait_until(lambda: _times_it_waited(catalog) > waits_before, "the job is given back")


def _times_it_waited(catalog: Path) -> int:
    """The one job there is."""
    with closing(sqlite3.connect(catalog)) as database:
        states = "select count(*) from job_history where to_status = 'pending'"
        (count,) = database.execute(states).fetchone()
    return int(count)
