"""Numbered schema changes: `0001_name.<dialect>.sql`, applied in order, each once.

Reads and splits the files; the driver applies them, each in a transaction of its own with the
row that says so. A file that has been part of a release is never changed afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from mediaconvert.errors import StartupError

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.(?P<dialect>[a-z]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    """1 for the first. A dialect has no migration of a number that only the other needs."""
    name: str
    statements: tuple[str, ...]


def load_migrations(folder: Traversable, dialect: str) -> tuple[Migration, ...]:
    """All of a dialect's, by version."""
    found: list[Migration] = []
    for file in folder.iterdir():
        match = _FILE.fullmatch(file.name)
        if match is not None and match["dialect"] == dialect:
            statements = _statements(file.read_text(encoding="utf-8"))
            found.append(Migration(int(match["version"]), match["name"], statements))
    return tuple(sorted(found, key=lambda migration: migration.version))


def pending(migrations: Sequence[Migration], applied: int, where: str) -> Sequence[Migration]:
    """Those after version `applied`. Raises StartupError for a schema newer than the program."""
    newest = migrations[-1].version
    if applied > newest:
        raise StartupError(
            f"{where} has schema version {applied}, this program knows only up to {newest}; "
            "run the newer program that wrote it"
        )
    return [migration for migration in migrations if migration.version > applied]


def _statements(text: str) -> tuple[str, ...]:
    # A statement ends with a semicolon at the end of its line; comments have lines of their own.
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return tuple(part.strip() for part in re.split(r";\s*(?:\n|$)", code) if part.strip())
