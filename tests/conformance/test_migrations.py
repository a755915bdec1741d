"""Schemas brought up to date: from what earlier programs wrote, by several nodes at once, whole
or not at all, and never backwards."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.sql.catalog import (
    open_postgres_driver,
    open_sqlite_catalog,
    sql_catalog,
)
from mediaconvert.backends.sql.migrations import Migration, load_migrations
from mediaconvert.backends.sql.postgres import open_postgres
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.backends.sql.sqlite import open_sqlite
from mediaconvert.errors import StartupError
from mediaconvert.model import BucketRef, JobId, ListQuery, UserId
from tests.conformance.worlds import PATIENCE_SECONDS, World, lease, outcome
from tests.program import ROOT, clean_environment, run_program
from tests.servers.postgres import Databases

SQL = files("mediaconvert.backends.sql")

# What installations out there were made by; a file that is among them never changes again.
RELEASED = {
    "0001_catalog.sqlite.sql": "a804866baba4bd81d79f132b6928b19145cea8aca8c7e4dea86cbe19f85b73f4",
}


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    with databases.database() as url:
        yield url


def test_what_was_released_is_never_changed() -> None:
    for name, digest in RELEASED.items():
        text = (SQL / "migrations" / name).read_bytes()
        assert hashlib.sha256(text).hexdigest() == digest, name


def test_both_dialects_have_the_same_migrations_of_the_catalog() -> None:
    names = {
        dialect: {(m.version, m.name) for m in load_migrations(SQL / "migrations", dialect)}
        for dialect in ("sqlite", "postgres")
    }
    assert names["sqlite"] <= names["postgres"]
    # On PostgreSQL the analytics stand in the same database, on SQLite in a file of their own.
    assert {name for _, name in names["postgres"] - names["sqlite"]} <= {"analytics"}


_OLD_ROWS = """
insert into users (email, email_key, password_hash, created_at) values ('a@b.c', 'a@b.c', '', 1);
insert into buckets (name, owner_id, region, created_at) values ('ann-films', 1, 'us-east-1', 1);
insert into pipelines (user_id, name, newest_version, created_at, updated_at)
  values (1, 'small', 1, 1, 1);
insert into pipeline_versions (pipeline_id, version, name, format, content, digest, created_at)
  values (1, 1, 'small', 'yaml', 'name: small', '', 1);
insert into objects (bucket_id, key, size, etag, content_type, system_headers, user_metadata,
    storage_class, parts, created_at)
  values (1, 'done.mp4', 1, 'e', 'video/mp4', '{}', '{}', 'STANDARD', '[]', 1),
    (1, 'result.mp4', 1, 'e', 'video/mp4', '{}', '{}', 'STANDARD', '[]', 1),
    (1, 'waiting.mp4', 1, 'e', 'video/mp4', '{}', '{}', 'STANDARD', '[]', 1);
insert into object_segments (object_id, position, blob_id, start, size)
  select id, 0, printf('%032x', id), 0, size from objects;
insert into jobs (user_id, bucket_id, bucket_name, source_id, source_key, source_size,
    source_content_type, pipeline_id, version_id, status, available_at, created_at, started_at,
    finished_at)
  values (1, 1, 'ann-films', 1, 'done.mp4', 1, 'video/mp4', 1, 1, 'completed', 1, 1, 2, 3),
    (1, 1, 'ann-films', 3, 'waiting.mp4', 1, 'video/mp4', 1, 1, 'pending', 1, 1, null, null);
