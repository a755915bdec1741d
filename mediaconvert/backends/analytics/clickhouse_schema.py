"""The tables in ClickHouse: found, or made; and the file for operators who make them by hand.

The numbered files of `migrations/` are the one place where they stand. Each is written so that
it may be run again. No version is kept in the server: what tables and columns there are says
it. Called in a thread, with each new connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httpclient import HttpClient

from mediaconvert.backends.analytics.clickhouse_link import ACCESS_DENIED, READONLY
from mediaconvert.backends.sql.migrations import load_migrations
from mediaconvert.errors import Unavailable
from mediaconvert.events import COLUMNS, JOB_METRICS, PIPELINE_EXECUTION, STATUS_HISTORY

TABLES = {
    JOB_METRICS: "job_metrics",
    STATUS_HISTORY: "job_status_history_analytics",
    PIPELINE_EXECUTION: "pipeline_execution_logs",
}
"""By kind of event."""

Types = Mapping[str, Mapping[str, str]]
"""The type of each column of each table."""

_FOLDER = files("mediaconvert.backends.analytics") / "migrations"

_FIND = """select table, name, type from system.columns
where database = {database:String} and table in {tables:Array(String)}"""


def table_columns(kind: str) -> tuple[str, ...]:
    """Of a kind's table, in the order in which they are inserted."""
    return ("event_id", *COLUMNS[kind])


def prepare_schema(client: HttpClient, database: str) -> Types:
    """Make what is missing, and answer what there is. Raises Unavailable with the remedy, and
    what clickhouse-connect raises."""
    found = _find(client, database)
    if _missing(found):
        _make(client, database, _missing(found))
        found = _find(client, database)
    if missing := _missing(found):
        raise Unavailable(
            f"ClickHouse cannot be used: its database '{database}' has a table without the "
            f"column {missing}; mend the table, or name a database of this program's own in "
            "CLICKHOUSE_DSN",
            is_lasting=True,
        )
    return found


def _find(client: HttpClient, database: str) -> Types:
    found: dict[str, dict[str, str]] = {}
    # Past the current database, which may be one that does not exist yet.
    client.database = None
    try:
        rows = client.query(_FIND, {"database": database, "tables": list(TABLES.values())})
    finally:
        client.database = database
    for table, column, type in rows.result_rows:
        found.setdefault(table, {})[column] = type
    return found


def _missing(found: Types) -> str:
    """The first column that is not there, as `table.column`; empty when all are."""
    for kind, table in TABLES.items():
        for column in table_columns(kind):
            if column not in found.get(table, {}):
                return f"{table}.{column}"
    return ""


def _make(client: HttpClient, database: str, missing: str) -> None:
    quoted = "`" + database.replace("\\", "\\\\").replace("`", "\\`") + "`"
    try:
        if not client.command(
            "select count() from system.databases where name = {database:String}",
            {"database": database},
            use_database=False,
        ):
            client.command(f"create database if not exists {quoted}", use_database=False)
        for migration in load_migrations(_FOLDER, "clickhouse"):
            for statement in migration.statements:
                client.command(statement)
    except ClickHouseError as error:
        if getattr(error, "code", None) in (ACCESS_DENIED, READONLY):
            raise Unavailable(
                f"ClickHouse cannot be used: {missing} is missing and this user may not make "
                "it; run config/clickhouse.sql as one who may"
            ) from error
        raise


_HEAD = """\
-- MediaConvert's tables in ClickHouse, for operators who make them by hand. Without this file
-- the service makes them itself, with the database that CLICKHOUSE_DSN names, as soon as the
-- server can be reached. Written by `make schema`.
--
--   clickhouse-client --multiquery < config/clickhouse.sql
--
-- Least privileges. A user who makes everything itself needs CREATE DATABASE, CREATE TABLE,
-- SELECT and INSERT on mediaconvert.*; where this file was run beforehand, this is enough:
--
--   create user mediaconvert identified by '…';
--   grant select, insert on mediaconvert.job_metrics to mediaconvert;
--   grant select, insert on mediaconvert.job_status_history_analytics to mediaconvert;
--   grant select, insert on mediaconvert.pipeline_execution_logs to mediaconvert;
--
-- The user's profile must not be `readonly`: inserts carry settings (insert_deduplication_token,
-- async_insert).
--
-- Nothing is ever deleted. To keep a year, by whole months:
--
--   alter table mediaconvert.job_metrics modify ttl toDateTime(created_at) + interval 1 year;
--   alter table mediaconvert.job_status_history_analytics
--     modify ttl toDateTime(created_at) + interval 1 year;
--   alter table mediaconvert.pipeline_execution_logs
--     modify ttl toDateTime(created_at) + interval 1 year;
--   -- and for each of them, so that a part is dropped as a whole and never rewritten:
--   alter table mediaconvert.job_metrics modify setting ttl_only_drop_parts = 1;
--
-- On a cluster of replicas: the same with ReplicatedMergeTree and `on cluster`; repeated
-- deliveries are recognised there too. One installation a database: events are told apart by
-- the numbers that its catalog gave them.

create database if not exists mediaconvert;

use mediaconvert;
"""


def document() -> str:
    """`config/clickhouse.sql`."""
    texts = [
        file.read_text(encoding="utf-8").strip()
        for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".clickhouse.sql")
    ]
    return "\n".join([_HEAD, "\n\n".join(texts)]) + "\n"
