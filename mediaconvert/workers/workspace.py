"""The folder that one attempt at a job works in: made, held, removed, swept.

Lies on the blob store's file system, so that sources and results move by hard link. Its owner
holds a kernel lock on the folder: a sweep takes only folders whose owner is dead, whatever
process or machine restart killed it. Called by the runner, the pool and `pipeline run`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.held_folders import make_held_folder, remove_tree, sweep_folders

REMOVE_SECONDS = 10.0
"""Deadline of the removal; what it leaves is swept at the next start."""

# What the machine did to us, by errno: codes and sentences that promise nothing about a file.
_SURROUNDINGS = {
    errno.ENOSPC: ("storage_full", "the server's disk is full"),
    errno.EDQUOT: ("storage_full", "the server's disk quota is used up"),
    errno.EIO: ("storage_broken", "the server's disk reports an input/output error"),
    errno.EROFS: ("storage_broken", "the server's disk is read only"),
    errno.EMFILE: ("too_many_files", "the server has too many open files"),
    errno.ENFILE: ("too_many_files", "the server has too many open files"),
    errno.ENOMEM: ("no_memory", "the server has no memory left"),
}


@contextmanager
def surroundings() -> Iterator[None]:
    """Turns what the machine did to us (disk full, broken, too many files) into an
    InfrastructureFailure, which is retried; any other OSError is a bug and passes."""
    try:
        yield
    except OSError as error:
        failure = surroundings_failure(error)
        if failure is None:
            raise
        raise failure from error


def surroundings_failure(error: OSError) -> InfrastructureFailure | None:
    """None for what is rather a bug of ours than the machine's state."""
    found = _SURROUNDINGS.get(error.errno or 0)
    return None if found is None else InfrastructureFailure(*found)


@dataclass(frozen=True, slots=True)
class Workspace:
    """`input` is the source, `steps/<n>/` what step n made, nothing bears a client's name."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    async def step_folder(self, position: int) -> Path:
        """A new empty folder for the outputs of the step at this place in the pipeline."""
        folder = self.root / "steps" / str(position)
        with surroundings():
            await trio.to_thread.run_sync(lambda: folder.mkdir(0o700, parents=True))
        return folder


@asynccontextmanager
async def open_workspace(parent: Path, name: str) -> AsyncIterator[Workspace]:
    """A fresh folder `parent/name` (0700), removed with everything in it on the way out, also
    when cancelled. Raises InfrastructureFailure when the machine does not let us."""
    root = parent / name
    with surroundings():
        # Cancelled after the thread has made it, the folder would be nobody's: so the thread
        # is waited for and its lock is always received.
        lock = await trio.to_thread.run_sync(make_held_folder, root)
    try:
        yield Workspace(root)
    finally:
        try:
            with trio.move_on_after(REMOVE_SECONDS, shield=True):
                await trio.to_thread.run_sync(remove_tree, root, abandon_on_cancel=True)
        finally:
            os.close(lock)


async def sweep_workspaces(parent: Path) -> int:
    """Remove the folders of attempts whose process has died; answers how many."""
    return await trio.to_thread.run_sync(sweep_folders, parent)
