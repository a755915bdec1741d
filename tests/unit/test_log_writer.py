"""Log lines reach their reader; a bad one costs lines, which are counted, and nothing else."""

from __future__ import annotations

import fcntl
import logging
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediaconvert import logs
from mediaconvert.log_writer import LogWriter
from tests.program import WAIT_SECONDS, wait_until


def note(lines: int) -> str:
    return f"lost {lines}"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """(read, write) of the smallest pipe: one page."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield read, write
    finally:
        os.close(write)
        os.close(read)


def read_lines(read: int, count: int) -> list[str]:
    """The next lines."""
    content = b""
    waiting = select.poll()
    waiting.register(read, select.POLLIN)
    while content.count(b"\n") < count:
        assert waiting.poll(WAIT_SECONDS * 1000), content
        content += os.read(read, 1 << 16)
    return content.decode().splitlines()


def test_lines_arrive_in_order() -> None:
    with pipe() as (read, write):
        writer = LogWriter(write, note)
        for number in range(100):
            writer.put(str(number))
        assert read_lines(read, 100) == [str(number) for number in range(100)]
        assert writer.lost_lines == 0


def test_a_reader_that_stops_blocks_nobody_and_costs_only_what_does_not_fit() -> None:
    with pipe() as (read, write):
        writer = LogWriter(write, note, max_waiting_bytes=100_000)
        for number in range(3000):
            writer.put(f"{number:099}")
        writer.flush(0.01)  # not for ever
        lost = writer.lost_lines
        assert 1900 <= lost <= 2000
        seen = read_lines(read, 3000 - lost + 1)
        seen.remove(f"lost {lost}")
        assert [int(line) for line in seen] == list(range(3000 - lost))


def test_failed_writes_are_counted_and_told_when_it_works_again() -> None:
    with pipe() as (read, write), Path("/dev/full").open("wb") as full:
        number = os.dup(full.fileno())
        writer = LogWriter(number, note)
        writer.put("first")
        writer.put("second")
        wait_until(lambda: writer.lost_lines == 2, "the losses are counted")
        os.dup2(write, number)
        writer.put("third")
        assert read_lines(read, 2) == ["third", "lost 2"]
        writer.flush(WAIT_SECONDS)
        os.close(number)


def test_a_log_call_with_wrong_arguments_costs_its_text_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    handler = logs._Handler()
    record = logging.LogRecord("mediaconvert.x", logging.INFO, "", 0, "%d jobs", ("no",), None)
    handler.handle(record)
    logs.flush()
    shown = capfd.readouterr().err
    assert "%d jobs" in shown and "cannot be formatted" in shown
    assert "Traceback" not in shown
