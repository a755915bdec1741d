"""The folder of one attempt: private, removed whatever happens, swept when its owner died."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.workers.workspace import open_workspace, surroundings, sweep_workspaces


def names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


async def test_a_workspace_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    async with open_workspace(tmp_path / "work", "7-abc") as workspace:
        assert workspace.root == tmp_path / "work/7-abc"
        assert workspace.root.stat().st_mode & 0o777 == 0o700
        folder = await workspace.step_folder(0)
        (folder / "0.mp4").write_bytes(b"x")
    assert names(tmp_path / "work") == []


async def test_a_cancelled_workspace_is_removed_too(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_workspace(tmp_path, "7-abc") as workspace:
            (workspace.root / "input").write_bytes(b"x")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert names(tmp_path) == []


async def test_a_folder_that_a_child_locked_up_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(0o750)
    async with open_workspace(tmp_path / "work", "7-abc") as workspace:
        folder = await workspace.step_folder(0)
        (folder / "deep").mkdir()
        (folder / "deep/file").write_bytes(b"x")
        (folder / "link").symlink_to(outside)
        (folder / "deep").chmod(0)
        folder.chmod(0)
    assert names(tmp_path / "work") == []
    assert outside.stat().st_mode & 0o777 == 0o750


async def test_the_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    program = (
        "import os, sys, trio\n"
        "from pathlib import Path\n"
        "from mediaconvert.workers.workspace import open_workspace\n"
        "async def main():\n"
        "    async with open_workspace(Path(sys.argv[1]), '8-dead') as workspace:\n"
        "        (workspace.root / 'input').write_bytes(b'x')\n"
        "        os._exit(9)\n"
        "trio.run(main)\n"
    )
    died = await trio.run_process([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert died.returncode == 9
    async with open_workspace(tmp_path, "7-alive") as alive:
        assert names(tmp_path) == ["7-alive", "8-dead"]
        assert await sweep_workspaces(tmp_path) == 1
        assert names(tmp_path) == ["7-alive"]
        assert alive.root.is_dir()


async def test_sweeping_a_folder_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    assert await sweep_workspaces(tmp_path / "work") == 0


def test_a_full_disk_is_an_infrastructure_failure_and_a_bug_is_not() -> None:
    with pytest.raises(InfrastructureFailure, match="disk is full") as full, surroundings():
        # The device that is always full.
        fd = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(fd, b"x")
        finally:
            os.close(fd)
    assert full.value.code == "storage_full"
    with pytest.raises(FileNotFoundError), surroundings():
        Path("/does/not/exist").read_bytes()
