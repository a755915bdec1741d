"""Moving whole tables: no table and no column is forgotten when the schema grows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from mediaconvert.backends.sql.catalog import open_sqlite_driver, sql_catalog
from mediaconvert.backends.sql.driver import load_queries
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.backends.sql.transfer import TABLES, CatalogTransfer

SQL = files("mediaconvert.backends.sql")
LEFT_BEHIND = {"login_failures", "meta", "sqlite_sequence", "schema_migrations"}


def test_every_table_and_every_column_of_it_is_moved() -> None:
    queries = load_queries(SQL / "transfer_queries", "sqlite")
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in load_migrations(SQL / "migrations", "sqlite"):
            for statement in migration.statements:
                connection.execute(statement)
        tables = {
            row[0]
            for row in connection.execute("select name from sqlite_master where type = 'table'")
        }
        assert {table.name for table in TABLES} == tables - LEFT_BEHIND
        for table in TABLES:
            columns = [row[1] for row in connection.execute(f"pragma table_info({table.name})")]
            moved = re.search(r"select\s+(.*?)\nfrom ", queries[f"move_{table.name}"], re.S)
            added = re.search(r"\((.*?)\)\s*values", queries[f"add_{table.name}"], re.S)
            assert moved is not None and added is not None
            assert _names(moved[1]) == _names(added[1]) == columns


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


async def test_the_clock_that_deadlines_are_measured_by_is_moved_with_them(
    tmp_path: Path,
) -> None:
    async with (
        open_sqlite_driver(tmp_path / "source.db") as source,
        open_sqlite_driver(tmp_path / "target.db") as target,
    ):
        await sql_catalog(source).housekeeping.set_meta("clock_offset", "-3600000000")
        transfer = CatalogTransfer(source, target)
        state = await transfer.begin("digest of the source", "")
        await transfer.copy_rows(state, lambda _table, _rows: None)
        moved = await sql_catalog(target).housekeeping.find_meta("clock_offset")
    assert moved == "-3600000000"
