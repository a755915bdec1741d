"""Starts in odd surroundings: the service runs, or gives its reason on a stream that is open."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.program import (
    PHOTO,
    ROOT,
    WAIT_SECONDS,
    Person,
    clean_environment,
    wait_until,
)
from tests.servers.process import accepts, free_port

TOKEN = "scrape"
SERVE = (sys.executable, "-m", "mediaconvert.cli.main", "serve")


@contextlib.contextmanager
def started(
    folder: Path, how: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The program, executed by a shell as `how` says, and its address."""
    port = free_port()
    process = subprocess.Popen(
        [
            *("bash", "-c", f'{how} "$@"', "bash", *SERVE),
            *("--port", str(port), "--data-dir", str(folder / "data")),
        ],
        cwd=folder,
        env=clean_environment(
            PYTHONPATH=str(ROOT), MEDIACONVERT_SERVER__METRICS_TOKEN=TOKEN, **environment
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: accepts(port) or process.poll() is not None, "it listens, or ends")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def check_that_it_works(url: str) -> None:
    ready = httpx.get(f"{url}/ready", timeout=WAIT_SECONDS)
    assert ready.status_code == 200, ready.text
    person = Person(url)
    person.save_pipeline("image-resize")
    job_id = person.upload("p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    assert person.wait_for_job(job_id)["status"] == "completed"


def lost_lines(url: str) -> float:
    text = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    line = next(each for each in text.splitlines() if each.startswith("mediaconvert_log_lines"))
    return float(line.split()[1])


@pytest.mark.parametrize(
    "how",
    [
        "exec 2>&-; exec",
        "exec <&- >&- 2>&-; exec",
        "exec >/dev/full 2>/dev/full; exec",
        "exec 2> >(exec true); exec",
        "umask 0777; exec",
        'cd /proc; exec env -i PYTHONPATH="$PYTHONPATH" TMPDIR=/proc LC_ALL=C',
    ],
)
def test_it_runs_and_stops(tmp_path: Path, how: str) -> None:
    with started(tmp_path, how) as (process, url):
        check_that_it_works(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_log_lines_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    with started(tmp_path, "exec 2>/dev/full; exec") as (_, url):
        wait_until(lambda: lost_lines(url) > 0, "the losses are counted")


def test_a_reader_of_the_log_that_stops_does_not_stop_the_service(tmp_path: Path) -> None:
    # Nobody reads the pipe, which holds 64 KiB: about 200 lines.
    with started(tmp_path, "exec") as (process, url), httpx.Client(timeout=30) as client:
        for number in range(500):
            assert client.get(f"{url}/api/{number:0100}").status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize(
    ("how", "stream"),
    [("exec", "stderr"), ("exec 2>&-; exec", "stdout"), ("exec 2>/dev/full; exec", "stdout")],
)
def test_a_refused_start_gives_its_reason_on_a_stream_that_is_open(
    tmp_path: Path, how: str, stream: str
) -> None:
    with started(tmp_path, how, MEDIACONVERT_MASTER_KEY="c2hvcnQ=") as (process, _):
        out, err = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 1
        shown = {"stdout": out, "stderr": err}
        assert b"32 bytes" in shown.pop(stream)
        assert list(shown.values()) == [b""]


def test_too_few_descriptors_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with started(tmp_path, "ulimit -n 40; exec") as (process, _):
        _, err = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 1
        assert err.count(b"\n") == 1 and b"may open 40 files" in err


def test_address_space_that_allows_no_more_threads_still_lets_it_stop(tmp_path: Path) -> None:
    with started(tmp_path, "exec") as (process, url):
        check_that_it_works(url)
        size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        used = size * os.sysconf("SC_PAGE_SIZE")
        resource.prlimit(process.pid, resource.RLIMIT_AS, (used, used))
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) in (0, -signal.SIGALRM)
