"""The service has no file descriptor left: nothing ends, and all goes on when there are some."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.program import PHOTO, Person, Program, run_program, wait_until

QUICKLY = {"MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.2"}


def test_the_service_takes_as_many_descriptors_as_it_may(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -Sn 200; ulimit -Hn 3000; exec "$@"', "sh"]
    with run_program(tmp_path, wrapper=limited) as program:
        limits = Path(f"/proc/{program.process.pid}/limits").read_text()
        assert limits.partition("Max open files")[2].split()[:2] == ["3000", "3000"]


def test_jobs_and_helpers_outlive_the_lack_of_descriptors(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh"]
    with run_program(tmp_path, environment=QUICKLY, wrapper=limited, expect_errors=True) as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        jobs = [person.upload(f"{n}.jpg", PHOTO, "image-resize") for n in range(6)]
        host, port = program.url.removeprefix("http://").split(":")
        with ExitStack() as connections:
            for _ in range(100):
                connections.enter_context(socket.create_connection((host, int(port))))
            wait_until(lambda: "EMFILE" in str(list(program.log)), "the descriptors are used up")
            for pid in program.children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            program.wait_for_log("the process that starts tools ended; starting it again")
            wait_until(lambda: _complaints(program) > 0, "a helper cannot be started")
        for job_id in jobs:
            assert job_id is not None
            job = person.wait_for_job(job_id)
            assert job["error_code"] != "internal_error", job
        last = person.upload("last.jpg", PHOTO, "image-resize")
        assert last is not None
        assert person.wait_for_job(last)["status"] == "completed"


def _complaints(program: Program) -> int:
    return sum("cannot be started" in str(line["message"]) for line in list(program.log))
