"""What is found out about the tools while the machine refuses descriptors is not kept."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.media import Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.locate import library_closure
from mediaconvert.tools.toolbox import open_toolbox
from tests.program import PHOTO


@contextmanager
def one_descriptor_left() -> Iterator[None]:
    """A file can be opened, a pipe to a child cannot."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_libraries_that_cannot_be_asked_for_are_not_taken_for_none(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_bytes(Path(sys.executable).resolve().read_bytes())
    with one_descriptor_left(), pytest.raises(InfrastructureFailure, match="cannot be started"):
        library_closure(program)
    assert any(library.name.startswith("libc.so") for library in library_closure(program))


async def test_a_version_that_could_not_be_asked_for_is_asked_for_again() -> None:
    async with open_toolbox(ToolSettings(), slots=1) as toolbox:
        await toolbox.probe(PHOTO, Limits())  # the image server runs
        with one_descriptor_left():
            assert not {t.name: t for t in await toolbox.describe()}["ffprobe"].is_usable
        assert {t.name: t for t in await toolbox.describe()}["ffprobe"].is_usable
