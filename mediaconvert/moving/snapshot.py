"""The source of a move: an embedded installation that nobody uses, and a copy of its databases.

Holds the data directory's lock for as long as the move lasts. SQLite is opened on the copy
alone: to look into a database would already change files of the source.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mediaconvert.backends.sql.lock import hold_lock
from mediaconvert.errors import StartupError

_SUFFIXES = ("", "-wal")
"""A database and the log of what a killed process had committed; SQLite makes the rest anew."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    catalog: Path
    analytics: Path | None
    """None where the installation never had any."""
    digest: str
    """Of the catalog's bytes: the same one means that nothing was changed meanwhile."""


@contextmanager
def take_snapshot(data_dir: Path, folder: Path) -> Iterator[Snapshot]:
    """Copy the databases below `data_dir` into `folder`, which is emptied of an earlier try.
    Blocks on files. Raises StartupError where there is no installation, it is in use, or the
    copy has no room."""
    source = data_dir / "catalog.db"
    if not source.is_file():
        raise StartupError(
            f"there is no installation in {data_dir} (no catalog.db); name the folder of the "
            "one to be moved with --data-dir"
        )
    with hold_lock(data_dir):
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
            digest = _copy(source, folder / "catalog.db")
            analytics = folder / "analytics.db"
            if (data_dir / "analytics.db").is_file():
                _copy(data_dir / "analytics.db", analytics)
        except OSError as error:
            raise StartupError(
                f"the databases of {data_dir} cannot be copied to {folder}: {error.strerror}; "
                "make room there or set server.data_dir of the target to a larger disk"
            ) from error
        try:
            yield Snapshot(folder / "catalog.db", analytics if analytics.exists() else None, digest)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> str:
    """The file with its log; the SHA-256 of both."""
    digest = hashlib.sha256()
    for suffix in _SUFFIXES:
        path = source.with_name(source.name + suffix)
        if not path.exists():
            continue
        with path.open("rb") as reader, target.with_name(target.name + suffix).open("xb") as writer:
            os.fchmod(writer.fileno(), 0o600)
            while piece := reader.read(1 << 20):
                digest.update(piece)
                writer.write(piece)
        digest.update(suffix.encode() + b"\0")
    return digest.hexdigest()
