"""The schema of an installation's databases: how far it is, and bringing it up to date.

For `mediaconvert migrate`; `open_backends` brings it up to date by itself. An embedded
installation has two files, one on PostgreSQL has one database.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from mediaconvert.backends.analytics.sqlite import open_analytics_driver
from mediaconvert.backends.sql.catalog import open_sqlite_driver
from mediaconvert.backends.sql.lock import hold_lock
from mediaconvert.backends.sql.migrations import Migration, load_migrations, pending
from mediaconvert.errors import StartupError
from mediaconvert.settings import Settings

_SQL = files("mediaconvert.backends.sql") / "migrations"
_ANALYTICS = files("mediaconvert.backends.analytics") / "migrations"


@dataclass(frozen=True, slots=True)
class Schema:
    """How far one database is."""

    where: str
    """`the database data/catalog.db`."""
    version: int
    """0 where there is nothing yet."""
    waiting: tuple[str, ...]
    """The migrations that are not applied, by number and name."""


async def look_at_schemas(settings: Settings) -> tuple[Schema, ...]:
    """Each database's state; nothing is changed, and nothing made. Raises StartupError where
    one cannot be opened, or is newer than the program, and where no embedded one is."""
    if settings.database.url:
        return (await _on_postgres(settings.database.url, only_look=True),)
    _find_installation(settings.server.data_dir)
    return tuple(
        _schema(f"the database {path}", _version_of_file(path), load_migrations(folder, "sqlite"))
        for path, folder in (
            (settings.server.data_dir / "catalog.db", _SQL),
            (settings.server.data_dir / "analytics.db", _ANALYTICS),
        )
    )


async def migrate_schemas(settings: Settings) -> tuple[Schema, ...]:
    """Bring each database up to date, and answer what it was before. Raises StartupError, also
    where a process is running on the embedded files, or there are none."""
    if settings.database.url:
        return (await _on_postgres(settings.database.url, only_look=False),)
    data = settings.server.data_dir
    _find_installation(data)
    with hold_lock(data):
        before = await look_at_schemas(settings)
        async with open_sqlite_driver(data / "catalog.db"):
            pass
        async with open_analytics_driver(data / "analytics.db"):
            pass
    return before


def _find_installation(data_dir: Path) -> None:
    """An embedded one is made by its first start alone, and not by a folder that was mistyped."""
    try:
        is_there = (data_dir / "catalog.db").is_file()
    except OSError as error:
        raise StartupError(f"the folder {data_dir} cannot be read: {error.strerror}") from error
    if not is_there:
        raise StartupError(
            f"there is no installation in {data_dir} (no catalog.db); name the folder of the one "
            "that is meant with --data-dir (a new one is made by `mediaconvert serve`)"
        )


async def _on_postgres(url: str, *, only_look: bool) -> Schema:
    from mediaconvert.backends.sql.postgres import visit_postgres
    from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri

    address = parse_postgres_uri(url)
    migrations = load_migrations(_SQL, "postgres")
    version = await visit_postgres(address, migrations, only_look=only_look)
    return _schema(f"the database {address.shown}", version, migrations)


def _schema(where: str, version: int, migrations: Sequence[Migration]) -> Schema:
    waiting = pending(migrations, version, where)
    return Schema(where, version, tuple(f"{each.version:04}_{each.name}" for each in waiting))


def _version_of_file(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        uri = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            with contextlib.suppress(sqlite3.OperationalError):  # no such table
                query = "select coalesce(max(version), 0) from schema_migrations"
                return int(connection.execute(query).fetchone()[0])
            connection.execute("select count(*) from sqlite_master")
            return 0
    except sqlite3.Error as error:
        raise StartupError(f"the database {path} cannot be read: {error}") from error
