"""Several processes on one data directory: the tools of one outlive the coming and going of
others."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from mediaconvert.errors import InfrastructureFailure, ToolCrashed
from mediaconvert.media import Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import Toolbox, open_toolbox
from tests.program import PHOTO, command_line, descendants
from tests.recovery.worker_rig import until


def _kill_image_servers() -> int:
    """Those of this process; the programs in the sandbox, not the sandbox around them."""
    pids = [p for p in descendants(os.getpid()) if "image_server" in command_line(p)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


async def _reads_pictures(toolbox: Toolbox) -> bool:
    try:
        return (await toolbox.probe(PHOTO, Limits())).width is not None
    except (ToolCrashed, InfrastructureFailure):
        return False  # it is not up again yet


async def test_a_toolbox_that_comes_and_goes_takes_nothing_from_its_neighbour(
    tmp_path: Path,
) -> None:
    scratch = tmp_path / "tools"
    async with open_toolbox(ToolSettings(), slots=1, scratch=scratch) as first:
        await first.probe(PHOTO, Limits())
        held = set(scratch.rglob("*"))
        assert held
        async with open_toolbox(ToolSettings(), slots=1, scratch=scratch) as second:
            await second.probe(PHOTO, Limits())
            assert held < set(scratch.rglob("*"))
        assert set(scratch.rglob("*")) == held
        # Started again, the image server finds its packages in that folder.
        assert _kill_image_servers()
        await until(lambda: _reads_pictures(first))
    assert list(scratch.iterdir()) == []


async def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "tools" / "0123456789abcdef"
    left.mkdir(parents=True)
    (left / "mediaconvert").symlink_to("/nowhere")
    async with open_toolbox(ToolSettings(), slots=1, scratch=tmp_path / "tools"):
        assert not left.exists()
