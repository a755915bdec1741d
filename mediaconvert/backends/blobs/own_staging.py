"""The folder in which one process stages its blobs, and the sweep of those of dead processes.

A process stages in `staging/<random>/` and holds a lock on `staging/<random>.lock` as long as
it lives. The kernel drops the lock with the process, however it dies. The lock is on a file, not
on the folder: NFS passes locks on files to its server, but keeps those on folders to one
machine. Blocking; called by `directory.py` in threads. Raises OSError.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

from mediaconvert.backends.blobs import files
from mediaconvert.model import BlobId

log = logging.getLogger("mediaconvert.backends.blobs")

QUIET_SECONDS = 300.0
"""A folder on shared storage is swept only when its owner has not touched its lock file for this
long. Owners touch it at each sweep (workers/janitor.py: every two minutes). This protects the
folders of living processes on file systems whose locks do not reach other machines."""
UNLOCKED_SECONDS = 86_400.0
"""The same, for what no lock tells us about: file systems without locks, and files in
`staging/` itself, where earlier versions staged: one of them may still run beside this one."""

LOCK_SUFFIX = ".lock"
_NO_LOCKS = frozenset(
    {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM}
)


class OwnStaging:
    """This process's folder. Usable from several threads."""

    def __init__(self, layout: files.Layout) -> None:
        self._layout = layout
        self._path = layout.own.with_name(layout.own.name + LOCK_SUFFIX)
        self._turn = threading.Lock()
        self._fd = -1

    def claim(self) -> None:
        """Make the folder and take its lock, as far as that has not been done."""
        with self._turn:
            if self._fd < 0:
                self._fd = _lock(self._path)
            with suppress(FileExistsError):
                self._layout.own.mkdir(mode=files.FOLDER_MODE)

    def create_file(self, blob_id: BlobId) -> int:
        """A new staged file, for writing."""
        try:
            return files.create_file(self._layout.staged(blob_id))
        except FileNotFoundError:
            # A disk that was full at the start, or the folder was removed.
            self.claim()
            return files.create_file(self._layout.staged(blob_id))

    def release(self) -> None:
        with self._turn:
            fd, self._fd = self._fd, -1
            shutil.rmtree(self._layout.own, ignore_errors=True)
            if fd >= 0:
                self._path.unlink(missing_ok=True)
                os.close(fd)

    def sweep(self, *, is_alone: bool) -> int:
        """Remove what dead processes staged; returns the number of files. With `is_alone` no
        other process uses the store, so everything that is not ours is removed."""
        self._touch()
        now = files.present(self._layout)
        swept = 0
        with os.scandir(self._layout.staging) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            path = self._layout.staging / name
            if name.removesuffix(LOCK_SUFFIX) == self._layout.own.name:
                continue
            try:
                if is_alone:
                    swept += _remove(path)
                elif name.endswith(LOCK_SUFFIX):
                    swept += _sweep_dead(path, now)
                elif name + LOCK_SUFFIX not in names:
                    swept += _sweep_unlocked(path, now)
            except OSError as error:
                # One that belongs to another user must not keep all the others.
                fields = {"name": name, "reason": error.strerror}
                log.warning("unfinished upload cannot be removed", extra={"fields": fields})
        return swept

    def _touch(self) -> None:
        with self._turn:
            if self._fd >= 0:
                os.utime(self._fd)


def _lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, files.FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(fd)
            raise
        log.warning(
            "the file system of the blob folder has no locks (%s): what a killed process leaves "
            "of unfinished uploads is removed after a day",
            error.strerror,
        )
    return fd


def _sweep_dead(lock_path: Path, now: float) -> int:
    """Remove a folder and its lock file if its owner is dead."""
    try:
        fd = os.open(lock_path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # another process has swept it
        return 0
    try:
        quiet_seconds = now - os.fstat(fd).st_mtime
        if quiet_seconds < QUIET_SECONDS:
            return 0
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS or quiet_seconds < UNLOCKED_SECONDS:
                return 0
        swept = _remove(lock_path.with_name(lock_path.name.removesuffix(LOCK_SUFFIX)))
        lock_path.unlink(missing_ok=True)
        return swept
    finally:
        os.close(fd)


def _sweep_unlocked(path: Path, now: float) -> int:
    try:
        if now - path.lstat().st_mtime < UNLOCKED_SECONDS:
            return 0
    except FileNotFoundError:
        return 0
    return _remove(path)


def _remove(path: Path) -> int:
    """The number of staged files that went with it."""
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            path.unlink()
            return 0 if path.name.endswith(LOCK_SUFFIX) else 1
        count = sum(1 for _ in path.iterdir())
        shutil.rmtree(path)
        return count
    except FileNotFoundError:
        return 0
