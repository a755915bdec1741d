"""How files of named SQL are read."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from mediaconvert.backends.sql.driver import QueryError, load_queries
from mediaconvert.backends.sql.migrations import load_migrations, pending
from mediaconvert.backends.sql.transfer import TABLES
from mediaconvert.errors import StartupError

SQL = files("mediaconvert.backends.sql")
ANALYTICS = files("mediaconvert.backends.analytics")


def test_a_dialects_override_wins_and_other_dialects_blocks_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- Some things.\n\n-- name: one\n-- Why.\nselect $1;\n\n"
        "-- name: two\nselect 2;\n-- name: two [sqlite]\nselect 22;\n"
        "-- name: three [postgres]\nselect 3;\n"
    )
    assert load_queries(tmp_path, "sqlite") == {"one": "-- Why.\nselect ?1;", "two": "select 22;"}
    assert load_queries(tmp_path, "postgres") == {
        "one": "-- Why.\nselect $1;",
        "two": "select 2;",
        "three": "select 3;",
    }


def test_parameters_keep_their_numbers_whatever_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- name: one\nselect $12, $2, $1, $2;\n")
    assert load_queries(tmp_path, "sqlite")["one"] == "select ?12, ?2, ?1, ?2;"


def test_a_name_may_be_used_once(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- name: one\nselect 1;\n")
    (tmp_path / "b.sql").write_text("-- name: one\nselect 2;\n")
    with pytest.raises(QueryError, match=r"b\.sql: the query 'one' exists already"):
        load_queries(tmp_path, "sqlite")


def test_row_locks_are_left_out_for_sqlite(tmp_path: Path) -> None:
    text = "with p as (select 1 for update skip locked) select 2 for update of j;"
    (tmp_path / "a.sql").write_text(f"-- name: a\n{text}\n")
    assert load_queries(tmp_path, "postgres")["a"] == text
    assert load_queries(tmp_path, "sqlite")["a"] == "with p as (select 1) select 2;"


def test_sql_without_a_name_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("select 1;\n")
    with pytest.raises(QueryError, match="before the first"):
        load_queries(tmp_path, "sqlite")


def test_migrations_are_ordered_split_and_of_one_dialect(tmp_path: Path) -> None:
    (tmp_path / "0002_more.sqlite.sql").write_text("-- a; b\ncreate table b (\n  x integer\n);\n")
    (tmp_path / "0001_first.sqlite.sql").write_text("create table a (x);\n\ncreate table c (y);")
    (tmp_path / "0001_first.postgres.sql").write_text("create table p ();")
    first, second = load_migrations(tmp_path, "sqlite")
    assert (first.version, first.name) == (1, "first")
    assert first.statements == ("create table a (x)", "create table c (y)")
    assert second.statements == ("create table b (\n  x integer\n)",)
    assert pending([first, second], 1, "it") == [second]
    with pytest.raises(StartupError, match="it has schema version 3, this program knows only"):
        pending([first, second], 3, "it")


def test_the_programs_migrations_have_no_gaps() -> None:
    """A number is one change in every dialect; one that has nothing to change leaves it out."""
    for package in (SQL, ANALYTICS):
        numbers = {
            each.version
            for dialect in ("sqlite", "postgres")
            for each in load_migrations(package / "migrations", dialect)
        }
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_every_named_query_is_used_and_every_used_one_exists() -> None:
    for package, names in (
        (
            SQL,
            set(
                load_queries(SQL / "queries", "sqlite")
                | load_queries(SQL / "transfer_queries", "sqlite")
            ),
        ),
        (ANALYTICS, set(load_queries(ANALYTICS / "queries", "sqlite"))),
    ):
        text = "\n".join(
            file.read_text() for file in package.iterdir() if file.name.endswith(".py")
        )
        called = set(re.findall(r'conn\.fetch(?:_row|_one)?\(\s*"(\w+)"', text))
        called |= set(re.findall(r'conn\.execute(?:_many)?\(\s*"(\w+)"', text))
        assert called <= names
        # Moving an installation asks and fills every table by a name of its own.
        of_tables = {f"{what}_{t.name}" for t in TABLES for what in ("move", "add", "clear")}
        unused = {name for name in names - of_tables - {"clock"} if f'"{name}"' not in text}
        assert not unused
