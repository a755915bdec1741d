"""The wall clock is set by an hour, on a running service and while it is stopped."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.program import PHOTO, Person, run_program, wait_until
from tests.servers.wall_clock import HOUR, WallClock
from tests.service.media import long_film

LONGEST_US = 30 * 60 * 1_000_000
"""Far more than any of these jobs takes, and less than a step."""
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


def rows(folder: Path, statement: str, database: str = "catalog.db") -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(folder / "data" / database)) as connection:
        return connection.execute(statement).fetchall()


def wait_until_completed(folder: Path, count: int) -> None:
    def is_done() -> bool:
        return rows(folder, "select count(*) from jobs where status = 'completed'") == [(count,)]

    wait_until(is_done, f"{count} jobs have completed")


def assert_dates_are_in_order(folder: Path, jobs: int) -> None:
    """Of each job, in the catalog and in the analytics."""
    facts = rows(folder, "select created_at, started_at, finished_at from jobs")
    assert len(facts) == jobs
    for created, started, finished in facts:
        assert created <= started <= finished < created + LONGEST_US
    for database, table in (
        ("catalog.db", "job_history"),
        ("analytics.db", "job_status_history_analytics"),
    ):
        order = "id" if table == "job_history" else "event_id"
        for (job_id,) in rows(folder, "select id from jobs"):
            dates = f"select created_at from {table} where job_id = {job_id} order by {order}"
            times = [at for (at,) in rows(folder, dates, database)]
            assert len(times) >= 3
            assert times == sorted(times) and times[-1] < times[0] + LONGEST_US
    durations = rows(folder, "select processing_ms from job_metrics", "analytics.db")
    assert len(durations) == jobs
    assert all(0 <= took < LONGEST_US // 1000 for (took,) in durations)


@STEPS
def test_a_step_under_a_running_service_costs_no_job_anything(tmp_path: Path, step: int) -> None:
    clock = WallClock(tmp_path / "clock")
    # Leases are looked at more often than they are renewed.
    settings = {"MEDIACONVERT_WORKERS__SLOTS": "1"}
    film = long_film(tmp_path, seconds=15)
    with run_program(tmp_path, environment=settings | dict(clock.environment)) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        person.save_pipeline("image-resize")
        running = person.upload("film.mp4", film, "video-complete")
        assert running is not None
        person.wait_for_job(running, lambda job: job["progress"] > 0)
        assert person.upload("photo.jpg", PHOTO, "image-resize") is not None
        clock.set(step)
        wait_until_completed(tmp_path, 2)
        attempts = rows(tmp_path, "select attempt, worker_deaths from jobs")
        assert attempts == [(1, 0), (1, 0)]
        starts = "select count(*) from job_history where to_status = 'processing'"
        assert rows(tmp_path, starts) == [(2,)]
    (stepped,) = [line for line in program.log if line["message"] == "clock stepped"]
    assert stepped["direction"] == ("forward" if step > 0 else "back")
    assert abs(stepped["seconds"] - step) < 60
    assert_dates_are_in_order(tmp_path, 2)


@STEPS
def test_a_step_while_the_service_is_stopped_keeps_no_job_waiting(
    tmp_path: Path, step: int
) -> None:
    clock = WallClock(tmp_path / "clock")
    settings = {
        "MEDIACONVERT_WORKERS__SLOTS": "1",
        "MEDIACONVERT_SERVER__DRAIN_JOBS_SECONDS": "0",
    } | dict(clock.environment)
    film = long_film(tmp_path, seconds=15)
    with run_program(tmp_path, environment=settings) as first:
        person = Person(first.url)
        person.save_pipeline("video-complete")
        person.save_pipeline("image-resize")
        running = person.upload("film.mp4", film, "video-complete")
        assert running is not None
        person.wait_for_job(running, lambda job: job["progress"] > 0)
        assert person.upload("photo.jpg", PHOTO, "image-resize") is not None
        assert first.terminate() == 0
    clock.set(step)
    with run_program(tmp_path, environment=settings) as second:
        wait_until_completed(tmp_path, 2)
    steps = [line for line in second.log if line["message"] == "clock stepped"]
    # A clock that went forward says no more than that time has passed.
    assert len(steps) == (0 if step > 0 else 1)
    if step < 0:
        assert_dates_are_in_order(tmp_path, 2)
