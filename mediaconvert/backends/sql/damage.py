"""What one process has found damaged in a database: logged once, counted, told to observers.

Never holds a value of a row, only tables, ids and columns. Thread-safe: transactions note in
their own threads. Owned by a driver; read through `Housekeeping.damage`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mediaconvert.errors import CatalogDamaged, DamagedRecord
from mediaconvert.ports.catalog import DamageReport

log = logging.getLogger("mediaconvert.backends.damage")

MAX_REMEMBERED = 10_000
"""Records; further ones are counted no more. Some 2 MB."""
_SHOWN = 5


class DamageLog:
    """ports.catalog.Damage."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._records: dict[tuple[str, str], None] = {}
        self._file = ""
        self._tell: Callable[[str], None] = lambda _kind: None

    def note(self, error: DamagedRecord | CatalogDamaged) -> None:
        """Log and count it, unless that was done before."""
        if isinstance(error, CatalogDamaged):
            self._note_file(error.reason)
        else:
            self._note_record(error)

    def observe(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with `record` or `file` for each thing found, also for earlier ones."""
        with self._turn:
            self._tell = tell
            for _ in self._records:
                tell("record")
            if self._file:
                tell("file")

    def report(self) -> DamageReport:
        with self._turn:
            shown = tuple(f"{table} {record_id}" for table, record_id in self._records)
            return DamageReport(len(shown), shown[:_SHOWN], self._file)

    def _note_record(self, error: DamagedRecord) -> None:
        key = (error.table, error.record_id)
        with self._turn:
            if key in self._records or len(self._records) >= MAX_REMEMBERED:
                return
            self._records[key] = None
            self._tell("record")
        log.error(
            "a record of the database is damaged",
            extra={"fields": {"table": error.table, "id": error.record_id, "why": error.why}},
        )

    def _note_file(self, sentence: str) -> None:
        with self._turn:
            if self._file:
                return
            self._file = sentence
            self._tell("file")
        log.error("the database is damaged", extra={"fields": {"why": sentence}})
