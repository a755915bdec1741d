"""One running program for the tests of this folder; each test is a new user of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import Person, Program, run_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("service")
    with run_program(folder) as program:
        yield program


@pytest.fixture
def person(program: Program) -> Person:
    return Person(program.url)


@pytest.fixture
def stranger(program: Program) -> Person:
    return Person(program.url)
