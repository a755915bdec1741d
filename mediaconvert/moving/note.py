"""The note that a finished move leaves in its own folder of the source, beside what is moved.

A source may start again: a move may have been a rehearsal. `serve` and `doctor` read the note
there and say what has become of it. Holds no secret.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.settings import Settings

_FILE = "move/completed.json"


@dataclass(frozen=True, slots=True)
class MoveNote:
    """When a move of this installation was completed, and to where."""

    path: Path
    moved_at: str
    """`2026-03-01 12:00 UTC`."""
    to: str
    """`the database db.internal:5432/mediaconvert and the bucket 'media' of https://s3.internal`"""

    @property
    def sentence(self) -> str:
        return (
            f"this installation was moved to {self.to} on {self.moved_at}; what is stored here "
            "from now on does not reach it"
        )

    @property
    def remedy(self) -> str:
        return f"to go on here without this warning delete {self.path}"


def leave_note(source: Settings, target: Settings) -> MoveNote:
    """Replaces that of an earlier move. Raises OSError."""
    path = source.server.data_dir / _FILE
    moved_at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    note = MoveNote(path, moved_at, _place(target))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    staged = path.with_suffix(".new")
    staged.write_text(
        json.dumps({"moved_at": note.moved_at, "to": note.to}) + "\n", encoding="utf-8"
    )
    staged.replace(path)
    return note


def find_note(data_dir: Path) -> MoveNote | None:
    """None where nothing was moved from here, or somebody has deleted or garbled the note."""
    path = data_dir / _FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return MoveNote(path, str(found["moved_at"]), str(found["to"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place(target: Settings) -> str:
    """For people. An endpoint has no password in it, and of the database's URI it is left out."""
    url, storage = target.database.url, target.storage
    catalog = f"the database {parse_postgres_uri(url).shown}" if url else ""
    blobs = f"the bucket '{storage.s3_bucket}' of {storage.s3_endpoint}"
    places = [catalog or f"the folder {target.server.data_dir.resolve()}"]
    if storage.s3_endpoint:
        places.append(blobs)
    return " and ".join(places)
