"""Whether the analytics agree with the catalog, to the row.

For tests that break things: whatever happened on the way, once the outbox is empty each event
is in the store, once. Reads the tables themselves, past all of the program.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Databases

Value = str | int | float | None
Row = tuple[Value, ...]

_TIMES = frozenset({"created_at", "finished_at"})


class Tables(Protocol):
    """One database's tables."""

    def rows(self, table: str, columns: Sequence[str]) -> list[Row]:
        """All of them, in any order; times are microseconds."""


@dataclass(frozen=True)
class SqliteTables:
    path: Path

    def rows(self, table: str, columns: Sequence[str]) -> list[Row]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(f"select {', '.join(columns)} from {table}").fetchall()


@dataclass(frozen=True)
class PostgresTables:
    server: Databases
    database: str

    def rows(self, table: str, columns: Sequence[str]) -> list[Row]:
        listed = ", ".join(columns)
        # One line a row, whatever the texts hold.
        text = self.server.execute(self.database, f"select json_build_array({listed}) from {table}")
        return [tuple(json.loads(line)) for line in text.splitlines()]


@dataclass(frozen=True)
class ClickHouseTables:
    server: ClickHouse
    database: str

    def rows(self, table: str, columns: Sequence[str]) -> list[Row]:
        listed = ", ".join(
            f"toUnixTimestamp64Micro({name})" if name in _TIMES else name for name in columns
        )
        text = self.server.execute(
            f"select {listed} from {table} settings output_format_json_quote_64bit_integers = 0 "
            "format JSONCompactEachRow",
            self.database,
        )
        return [tuple(json.loads(line)) for line in text.splitlines()]


def disagreements(catalog: Tables, analytics: Tables) -> list[str]:
    """What is missing, double or different, one sentence each; empty when all agrees."""
    return [
        *_doubles(analytics),
        *_history(catalog, analytics),
        *_newest_states(catalog, analytics),
        *_executions(catalog, analytics),
    ]


def _doubles(analytics: Tables) -> Iterable[str]:
    for table in ("job_metrics", "job_status_history_analytics", "pipeline_execution_logs"):
        times = Counter(id for (id,) in analytics.rows(table, ["event_id"]))
        for event_id, count in times.items():
            if count > 1:
                yield f"event {event_id} stands {count} times in {table}"


def _history(catalog: Tables, analytics: Tables) -> Iterable[str]:
    columns = ["job_id", "from_status", "to_status", "triggered_by", "message", "created_at"]
    yield from _differences(
        "transition",
        catalog.rows("job_history", columns),
        analytics.rows("job_status_history_analytics", columns),
    )


def _newest_states(catalog: Tables, analytics: Tables) -> Iterable[str]:
    columns = ["user_id", "pipeline_id", "status", "attempt", "output_bytes", "created_at"]
    newest: dict[Value, Row] = {}
    for _, job_id, *values in sorted(
        analytics.rows("job_metrics", ["event_id", "job_id", *columns])
    ):
        newest[job_id] = (job_id, *values)
    yield from _differences(
        "state of a job", catalog.rows("jobs", ["id", *columns]), newest.values()
    )


def _executions(catalog: Tables, analytics: Tables) -> Iterable[str]:
    """One row a step that ran, of jobs that their worker ended."""
    expected: list[Row] = []
    for job_id, status, code, text in catalog.rows("jobs", ["id", "status", "error_code", "steps"]):
        if status == "completed" or (status == "failed" and code != "poison"):
            steps = json.loads(str(text))
            expected += [
                (job_id, index, step["id"], step["operation"])
                for index, step in enumerate(steps)
                if step["status"] not in ("pending", "skipped")
            ]
    columns = ["job_id", "step_index", "step_id", "operation"]
    yield from _differences(
        "executed step", expected, analytics.rows("pipeline_execution_logs", columns)
    )


def _differences(what: str, catalog: Iterable[Row], analytics: Iterable[Row]) -> Iterable[str]:
    wanted, found = Counter(catalog), Counter(analytics)
    for row in (wanted - found).elements():
        yield f"the analytics lack the {what} {row}"
    for row in (found - wanted).elements():
        yield f"the analytics have a {what} that the catalog has not: {row}"
