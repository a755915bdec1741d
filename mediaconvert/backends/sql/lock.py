"""One process a data directory: the lock that an embedded catalog lives under.

Held by `open_backends` from before the catalog is opened until after it is closed. The kernel
drops it when the process dies, however it dies. Never used with a shared database.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediaconvert.errors import StartupError


@contextmanager
def hold_lock(data_dir: Path) -> Iterator[None]:
    """Hold `<data_dir>/catalog.lock`. Raises StartupError where another process does, with
    its pid, or where the folder cannot be written to."""
    path = data_dir / "catalog.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(
            f"the data directory {data_dir} cannot be used: {error.strerror}; "
            "give a folder that this user may write to with --data-dir"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(_taken(data_dir, descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        # Closing drops the lock. The file stays: deleting it would let two processes hold
        # locks on two files of one name.
        os.close(descriptor)


def _taken(data_dir: Path, descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return (
        f"another mediaconvert (pid {pid or 'unknown'}) is using the data directory {data_dir}; "
        "stop it first or give this one another folder with --data-dir"
    )
