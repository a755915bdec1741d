"""What PostgreSQL's driver adds to the catalog's contract: texts, locks, retries, deadlines,
cancellations, and a pool that loses no connection."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager

import pytest
import trio
import trio.testing

from mediaconvert.backends.sql.catalog import open_postgres_driver, sql_catalog
from mediaconvert.backends.sql.driver import Connection, Isolation, UniqueViolation
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres import PostgresDriver, open_postgres
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import InvalidRequest, StorageFull, Unavailable
from mediaconvert.model import ListQuery
from tests.conformance.worlds import PATIENCE_SECONDS, World
from tests.recovery.worker_rig import until
from tests.servers.postgres import Databases

QUERIES = {
    "add": "insert into t values ($1, $2)",
    "add_count": "insert into t values ($1, $2) returning k",
    "all": "select * from t order by k",
    "count": "select count(*) as n from t",
    "counter_get": "select n from counter where name = $1",
    "counter_set": "update counter set n = $2 where name = $1",
    "counter_add": "update counter set n = n + $2 where name = $1",
    "counter_locked": "select n from counter where name = $1 for update",
    "clock_now": "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as at",
    "sleep": "select 1 as one from pg_sleep($1)",
    "number": "select cast($1 as bigint) as n",
    "text": "select cast($1 as text) as t",
    "read_only": "set transaction read only",
    "full": "do $$ begin raise exception using errcode = '53100'; end $$",
    "settings": "select current_setting('statement_timeout') as statement, "
    "current_setting('lock_timeout') as lock, "
    "current_setting('idle_in_transaction_session_timeout') as idle, "
    "coalesce(current_setting('transaction_timeout', true), 'unknown') as whole",
    "backend": "select pg_backend_pid() as pid",
}
SCHEMA = [
    Migration(
        1,
        "t",
        (
            'create table t (k text collate "C" primary key, v text not null)',
            'create table counter (name text collate "C" primary key, n bigint not null)',
            "insert into counter values ('a', 0), ('b', 0)",
        ),
    )
]


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    with databases.database() as url:
        yield url


@pytest.fixture
async def driver(url: str) -> AsyncIterator[PostgresDriver]:
    address = parse_postgres_uri(url)
    async with open_postgres(
        address, QUERIES, SCHEMA, pool_size=5, deadline_seconds=PATIENCE_SECONDS
    ) as opened:
        yield opened


def _hasty(
    url: str, *, deadline_seconds: float, pool_size: int = 10
) -> AbstractAsyncContextManager[PostgresDriver]:
    """The same database, without patience."""
    return open_postgres(
        parse_postgres_uri(url),
        QUERIES,
        SCHEMA,
        pool_size=pool_size,
        deadline_seconds=deadline_seconds,
    )


async def _add(driver: PostgresDriver, key: str, value: str = "") -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", key, value)

    await driver.write(body)


async def _keys(driver: PostgresDriver) -> list[str]:
    async def body(conn: Connection) -> list[str]:
        return [row["k"] for row in await conn.fetch("all")]

    return await driver.read(body)


async def _counts(driver: PostgresDriver) -> list[int]:
    async def body(conn: Connection) -> list[int]:
        return [(await conn.fetch_one("counter_get", name))["n"] for name in ("a", "b")]

    return await driver.read(body)


async def test_the_clock_comes_along_with_the_first_rows(driver: PostgresDriver) -> None:
    async def body(conn: Connection) -> tuple[list[str], int, list[str], int]:
        first = [row["k"] for row in await conn.fetch_first("all")]
        now = await conn.now_us()
        again = [row["k"] for row in await conn.fetch_first("all")]
        return first, now, again, await conn.now_us()

    keys, now, again, same = await driver.write(body)
    assert (keys, again) == ([], [])
    assert now == same > 1_700_000_000_000_000
    await _add(driver, "a")
    await _add(driver, "b")
    keys, later, again, _ = await driver.write(body)
    assert sorted(keys) == sorted(again) == ["a", "b"]
    assert later > now
    keys, later, again, _ = await driver.read(body)
    assert sorted(keys) == sorted(again) == ["a", "b"]


def _open_transactions(databases: Databases, url: str) -> int:
    found = databases.execute(
        url,
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and pid <> pg_backend_pid() and backend_type = 'client backend' "
        "and xact_start is not null",
    )
    return int(found)


def _connections(databases: Databases, url: str) -> int:
    found = databases.execute(
        url,
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and pid <> pg_backend_pid() and backend_type = 'client backend'",
    )
    return int(found)


# --- transactions ----------------------------------------------------------------------------


async def test_what_a_body_raises_comes_out_and_nothing_happened(driver: PostgresDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("add", "a", "")
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await driver.write(body)
    assert await _keys(driver) == []


async def test_a_body_is_told_of_a_value_that_exists_and_may_refuse(
    driver: PostgresDriver,
) -> None:
    await _add(driver, "a")

    async def one(conn: Connection) -> None:
        try:
            await conn.execute("add", "a", "")
        except UniqueViolation as error:
            raise LookupError("taken") from error

    async def many(conn: Connection) -> None:
        try:
            await conn.execute_many("add", [("b", ""), ("b", "")])
        except UniqueViolation as error:
            raise LookupError("taken") from error

    for body in (one, many):
        with pytest.raises(LookupError, match="taken"):
            await driver.write(body)
    assert await _keys(driver) == ["a"]


async def test_a_value_that_stays_taken_is_unavailable_not_an_error_of_the_program(
    driver: PostgresDriver,
) -> None:
    await _add(driver, "a")
    with pytest.raises(Unavailable, match="at once; nothing was changed"):
        await _add(driver, "a")


async def test_a_violation_that_the_body_did_not_reckon_with_is_tried_again(
    driver: PostgresDriver,
) -> None:
    """Somebody else has just added the row: the next try sees it."""
    runs = 0
    await _add(driver, "a")

    async def body(conn: Connection) -> int:
        nonlocal runs
        runs += 1
        await conn.execute("add", "a" if runs < 3 else "b", "")
        return runs

    assert await driver.write(body, isolation=Isolation.STATEMENT) == 3
    assert await _keys(driver) == ["a", "b"]


async def test_a_body_that_goes_on_after_an_error_is_a_mistake_not_a_success(
    driver: PostgresDriver,
) -> None:
    await _add(driver, "a")

    async def body(conn: Connection) -> None:
        try:
            await conn.execute("add", "a", "")
        except UniqueViolation:
            return

    with pytest.raises(RuntimeError, match="went on after an error"):
        await driver.write(body)


async def test_a_reader_cannot_write_and_sees_one_snapshot(driver: PostgresDriver) -> None:
    async def write(conn: Connection) -> None:
        await conn.execute("add", "a", "")

    with pytest.raises(Unavailable, match="read-only"):
        await driver.read(write)

    seen: list[int] = []
    looked, changed = trio.Event(), trio.Event()

    async def read(conn: Connection) -> None:
        seen.append((await conn.fetch_one("count"))["n"])
        looked.set()
        while not changed.is_set():
            await conn.fetch("sleep", 0.01)
        seen.append((await conn.fetch_one("count"))["n"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.read, read)
        await looked.wait()
        await _add(driver, "a")
        changed.set()
    assert seen == [0, 0]


async def test_rows_changed_are_counted(driver: PostgresDriver) -> None:
    async def body(conn: Connection) -> tuple[int, int, int]:
        return (
            await conn.execute("add", "a", ""),
            await conn.execute("counter_add", "a", 1),
            await conn.execute("counter_add", "none", 1),
        )

    assert await driver.write(body) == (1, 1, 0)


async def test_the_clock_that_comes_along_is_read_when_the_rows_are_locked(
    driver: PostgresDriver,
) -> None:
    is_held = trio.Event()
    let_go_at: list[int] = []

    async def hold(conn: Connection) -> None:
        await conn.execute("counter_add", "a", 1)
        is_held.set()
        await conn.fetch("sleep", 0.3)
        let_go_at.append((await conn.fetch_one("clock_now"))["at"])

    async def wait(conn: Connection) -> int:
        await conn.fetch_first("counter_locked", "a")
        return await conn.now_us()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.write, hold)
        await is_held.wait()
        locked_at = await driver.write(wait, isolation=Isolation.STATEMENT)
    assert locked_at > let_go_at[0]


async def test_a_full_disk_is_said(driver: PostgresDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("full")

    with pytest.raises(StorageFull):
        await driver.write(body)


async def test_a_server_that_became_a_replica_is_said(driver: PostgresDriver) -> None:
    async def body(conn: Connection) -> None:
        await conn.execute("read_only")
        await conn.execute("add", "a", "")

    with pytest.raises(Unavailable, match="read-only replica"):
        await driver.write(body)
    await _add(driver, "a")


async def test_statements_that_the_schema_has_changed_under_are_prepared_anew(
    driver: PostgresDriver, databases: Databases, url: str
) -> None:
    await _add(driver, "a")
    assert await _keys(driver) == ["a"]
    databases.execute(url, "alter table t add column more bigint")
    assert await _keys(driver) == ["a"]


async def test_the_server_has_bounds_of_its_own(url: str) -> None:
    async def body(conn: Connection) -> tuple[str, str, str, str]:
        row = await conn.fetch_one("settings")
        return (row["statement"], row["lock"], row["idle"], row["whole"])

    async with _hasty(url, deadline_seconds=5.0) as driver:
        *others, whole = await driver.read(body)
        assert others == ["4500ms", "4s", "5s"]
        # PostgreSQL 17 was the first to have it.
        assert whole in ("6s", "unknown")
        assert driver.version.startswith("PostgreSQL ")


# --- values ----------------------------------------------------------------------------------

HARD = ["", "\x00", "\x00\x00", "\x00a", "\x01", "\x01\x02", "\x01\x03", "\x02", "a", "a\x00b", "é"]


async def test_texts_that_postgresql_cannot_hold_come_back_as_they_were_and_in_order(
    driver: PostgresDriver,
) -> None:
    for key in random.Random(1).sample(HARD, len(HARD)):
        await _add(driver, key)
    assert await _keys(driver) == sorted(HARD)

    async def echo(conn: Connection) -> list[str]:
        return [(await conn.fetch_one("text", text))["t"] for text in HARD]

    assert await driver.read(echo) == HARD


async def test_half_a_surrogate_pair_is_the_callers_mistake(driver: PostgresDriver) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        await _add(driver, "\ud800")

    async def many(conn: Connection) -> None:
        await conn.execute_many("add", [("a", ""), ("\udfff", "")])

    with pytest.raises(InvalidRequest, match="surrogate"):
        await driver.write(many)
    assert await _keys(driver) == []


async def test_numbers_that_no_row_can_have_are_the_greatest_there_are(
    driver: PostgresDriver,
) -> None:
    async def body(conn: Connection) -> list[int]:
        return [(await conn.fetch_one("number", n))["n"] for n in (1 << 70, -(1 << 70), 7)]

    assert await driver.read(body) == [(1 << 63) - 1, -(1 << 63), 7]

    async def many(conn: Connection) -> None:
        await conn.execute_many("counter_set", [("a", 1 << 70), ("b", 1)])

    await driver.write(many)


async def test_keys_are_in_the_order_of_their_bytes_whatever_the_database_thinks(
    databases: Databases, catalog_template: str
) -> None:
    keys = ["-", "A", "B", "Z", "_", "a", "a-b", "a/b", "aB", "ab", "z", "\x00z", "é", "中", "😀"]
    with databases.database(catalog_template) as url:
        # To bytes 'B' comes first; to most people 'a' does.
        assert databases.sorts_bytewise or databases.execute(url, "select 'a' < 'B'") == "t"
        async with open_postgres_driver(url, deadline_seconds=PATIENCE_SECONDS) as driver:
            world = World(sql_catalog(driver), lambda _: [])
            ref = await world.owner()
            for key in random.Random(2).sample(keys, len(keys)):
                await world.put(ref, key)
            page = await world.catalog.objects.list(ref, ListQuery())
            assert [item.key for item in page.objects] == sorted(keys)
            found = await world.catalog.objects.list(ref, ListQuery(prefix="a", delimiter="B"))
            assert found.common_prefixes == ("aB",)
            assert [item.key for item in found.objects] == ["a", "a-b", "a/b", "ab"]


# --- at once ---------------------------------------------------------------------------------


async def test_of_forty_who_count_before_they_add_no_more_add_than_may(
    driver: PostgresDriver,
) -> None:
    """Serializable: each sees the others, or runs again, or is told to come again."""
    results: Counter[str] = Counter()

    async def add(number: int) -> None:
        async def body(conn: Connection) -> bool:
            if (await conn.fetch_one("count"))["n"] >= 10:
                return False
            await conn.execute("add", str(number), "")
            return True

        while True:
            try:
                results["added" if await driver.write(body) else "refused"] += 1
            except Unavailable:
                results["again"] += 1
            else:
                return

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(add, number)
    assert (results["added"], results["refused"]) == (10, 30)
    assert len(await _keys(driver)) == 10


async def test_two_who_wait_for_each_other_both_come_to_their_end(driver: PostgresDriver) -> None:
    both = [trio.Event(), trio.Event()]
    runs: Counter[str] = Counter()

    async def cross(first: str, second: str, mine: int) -> None:
        async def body(conn: Connection) -> None:
            runs[first] += 1
            await conn.execute("counter_add", first, 1)
            both[mine].set()
            while not both[1 - mine].is_set():
                await conn.fetch("sleep", 0.01)
            await conn.execute("counter_add", second, 1)

        await driver.write(body, isolation=Isolation.STATEMENT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cross, "a", "b", 0)
        nursery.start_soon(cross, "b", "a", 1)
    assert await _counts(driver) == [2, 2]
    assert runs.total() == 3


async def test_a_lock_that_is_never_given_is_given_up_for(driver: PostgresDriver, url: str) -> None:
    locked, may_end = trio.Event(), trio.Event()

    async def hold(conn: Connection) -> None:
        await conn.execute("counter_add", "a", 1)
        locked.set()
        while not may_end.is_set():
            await conn.fetch("sleep", 0.01)

    async def want(conn: Connection) -> None:
        await conn.execute("counter_add", "a", 1)

    async with _hasty(url, deadline_seconds=0.5) as hasty, trio.open_nursery() as nursery:
        nursery.start_soon(driver.write, hold)
        await locked.wait()
        with pytest.raises(Unavailable, match="nothing was changed"):
            await hasty.write(want)
        may_end.set()
    assert await _counts(driver) == [1, 0]


async def test_a_statement_that_never_ends_is_given_up_for(
    driver: PostgresDriver, url: str
) -> None:
    async def endless(conn: Connection) -> None:
        await conn.execute("counter_add", "a", 1)
        await conn.fetch("sleep", 3600.0)

    said = ""
    async with _hasty(url, deadline_seconds=0.5) as hasty:
        with trio.fail_after(PATIENCE_SECONDS):
            # A slow machine's time may be over before the statement has begun.
            while "too long" not in said:
                with pytest.raises(Unavailable, match="nothing was changed") as refusal:
                    await hasty.write(endless)
                said = str(refusal.value)
    assert await _counts(driver) == [0, 0]


async def test_more_than_the_pool_serves_are_told_to_come_again(
    driver: PostgresDriver, url: str
) -> None:
    numbers = itertools.count()
    outcomes: dict[str, str] = {}

    async def add(patience_seconds: float) -> str:
        """Who gets a place of those that wait is chance: asked again with another key."""
        key = f"{next(numbers):06}"
        with trio.move_on_after(patience_seconds) as scope:
            try:
                await _add(small, key)
                outcomes[key] = "added"
            except Unavailable as refusal:
                outcomes[key] = str(refusal)
        if scope.cancelled_caught:
            outcomes[key] = "cancelled"
        return outcomes[key]

    async def crowd() -> None:
        async def body(conn: Connection) -> None:
            await conn.fetch("sleep", 3600.0)

        while True:
            with contextlib.suppress(Unavailable):  # stopped, or told to come again
                await small.read(body)

    async with _hasty(url, pool_size=2, deadline_seconds=1.0) as small:
        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(crowd)
                await trio.testing.wait_all_tasks_blocked()
                while await add(0.05) != "cancelled":
                    pass
                while "overloaded" not in await add(math.inf):
                    pass
                nursery.cancel_scope.cancel()
            while await add(math.inf) != "added":
                pass
    keys = set(await _keys(driver))
    for key, became in outcomes.items():
        assert "not known" in became or (key in keys) == (became == "added"), became


# --- cancellation ----------------------------------------------------------------------------


async def test_a_write_that_has_begun_is_not_cancelled(driver: PostgresDriver) -> None:
    begun = trio.Event()
    answers: list[str] = []

    async def slow(conn: Connection) -> str:
        await conn.execute("add", "a", "")
        begun.set()
        await conn.fetch("sleep", 0.2)
        return "done"

    async def write() -> None:
        answers.append(await driver.write(slow))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert answers == ["done"]
    assert await _keys(driver) == ["a"]


async def test_after_hundreds_of_cancellations_the_pool_has_all_of_its_connections(
    driver: PostgresDriver, databases: Databases, url: str
) -> None:
    chance = random.Random(3)
    outcomes: Counter[str] = Counter()
    written: set[str] = set()

    async def one(number: int) -> None:
        key = f"{number:06}"
        is_write = chance.random() < 0.5

        async def body(conn: Connection) -> None:
            await conn.fetch_one("number", number)
            if is_write:
                await conn.execute("add", key, "")
            await conn.fetch("sleep", chance.random() * 0.01)

        with trio.move_on_after(chance.random() * 0.2) as scope:
            await (driver.write if is_write else driver.read)(body)
            outcomes["done"] += 1
            if is_write:
                written.add(key)
        outcomes["cancelled"] += scope.cancelled_caught

    # More at once than there are places, so that many are cancelled while they wait for one.
    numbers = itertools.count()
    while outcomes["cancelled"] < 400 or outcomes["done"] < 100:
        async with trio.open_nursery() as nursery:
            for number in itertools.islice(numbers, 60):
                nursery.start_soon(one, number)
    assert driver.pool.free_places == driver.pool.size == 5
    assert len(driver.pool.idle) <= 5
    assert all(session.is_usable for session in driver.pool.idle)
    assert _open_transactions(databases, url) == 0

    async def are_others_gone() -> bool:
        return _connections(databases, url) == len(driver.pool.idle)

    # One that was cut ends when its server process notices.
    await until(are_others_gone)
    assert written == set(await _keys(driver))
    # All of them at once still have their place, and none finds a transaction of another's.
    pids: set[int] = set()

    async def hold(conn: Connection) -> None:
        pids.add((await conn.fetch_one("backend"))["pid"])
        while len(pids) < 5:
            await conn.fetch("sleep", 0.01)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(driver.read, hold)
    assert len(pids) == 5
