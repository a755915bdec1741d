"""What a sweep removes of a folder in which users keep folders of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mediaconvert.cli.pipelines import _work_folder
from mediaconvert.tools.toolbox import _scratch

DEAD = "0123456789abcdef"
USERS = ("", "notes", f"{DEAD}-copy", f"old-{DEAD}", DEAD.upper(), DEAD[1:], f"{DEAD}\n")


@pytest.mark.parametrize(
    ("open_folder", "prefix"),
    [
        (lambda _: _scratch(None), "mediaconvert-tools-"),
        (_work_folder, ".mediaconvert-"),
    ],
    ids=["tools", "pipeline run"],
)
def test_folders_of_users_stay(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_folder: Callable[[Path], AbstractContextManager[Path]],
    prefix: str,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    users = {f"{prefix}{name}" for name in USERS}
    for name in (*users, f"{prefix}{DEAD}"):
        (tmp_path / name).mkdir()
    with open_folder(tmp_path) as folder:
        assert {path.name for path in tmp_path.iterdir()} == users | {folder.name}
    assert {path.name for path in tmp_path.iterdir()} == users
