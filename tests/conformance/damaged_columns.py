"""Values that no statement of the program writes, put into the columns of a SQLite catalog."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def _run(path: Path, *statements: str) -> None:
    """Each on a connection of its own: the schema is read anew."""
    for statement in statements:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("pragma writable_schema = on")
            raw.execute("pragma foreign_keys = off")
            raw.execute(statement)


def damage(path: Path, table: str, change: str, *, in_indexes: bool = True) -> None:
    """Run an update without the schema's rules; not `in_indexes`: as a bit that flips in the
    table alone, so that its indexes do not agree."""
    with closing(sqlite3.connect(path)) as raw:
        where = f"where name = '{table}' and type = 'table'"
        (schema,) = raw.execute(f"select sql from sqlite_master {where}").fetchone()
    loose = schema.replace(" not null", "").replace(") strict", ")").replace("strict,", "")
    index = f"tbl_name = '{table}' and type = 'index' and sql is not null"
    _run(path, _set_schema(table, loose))
    if in_indexes:
        _run(path, change)
    else:
        with closing(sqlite3.connect(path)) as raw:
            kept = raw.execute(f"select * from sqlite_master where {index}").fetchall()
        _run(path, f"delete from sqlite_master where {index}", change)
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("pragma writable_schema = on")
            raw.executemany("insert into sqlite_master values (?, ?, ?, ?, ?)", kept)
    _run(path, _set_schema(table, schema))


def _set_schema(table: str, schema: str) -> str:
    quoted = schema.replace("'", "''")
    return f"update sqlite_master set sql = '{quoted}' where name = '{table}' and type = 'table'"
