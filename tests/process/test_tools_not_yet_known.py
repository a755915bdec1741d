"""What could not be found out about the tools at first is not kept for good."""

from __future__ import annotations

import gc
import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.builds import Builds
from mediaconvert.tools.imaging import ImageServer
from mediaconvert.tools.launch import Launcher, SandboxState
from mediaconvert.tools.locate import find_tools, image_server_command, library_closure
from mediaconvert.tools.process import Starter
from mediaconvert.tools.sandbox import SandboxKind


@contextmanager
def one_descriptor_left() -> Iterator[None]:
    """A file can be opened, a pipe to a child cannot."""
    # What earlier tests left for the collector would be closed meanwhile, and be free then.
    gc.collect()
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


def make_images(scratch: Path) -> tuple[Starter, ImageServer]:
    """Neither is started."""
    own = image_server_command()
    starter = Starter(own)
    launcher = Launcher(starter, SandboxKind.NONE, None)
    return starter, ImageServer(launcher, own, ToolSettings(), 1, scratch)


STATE = SandboxState(SandboxKind.NONE, "")


async def test_a_version_that_could_not_be_asked_for_is_asked_for_again(tmp_path: Path) -> None:
    _, images = make_images(tmp_path)
    builds = Builds(find_tools(ToolSettings()), STATE, images, partial_seconds=0.0)
    with one_descriptor_left():
        assert not {t.name: t for t in await builds.describe(0.01)}["ffprobe"].is_usable
    assert {t.name: t for t in await builds.describe()}["ffprobe"].is_usable


async def test_an_image_server_that_came_late_is_told_of_as_soon_as_it_is_there(
    tmp_path: Path,
) -> None:
    starter, images = make_images(tmp_path)
    builds = Builds(find_tools(ToolSettings()), STATE, images, partial_seconds=math.inf)
    assert not {t.name: t for t in await builds.describe(0.01)}["libvips"].is_usable
    async with trio.open_nursery() as nursery:
        nursery.start_soon(starter.keep)
        nursery.start_soon(images.keep)
        await images.versions()
        assert {t.name: t for t in await builds.describe()}["libvips"].is_usable
        nursery.cancel_scope.cancel()
