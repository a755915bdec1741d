"""Whether a SQLite file is sound: `pragma quick_check`, bounded in time, and what it means.

quick_check reads every page and finds broken pages, values of a wrong type and missing values;
it does not compare indexes with their tables, which takes many times as long. Blocking; called
when a file is opened, later in the background, and by `doctor`. Changes nothing.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mediaconvert.errors import CatalogDamaged, DamagedRecord

START_SECONDS = 2.0
"""What the check of the rows may add to a start."""
START_BYTES = 256 << 20
"""A larger file is checked in the background only: SQLite reads the pages of a table without asking
whether it should stop. Measured (SQLite 3.40): 88 MB with 300,000 objects take 0.17 s from the page
cache."""
MAX_PROBLEMS = 100
_STEPS_BETWEEN_LOOKS = 1000

NOT_TEXT = "a text in it is not UTF-8"
"""Why it is damaged where sqlite3 (Python 3.11) raises UnicodeDecodeError: SQLite's own message
quotes a damaged name."""

# `NULL value in objects.key`, `non-INTEGER value in jobs.attempt`, `CHECK constraint failed in t`
_IN_A_RECORD = re.compile(r"(?:\S+ value in|CHECK constraint failed in) (?P<table>\w+)")
_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG))


@dataclass(frozen=True, slots=True)
class Checked:
    is_complete: bool
    """The time sufficed."""
    records: tuple[DamagedRecord, ...] = ()
    """Damage that concerns single rows: the rest of the file can be used."""
    file: CatalogDamaged | None = None
    """Damage to the file's own structure."""


def is_damage(error: sqlite3.Error) -> bool:
    """The file, and not the disk or another program, is what is wrong."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def file_damaged(path: Path, why: str) -> CatalogDamaged:
    """The operator's sentence: what is damaged, and how to restore it."""
    remedy = (
        f"restore {path.name} from a backup, or rescue what is readable of it with `.recover` of "
        "the program sqlite3"
    )
    if path.name == "analytics.db":
        remedy = "restore it from a backup, or move it away to begin with empty reports"
    words = " ".join(ascii(why)[1:-1].replace("\\n", " ").split())  # SQLite quotes damaged names
    return CatalogDamaged(
        f"the database {path} is damaged ({words}); stop the service and {remedy}"
    )


def quick_check(
    path: Path,
    *,
    seconds: float,
    is_stopped: Callable[[], bool] = lambda: False,
    is_gentle: bool = False,
) -> Checked:
    """Check the file, for so long at most or until `is_stopped`. A gentle check goes by tables,
    each in a transaction of its own, so that the log can be reset in between, and rests as long as
    it works. Raises sqlite3.Error where the file cannot be opened for another reason than
    damage."""
    stop_at = time.monotonic() + seconds
    looked_at = time.monotonic()

    def look() -> int:
        nonlocal looked_at
        if is_gentle:
            time.sleep(time.monotonic() - looked_at)
            looked_at = time.monotonic()
        return int(time.monotonic() > stop_at or is_stopped())

    try:
        with closing(sqlite3.connect(_address(path), uri=True)) as raw:
            raw.text_factory = _decode
            raw.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
            problems = _problems_by_table(raw, look) if is_gentle else _problems(raw)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return Checked(is_complete=False)
        if is_damage(error):
            return Checked(is_complete=True, file=file_damaged(path, str(error)))
        raise
    except UnicodeDecodeError:
        return Checked(is_complete=True, file=file_damaged(path, NOT_TEXT))
    return Checked(is_complete=False) if problems is None else _meaning(path, problems)


def _problems(raw: sqlite3.Connection) -> list[str]:
    return [str(row[0]) for row in raw.execute(f"pragma quick_check({MAX_PROBLEMS})")]


def _problems_by_table(raw: sqlite3.Connection, look: Callable[[], int]) -> list[str] | None:
    """None where there was no time for all of them."""
    query = "select name from sqlite_master where type = 'table' and rootpage > 0"
    problems: list[str] = []
    for (name,) in raw.execute(query).fetchall():
        if look():
            return None
        quoted = str(name).replace('"', '""')
        problems += [str(row[0]) for row in raw.execute(f'pragma quick_check("{quoted}")')]
    return problems


def _address(path: Path) -> str:
    """Opened for reading. Without a log beside it no process has the file open, and as an
    immutable one it is read without making a log."""
    is_open = path.with_name(path.name + "-wal").exists()
    return f"file:{quote(str(path))}?mode=ro{'' if is_open else '&immutable=1'}"


def _meaning(path: Path, problems: list[str]) -> Checked:
    records: list[DamagedRecord] = []
    for problem in problems:
        if problem == "ok":
            continue
        in_record = _IN_A_RECORD.match(problem)
        if in_record is None:
            line = problem.strip().splitlines()[-1]
            return Checked(is_complete=True, file=file_damaged(path, line))
        # quick_check does not give the row's id.
        records.append(DamagedRecord(in_record["table"], "unknown", ascii(problem)[1:-1]))
    return Checked(is_complete=True, records=tuple(records))


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
