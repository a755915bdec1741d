"""One running program for the tests of this folder; each test is a new user of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import Person, Program, run_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("service")
    environment = {
        # Two jobs at once, on whatever machine: tests count on one that has to wait.
        "MEDIACONVERT_WORKERS__SLOTS": "2",
        # A machine that pauses for longer than the usual 15 s would add a line to histories.
        "MEDIACONVERT_WORKERS__LEASE_SECONDS": "600",
    }
    with run_program(folder, environment=environment) as program:
        yield program


@pytest.fixture
def person(program: Program) -> Person:
    return Person(program.url)


@pytest.fixture
def stranger(program: Program) -> Person:
    return Person(program.url)
