"""What SQLite's driver adds to the catalog's contract: threads, deadlines, disks, indexes."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from subprocess import PIPE
from typing import TypeVar

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.backends.sql.driver import Connection, UniqueViolation, load_queries
from mediaconvert.backends.sql.lock import hold_lock
from mediaconvert.backends.sql.migrations import Migration, load_migrations
from mediaconvert.backends.sql.sqlite import SqliteDriver, open_sqlite
from mediaconvert.errors import StartupError, StorageFull, Unavailable
from tests.conformance.worlds import PATIENCE_SECONDS
from tests.servers.process import NOBODY, open_to_server

T = TypeVar("T")

QUERIES = {
    "clock": "select 1",
    "add": "insert into t values (?1, ?2)",
    "count": "select count(*) as n from t",
    "endless": "with recursive r (n) as (select 1 union all select n + 1 from r) "
    "select max(n) from r",
    "few_pages": "pragma max_page_count = 4",
    "many_pages": "pragma max_page_count = 1000000",
}
SCHEMA = [Migration(1, "t", ("create table t (k text primary key, v text) strict",))]


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[SqliteDriver]:
    async with _opened(tmp_path) as opened:
        yield opened


def _opened(folder: Path) -> AbstractAsyncContextManager[SqliteDriver]:
    return open_sqlite(folder / "t.sqlite", QUERIES, SCHEMA, deadline_seconds=PATIENCE_SECONDS)


async def _add(driver: SqliteDriver, key: str, value: str = "") -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", key, value)

    await driver.write(body)


async def _count(driver: SqliteDriver) -> int:
    async def body(conn: Connection) -> int:
        return int((await conn.fetch_one("count"))["n"])

    return await driver.read(body)


async def test_what_a_body_raises_comes_out_and_nothing_happened(driver: SqliteDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", "a", "")
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await driver.write(body)
    assert await _count(driver) == 0


async def test_a_value_that_exists_is_a_unique_violation(driver: SqliteDriver) -> None:
    await _add(driver, "a")
    with pytest.raises(UniqueViolation):
        await _add(driver, "a")

    async def many(conn: Connection) -> None:
        await conn.execute_many("add", [("b", ""), ("b", "")])

    with pytest.raises(UniqueViolation):
        await driver.write(many)
    assert await _count(driver) == 1


async def test_a_body_that_waits_for_anything_else_is_refused(driver: SqliteDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", "a", "")
        await trio.lowlevel.cancel_shielded_checkpoint()

    with pytest.raises(RuntimeError):
        await driver.write(body)
    assert await _count(driver) == 0
    await _add(driver, "a")


async def test_a_reader_cannot_write(driver: SqliteDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", "a", "")

    with pytest.raises(Unavailable):
        await driver.read(body)
    assert await _count(driver) == 0


async def _until_it_says(words: str, ask: Callable[[], Awaitable[object]]) -> None:
    """Asked with a deadline that a slow machine may miss before anything was begun: until it is
    refused with these words."""
    said = ""
    with trio.fail_after(PATIENCE_SECONDS):
        while words not in said:
            with pytest.raises(Unavailable) as refusal:
                await ask()
            said = str(refusal.value)


async def _until_it_serves(ask: Callable[[], Awaitable[T]]) -> T:
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            with suppress(Unavailable):
                return await ask()


async def test_a_statement_past_the_deadline_is_stopped(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "t.sqlite", QUERIES, SCHEMA, deadline_seconds=0.1) as driver:

        async def body(conn: Connection) -> None:
            await conn.execute("add", "a", "")
            await conn.fetch("endless")

        await _until_it_says("too long", partial(driver.write, body))
        await _until_it_says("too long", partial(driver.read, body_endless))
        assert await _until_it_serves(partial(_count, driver)) == 0
        # The one writer is free again; the readers are enough for one that still comes to its end.
        await _until_it_serves(partial(driver.write, body_of_nothing))


async def body_endless(conn: Connection) -> None:
    await conn.fetch("endless")


async def body_of_nothing(conn: Connection) -> None:
    await conn.fetch("count")


async def test_a_write_that_hangs_is_given_up_and_those_behind_it_wait_their_turn(
    tmp_path: Path,
) -> None:
    hanging, released = threading.Event(), threading.Event()
    async with open_sqlite(tmp_path / "t.sqlite", QUERIES, SCHEMA, deadline_seconds=0.1) as driver:

        async def hang(conn: Connection) -> None:
            await conn.execute("add", "hung", "")
            hanging.set()
            released.wait()  # as a disk might

        try:
            await _until_it_says("not known", partial(driver.write, hang))
            await _until_it_says("overloaded", partial(_add, driver, "b"))
            assert hanging.is_set()
            assert await _until_it_serves(partial(_count, driver)) == 0
        finally:
            released.set()
    async with _opened(tmp_path) as driver:
        await _add(driver, "c")
        assert await _count(driver) == 1


async def test_readers_do_not_wait_behind_the_writer(driver: SqliteDriver) -> None:
    await _add(driver, "a")
    writing, go_on = threading.Event(), threading.Event()

    async def slow(conn: Connection) -> None:
        await conn.execute("add", "b", "")
        writing.set()
        go_on.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.write, slow)
        await trio.to_thread.run_sync(writing.wait)
        assert await _count(driver) == 1
        go_on.set()
    assert await _count(driver) == 2


async def test_a_write_that_has_begun_is_not_cancelled(driver: SqliteDriver) -> None:
    writing, go_on = threading.Event(), threading.Event()

    async def slow(conn: Connection) -> str:
        await conn.execute("add", "a", "")
        writing.set()
        go_on.wait()
        return "done"

    answers: list[str] = []

    async def write() -> None:
        answers.append(await driver.write(slow))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.to_thread.run_sync(writing.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert answers == ["done"]
    assert await _count(driver) == 1


async def test_a_full_disk_is_said_and_nothing_is_half_done(driver: SqliteDriver) -> None:
    async def limit(conn: Connection) -> None:
        await conn.fetch("few_pages")

    async def lift(conn: Connection) -> None:
        await conn.fetch("many_pages")

    await driver.write(limit)
    with pytest.raises(StorageFull):
        await _add(driver, "a", "x" * 100_000)
    assert await _count(driver) == 0
    await driver.write(lift)
    await _add(driver, "a", "x" * 100_000)
    assert await _count(driver) == 1


async def test_the_clock_is_the_time(tmp_path: Path) -> None:
    async with open_sqlite_catalog(
        tmp_path / "c.sqlite", deadline_seconds=PATIENCE_SECONDS
    ) as catalog:
        user = await catalog.users.register("ann@example.org", "")
    with closing(sqlite3.connect(":memory:")) as connection:
        (now,) = connection.execute("select strftime('%s', 'now')").fetchone()
    assert 0 <= int(now) - user.created_at_us // 1_000_000 < 60
    assert user.created_at_us % 1_000 == 0


# --- opening ---------------------------------------------------------------------------------


async def test_a_catalog_is_there_again_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    for expected in ("first", "first"):
        async with open_sqlite_catalog(path, deadline_seconds=PATIENCE_SECONDS) as catalog:
            assert await catalog.housekeeping.meta("x", "first") == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_catalog_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    async with open_sqlite_catalog(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("insert into schema_migrations values (99, 'from the future')")
    with pytest.raises(StartupError, match="schema version 99"):
        async with open_sqlite_catalog(path):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"this is no database at all " * 100)
    with pytest.raises(StartupError, match=r"is damaged \(file is not a database\)"):
        async with open_sqlite_catalog(path):
            pass
    with pytest.raises(StartupError, match="cannot be opened"):
        async with open_sqlite_catalog(tmp_path / "missing" / "c.sqlite"):
            pass


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    broken = [*SCHEMA, Migration(2, "broken", ("create table u (x)", "create nonsense"))]
    with pytest.raises(StartupError):
        async with open_sqlite(path, QUERIES, broken):
            pass
    with closing(sqlite3.connect(path)) as connection:
        tables = {row[0] for row in connection.execute("select name from sqlite_master")}
        assert "t" in tables and "u" not in tables
    async with _opened(path.parent) as driver:
        assert await _count(driver) == 0


_HOLDER = """
import sys
from pathlib import Path
from mediaconvert.backends.sql.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_data_directory(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with (
        pytest.raises(StartupError, match=rf"another mediaconvert \(pid {holder.pid}\)"),
        hold_lock(tmp_path),
    ):
        pass


def test_the_lock_of_a_killed_process_is_free(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    holder.kill()
    holder.wait()
    with hold_lock(tmp_path):
        pass
    with hold_lock(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="--data-dir"), hold_lock(tmp_path / "missing"):
        pass


# --- indexes ---------------------------------------------------------------------------------

_SQL = files("mediaconvert.backends.sql")

# Reads from one end, cut off by their limit, of things that are about to go; a gauge of them;
# a partial index that holds nothing but what is wanted; and the rows of a set or of a walk.
_FINE = {
    ("outbox_any", "SCAN outbox"),
    ("outbox_oldest", "SCAN outbox"),
    ("outbox_page", "SCAN page"),
    ("outbox_drop", "SCAN b"),
    ("gauges", "SCAN garbage USING COVERING INDEX garbage_due"),
    ("objects_unread", "SCAN o USING INDEX objects_detached"),
    ("blobs_page", "SCAN in_objects"),
    ("blobs_page", "SCAN in_parts"),
    ("blobs_page", "SCAN u"),
    ("claim_users", "SCAN first"),
    ("claim_users", "SCAN w"),
    ("claim_users", "SCAN due"),
    ("claimed", "SCAN ordered"),
    ("claim", "SCAN picked"),
    ("claim_suspect", "SCAN picked"),
    ("list_walk", "SCAN w"),
    ("schema_applied", "SCAN pragma_user_version VIRTUAL TABLE INDEX 0:"),
}


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """The catalog's schema in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for migration in load_migrations(_SQL / "migrations", "sqlite"):
            for statement in migration.statements:
                connection.execute(statement)
        yield connection


def test_no_query_reads_a_whole_table_that_grows(database: sqlite3.Connection) -> None:
    found = set()
    for name, text in load_queries(_SQL / "queries", "sqlite").items():
        count = max((int(number) for number in re.findall(r"\?(\d+)", text)), default=0)
        for row in database.execute(f"explain query plan {text}", [None] * count):
            # What is read whole is the set of names or ids that a query was handed.
            is_handed = row[3] == "SCAN CONSTANT ROW" or "VIRTUAL TABLE INDEX 1:" in row[3]
            if row[3].startswith("SCAN") and not is_handed:
                found.add((name, row[3]))
    assert found <= _FINE


def _steps(database: sqlite3.Connection, query: str, *params: object) -> tuple[int, int]:
    """How many of SQLite's steps a named query takes, and how many rows it answers."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    text = load_queries(_SQL / "queries", "sqlite")[query]
    database.execute("begin")
    database.set_progress_handler(count, 1)
    rows = database.execute(text, params).fetchall()
    database.set_progress_handler(None, 1)
    database.execute("rollback")
    return steps, len(rows)


_SERIES = "with recursive r (n) as (select 1 union all select n + 1 from r where n < ?1) "


def _fill_objects(database: sqlite3.Connection, per_prefix: int) -> None:
    database.execute("delete from objects")
    for prefix in ("a", "b", "c"):
        database.execute(
            _SERIES + "insert into objects (bucket_id, key, size, etag, content_type, "
            "system_headers, user_metadata, storage_class, parts, created_at) "
            f"select 1, '{prefix}/' || printf('%07d', n), 1, '', '', '', '', '', '', 0 from r",
            (per_prefix,),
        )


def test_a_common_prefix_costs_the_same_however_many_keys_it_stands_for(
    database: sqlite3.Connection,
) -> None:
    costs = []
    for per_prefix in (10, 5_000):
        _fill_objects(database, per_prefix)
        top = "\U0010ffff" * 257
        walk = (1, "a/0000001", top, "", "/", top, 101)
        steps, found = _steps(database, "list_walk", *walk)
        assert found == 3
        costs.append(steps)
    assert costs[1] <= costs[0] * 1.1


def test_a_page_costs_the_same_at_the_end_of_a_bucket(database: sqlite3.Connection) -> None:
    _fill_objects(database, 5_000)
    top = "\U0010ffff" * 257
    first, _ = _steps(database, "list_after", 1, "", top, 101)
    last, found = _steps(database, "list_after", 1, "c/0004890", top, 101)
    assert found == 101
    assert last <= first * 1.1


def _fill_jobs(database: sqlite3.Connection, pending: int, ended: int) -> None:
    database.execute("delete from jobs")
    for status, count in (("pending", pending), ("completed", ended)):
        database.execute(
            _SERIES + "insert into jobs (user_id, bucket_id, bucket_name, source_id, source_key,"
            " source_size, source_content_type, pipeline_id, version_id, status, available_at,"
            f" created_at) select n % 3 + 1, 1, '', 1, '', 1, '', 1, 1, '{status}', n, n from r",
            (count,),
        )


def test_claiming_costs_the_same_however_many_jobs_wait_or_have_ended(
    database: sqlite3.Connection,
) -> None:
    costs = []
    for pending, ended in ((6, 6), (3_000, 9_000)):
        _fill_jobs(database, pending, ended)
        steps = [
            _steps(database, "claim_users", 2, "[]"),
            _steps(database, "claim", 50, 1, 10**9, "w", "t", 1, 2, "[]"),
            _steps(database, "claim_suspect", 10**9, 10**9, "w", "t", 2, "[]"),
            _steps(database, "next_due", "[]"),
            _steps(database, "next_suspect_due", "[]"),
            _steps(database, "jobs_expired", 10**9, 100, "[]"),
        ]
        assert [found for _, found in steps] == [3, 2, 0, 1, 1, 0]
        costs.append(sum(cost for cost, _ in steps))
    assert costs[1] <= costs[0] * 1.1


HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1])
held.execute("select * from t").fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Root's own files would be open to it whatever their mode."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def held_by_another(path: Path) -> Iterator[Path]:
    """Another process has the database open; the file that their index of the log is in."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield path.with_name(path.name + "-shm")
        process.stdin.close()


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


async def test_what_was_opened_read_only_for_want_of_better_is_opened_again() -> None:
    with tempfile.TemporaryDirectory(prefix="mediaconvert-sqlite-") as folder:
        path = open_to_server(Path(folder)) / "t.sqlite"
        with bound_by_permissions():
            async with _opened(path.parent) as driver:
                await _add(driver, "a")
        with held_by_another(path) as index, bound_by_permissions():
            allow(index, 0o444)
            async with _opened(path.parent) as driver:
                assert await _count(driver) == 1
                with pytest.raises(Unavailable, match="readonly"):
                    await _add(driver, "b")
                allow(index, 0o644)
                with suppress(Unavailable):
                    await _add(driver, "b")
                await _add(driver, "c")
                assert await _count(driver) >= 2


MANY_THREADS = 100
"""More than any test before can have left idle, and more stacks than the C library keeps."""


@contextmanager
def no_memory_for_threads() -> Iterator[None]:
    """A stack is 8 MiB of address space; a machine's limit on threads answers the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


async def test_a_thread_that_cannot_be_started_costs_no_connection(driver: SqliteDriver) -> None:
    leave = threading.Event()
    at_work: list[int] = []

    def work() -> None:
        at_work.append(threading.get_ident())
        leave.wait()

    async with trio.open_nursery() as nursery:
        # Whatever idle thread there is gets something to do.
        busy = trio.CapacityLimiter(MANY_THREADS)
        for _ in range(MANY_THREADS):
            nursery.start_soon(partial(trio.to_thread.run_sync, work, limiter=busy))
        while len(at_work) < MANY_THREADS:
            await trio.lowlevel.checkpoint()
        try:
            with no_memory_for_threads(), pytest.raises(Unavailable, match="no thread"):
                await _add(driver, "a")
        finally:
            leave.set()
    await _add(driver, "a")
    assert await _count(driver) == 1