insert into outbox (kind, payload) values ('job_metrics', '{"job_id": 1}');
"""


async def test_a_catalog_of_before_postgresql_goes_on_with_all_that_it_held(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.db"
    first = load_migrations(SQL / "migrations", "sqlite")[:1]
    # Today's queries need today's schema.
    async with open_sqlite(path, {}, first, deadline_seconds=PATIENCE_SECONDS):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_OLD_ROWS)
    ref, done, waiting = BucketRef(UserId(1), "ann-films"), JobId(1), JobId(2)

    async with open_sqlite_catalog(path, deadline_seconds=PATIENCE_SECONDS) as catalog:
        world = World(catalog, lambda _: [])
        page = await catalog.objects.list(ref, ListQuery())
        assert [item.key for item in page.objects] == ["done.mp4", "result.mp4", "waiting.mp4"]
        job = await world.claim()
        assert job.id == waiting
        assert await catalog.queue.finish(lease(job), outcome())
        statuses = [
            each.status.value for each in (await catalog.jobs.list(ref.user_id, None, 0, 10)).jobs
        ]
        assert statuses == ["completed", "completed"]
        assert {event.payload["job_id"] for event in await world.told()} == {done, waiting}


async def test_of_nodes_that_start_at_once_one_makes_the_schema_and_all_find_it(
    url: str, databases: Databases
) -> None:
    async def start() -> None:
        async with open_postgres_driver(
            url, pool_size=2, deadline_seconds=PATIENCE_SECONDS
        ) as driver:
            await sql_catalog(driver).housekeeping.check()

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(start)
    applied = databases.execute(url, "select version from schema_migrations order by version")
    known = load_migrations(SQL / "migrations", "postgres")
    assert applied.split() == [str(migration.version) for migration in known]


async def test_a_schema_that_is_newer_than_the_program_is_refused(
    url: str, databases: Databases
) -> None:
    async with open_postgres_driver(url):
        pass
    databases.execute(url, "insert into schema_migrations values (99, 'from_the_future')")
    with pytest.raises(StartupError, match=r"schema version 99.*run the newer program"):
        async with open_postgres_driver(url):
            pass


async def test_a_migration_that_fails_changes_nothing_on_postgresql(
    url: str, databases: Databases
) -> None:
    good = Migration(1, "t", ("create table t (k text)",))
    broken = Migration(2, "broken", ("create table u (k text)", "create nonsense"))
    with pytest.raises(StartupError, match=r"does not take the migration 0002_broken.*nonsense"):
        async with open_postgres(parse_postgres_uri(url), {}, [good, broken]):
            pass
    tables = "select tablename from pg_tables where schemaname = 'public' order by 1"
    assert databases.execute(url, tables).split() == ["schema_migrations", "t"]
    mended = Migration(2, "mended", ("create table u (k text)",))
    async with open_postgres(parse_postgres_uri(url), {}, [good, mended]):
        pass
    assert databases.execute(url, tables).split() == ["schema_migrations", "t", "u"]


# --- mediaconvert migrate --------------------------------------------------------------------


def _migrate(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "migrate", *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_command_says_what_waits_does_it_and_says_that_nothing_waits(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    environment = {}
    if kind == "postgres":
        environment["DATABASE_URL"] = request.getfixturevalue("url")
    else:
        # As a first start leaves it that was killed at once.
        (tmp_path / "data").mkdir()
        (tmp_path / "data/catalog.db").touch()
    before = sorted(tmp_path.rglob("*"))
    status, said = _migrate(tmp_path, "--check", **environment)
    assert status == 1 and "version 0; waiting: 0001_catalog, " in said
    # It has changed nothing, and made nothing.
    assert _migrate(tmp_path, "--check", **environment) == (1, said)
    assert sorted(tmp_path.rglob("*")) == before
    status, said = _migrate(tmp_path, **environment)
    assert status == 0 and "applied 0001_catalog, " in said
    status, said = _migrate(tmp_path, "--check", **environment)
    assert status == 0 and "up to date" in said and "waiting" not in said
    status, said = _migrate(tmp_path, **environment)
    assert status == 0 and "up to date" in said and "applied" not in said


def test_the_command_makes_no_installation_in_a_folder_that_was_mistyped(tmp_path: Path) -> None:
    for arguments in ((), ("--check",)):
        status, said = _migrate(tmp_path, "--data-dir", "dtaa", *arguments)
        assert status == 1
        assert "there is no installation in dtaa" in said and "--data-dir" in said
    assert list(tmp_path.iterdir()) == []


def test_the_command_leaves_a_running_service_alone(tmp_path: Path) -> None:
    with run_program(tmp_path):
        status, said = _migrate(tmp_path)
        assert status == 1 and "another mediaconvert" in said
        status, said = _migrate(tmp_path, "--check")
        assert status == 0 and "up to date" in said


def test_the_command_says_in_one_sentence_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog.db").write_bytes(b"this is no database at all " * 100)
    status, said = _migrate(tmp_path, "--check")
    assert status == 1 and "catalog.db cannot be read" in said
    status, said = _migrate(tmp_path, DATABASE_URL="postgres://u:hunter2@127.0.0.1:1/d")
    assert status == 1 and "127.0.0.1:1/d cannot be reached" in said and "hunter2" not in said
