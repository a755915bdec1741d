"""A job that really ends the service, beside jobs that do nothing wrong.

No tool can send the service a signal, even without a sandbox: seccomp forbids it. What is left
is what the kernel does to a process because of a tool: the tests play its memory killer.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.program import Person, Program, run_program, wait_until
from tests.service.media import SLOW_PIPELINE, ffmpeg, long_film

STARTS = 20
"""Far more than it takes: two deaths beside others, three alone, and one to end in."""
UNENDED = "select count(*) from jobs where status in ('pending', 'processing')"


class MemoryKiller:
    """Kills the service while an ffmpeg of it encodes H.265."""

    def __init__(self, folder: Path) -> None:
        self._called = folder / "out-of-memory"
        self.ffmpeg = folder / "ffmpeg"
        self.ffmpeg.write_text(
            "#!/bin/sh\n"
            f"case \"$*\" in *-progress*libx265*) : > '{self._called}';; esac\n"
            f"exec '{ffmpeg()}' \"$@\"\n"
        )
        self.ffmpeg.chmod(0o755)

    def strike(self, program: Program) -> bool:
        """Whether there was reason to."""
        if not self._called.exists():
            return False
        program.kill()
        # Only now: no tool outlives the service, to call once more.
        wait_until(lambda: not program.children(), "its tools are dead")
        self._called.unlink()
        return True


def _rows(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "data/catalog.db")) as connection:
        return connection.execute(statement).fetchall()


def _begin(folder: Path, settings: dict[str, str], killer: MemoryKiller) -> None:
    """The first process: two innocent jobs run when the hostile one comes, which ends it."""
    film = long_film(folder, seconds=10)
    with run_program(folder, environment=settings) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        person.save_pipeline("slow", SLOW_PIPELINE)
        for number in range(2):
            assert person.upload(f"{number}.mp4", film, "video-complete") is not None
        running = "select count(*) from jobs where status = 'processing'"
        wait_until(lambda: _rows(folder, running) == [(2,)], "both innocents run")
        person.upload("hostile.mp4", film, "slow")
        wait_until(lambda: killer.strike(program), "the service is killed")


def _restart_until_all_have_ended(
    folder: Path, settings: dict[str, str], killer: MemoryKiller
) -> int:
    """As a service manager does; how many starts that took."""
    for start in range(1, STARTS):
        with run_program(folder, environment=settings) as program:
            struck: list[bool] = []

            def is_over(program: Program = program, struck: list[bool] = struck) -> bool:
                struck[:] = [killer.strike(program)]
                return struck[0] or _rows(folder, UNENDED) == [(0,)]

            wait_until(is_over, "all jobs have ended, or the service")
            if not struck[0]:
                return start
    raise AssertionError(f"not over after {STARTS} starts: {_rows(folder, 'select * from jobs')}")


@pytest.mark.slow
def test_a_job_that_ends_the_service_is_poison_and_those_beside_it_complete(
    tmp_path: Path,
) -> None:
    killer = MemoryKiller(tmp_path)
    settings = {
        "MEDIACONVERT_TOOLS__FFMPEG": str(killer.ffmpeg),
        "MEDIACONVERT_TOOLS__SANDBOX": "off",
        "MEDIACONVERT_WORKERS__SLOTS": "3",
        "MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.1",
    }
    _begin(tmp_path, settings, killer)
    assert _restart_until_all_have_ended(tmp_path, settings, killer) == 5
    facts = "status, error_code, lone_deaths, worker_deaths from jobs order by id"
    *innocent, hostile = _rows(tmp_path, f"select source_key, {facts}")
    assert [row[:4] for row in innocent] == [
        ("0.mp4", "completed", None, 0),
        ("1.mp4", "completed", None, 0),
    ]
    assert hostile == ("hostile.mp4", "failed", "poison", 3, 5)
    ((error,),) = _rows(tmp_path, "select error from jobs where status = 'failed'")
    assert "3 times in a row while no other job ran in it" in str(error)
    completions = "select job_id from job_history where to_status = 'completed' order by job_id"
    assert _rows(tmp_path, completions) == [(1,), (2,)]
