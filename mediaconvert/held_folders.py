"""Folders that belong to one living process: made, held by a kernel lock, removed, swept.

Several processes may keep theirs side by side below one parent. The lock is on the folder
itself, so a sweep takes only those whose owner is dead, whatever killed it; nothing is written
down that could be out of date. Blocks: called in threads, by workspaces and the toolbox.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("mediaconvert.folders")

_RANDOM_BYTES = 8


def make_held_folder(root: Path) -> int:
    """Make `root` (0700) anew and hold it until the descriptor is closed, or the process dies.
    Its name must be random, or the owner's alone: what lies there already is taken for a dead
    owner's. Raises OSError."""
    root.parent.mkdir(0o700, parents=True, exist_ok=True)
    while True:
        remove_tree(root)
        root.mkdir(0o700)
        lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process's sweep may have taken the folder between mkdir and flock.
            if root.exists() and root.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        except BlockingIOError:
            pass
        os.close(lock)


def random_name(prefix: str = "") -> str:
    """A name for `make_held_folder` that `sweep_folders` recognizes by its prefix."""
    return f"{prefix}{secrets.token_hex(_RANDOM_BYTES)}"


def tools_folder(data_dir: Path) -> Path:
    """Where the tools of all processes that share the data directory have their folders."""
    return data_dir / "tools"


def sweep_folders(parent: Path, prefix: str | None = None) -> int:
    """Remove the folders below `parent` whose owner is dead; answers how many. Without `prefix`
    all folders below `parent` must be ours; with it only those that `random_name(prefix)` may
    have named are, for users have folders there too. Other users' folders are left alone."""
    name = re.compile(f"{re.escape(prefix or '')}[0-9a-f]{{{2 * _RANDOM_BYTES}}}")
    swept = 0
    if not parent.is_dir():
        return 0
    for folder in parent.iterdir():
        if prefix is not None and not name.fullmatch(folder.name):
            continue
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid != os.geteuid():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(folder)
            swept += 1
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return swept


def remove_tree(root: Path) -> None:
    """Delete a folder in which a hostile child may have taken rights away; what resists is
    left, and named in the log. Raises nothing: a job does not fail for what it leaves behind."""
    try:
        shutil.rmtree(root)
    except FileNotFoundError:
        return
    except OSError:
        for folder, names, _ in os.walk(root, topdown=True, followlinks=False):
            for name in names:
                inner = Path(folder, name)
                # Never through a link: what it points at is not ours to open up.
                with suppress(OSError):
                    if not inner.is_symlink():
                        inner.chmod(0o700)
        shutil.rmtree(root, ignore_errors=True)
        if os.path.lexists(root):
            log.warning("could not remove a folder", extra={"fields": {"folder": str(root)}})
