"""The file system calls of the blob directory: blocking, each made for a worker thread.

Opens nothing through a symbolic link, knows blob ids but no client's names, and turns OSErrors
into the two refusals of the seam. Never imports trio; `directory.py` and its parts call it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mediaconvert.errors import BlobDamaged, StorageFull, Unavailable
from mediaconvert.model import BlobId

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_ID = re.compile(r"[0-9a-f]{32}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What link(2) answers where it cannot work: another file system, one without links, too many.
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})
_CANNOT_SYNC_FOLDER = frozenset({errno.EINVAL, errno.EBADF})  # fsync(2) on a folder, by system


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """OSErrors become StorageFull (disk or quota full) or Unavailable (everything else)."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        # Only the reason: a path would tell clients about this machine.
        raise Unavailable(f"the blob store failed while {doing}: {error.strerror}") from error


def is_blob_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


class Layout:
    """`root/staging/<own>/<id>` while it is written, `root/blobs/<aa>/<id>` once sealed. `<own>`
    is a random name for each process (own_staging.py)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staging = root / "staging"
        self.own = self.staging / secrets.token_hex(8)
        self.blobs = root / "blobs"
        self.fan_out = tuple(self.blobs / f"{n:02x}" for n in range(256))

    def staged(self, blob_id: BlobId) -> Path:
        return self.own / blob_id

    def sealed(self, blob_id: BlobId) -> Path:
        if not is_blob_id(blob_id):
            raise Unavailable(f"blob id {blob_id!r} is not 32 lower-case hex digits")
        return self.blobs / blob_id[:2] / blob_id

    def create(self) -> None:
        """Make all folders, durably. Raises Unavailable where one is not a real folder."""
        with storage_errors("creating its folders"):
            self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            for folder in (self.staging, self.blobs, *self.fan_out):
                with suppress(FileExistsError):
                    folder.mkdir(mode=FOLDER_MODE)
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise Unavailable(f"'{folder}' in the blob store is not a folder; remove it")
            for folder in (self.blobs, self.root, self.root.parent):
                sync_folder(folder)


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems have no such thing for folders; the server's is the word.
        if error.errno not in _CANNOT_SYNC_FOLDER:
            raise
    finally:
        os.close(fd)


def create_file(path: Path) -> int:
    """A new file for writing; it must not exist."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, FILE_MODE)


def open_blob(layout: Layout, blob_id: BlobId, needed_bytes: int) -> int:
    """A sealed blob for reading. Raises BlobDamaged where it is missing or shorter than needed,
    Unavailable where the store itself is not there (a file system that is not mounted)."""
    path = layout.sealed(blob_id)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise Unavailable(f"the blob store's folder '{path.parent}' is missing") from None
        raise BlobDamaged(blob_id, "it is missing from the blob store", is_missing=True) from None
    size = os.fstat(fd).st_size
    if size < needed_bytes:
        os.close(fd)
        raise BlobDamaged(blob_id, f"it has {size} of the {needed_bytes} bytes that it should")
    return fd


def write_all(fd: int, pieces: list[bytes | memoryview]) -> None:
    """All of the pieces with as few calls as the system allows."""
    waiting = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    while waiting:
        written = os.writev(fd, waiting[:256])  # IOV_MAX is 1024 on Linux
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


def start_writeback(fd: int, offset: int, size: int) -> None:
    """Have the kernel begin to write these bytes to the disk, so that the fsync at the end
    finds little left to wait for. A hint: never fails, and makes nothing durable."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, size, 2)  # SYNC_FILE_RANGE_WRITE, sync_file_range(2)


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found


_sync_file_range = _find_sync_file_range()


def publish(layout: Layout, blob_id: BlobId, fd: int) -> None:
    """Seal a staged file: bytes durable, then the name, then the folders that hold the name.

    Where it fails, neither name stays."""
    sealed = layout.sealed(blob_id)
    os.fsync(fd)
    layout.staged(blob_id).rename(sealed)
    try:
        sync_folder(sealed.parent)
        sync_folder(layout.own)
    except OSError:
        sealed.unlink(missing_ok=True)
        raise


def link_in(layout: Layout, blob_id: BlobId, path: Path) -> bool:
    """Make a finished file a sealed blob by a hard link; False where it cannot be linked."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "what was to be stored is not a regular file")
        sealed = layout.sealed(blob_id)
        if not try_link(path, sealed):
            return False
        try:
            if not os.path.samestat(found, sealed.lstat()):
                raise OSError(errno.ESTALE, "the file was exchanged while it was stored")
            os.fchmod(fd, FILE_MODE)
            os.utime(fd)  # the sweep of orphans goes by age in the store
            os.fsync(fd)
            sync_folder(sealed.parent)
        except OSError:
            sealed.unlink(missing_ok=True)
            raise
        return True
    finally:
        os.close(fd)


def try_link(source: Path, target: Path) -> bool:
    """A hard link at `target`, or False where these two places cannot share one."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def present(layout: Layout) -> float:
    """The time that a file written now would bear (epoch): by the file system's own clock, which
    is the file server's where nodes share a folder, whatever this machine's is set to."""
    os.utime(layout.staging)
    return layout.staging.stat().st_mtime


def names_older_than(folder: Path, moment: float) -> list[str]:
    """Names of regular files in `folder` that were last written before `moment` (epoch)."""
    old = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mtime < moment:
                    old.append(entry.name)
    return old


def free_bytes(root: Path) -> int:
    room = os.statvfs(root)
    return room.f_bavail * room.f_frsize
