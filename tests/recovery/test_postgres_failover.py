"""A replica in the place of the primary: refused while it is one, found when it is promoted, and
never taken for the server that knew about a commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from mediaconvert.backends.sql.driver import Connection
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres import PostgresDriver, open_postgres
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import StartupError, Unavailable
from tests.program import wait_until
from tests.servers.postgres import USER, Postgres

PATIENCE_SECONDS = 240.0
QUERIES = {"add": "insert into t values ($1)", "all": "select k from t order by k"}
DEADLINE_SECONDS = 60.0
"""Of a transaction: no test here is about it."""
SCHEMA = [Migration(1, "t", ("create table t (k text primary key)",))]


class Pair(NamedTuple):
    primary: Postgres
    replica: Postgres

    @property
    def url(self) -> str:
        """Whichever of both takes writes."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}"
        return f"postgres://{USER}@{hosts}/postgres?target_session_attrs=read-write"

    def wait_for(self, key: str) -> None:
        """Until the replica has what the primary has."""
        exists = "select to_regclass('t') is not null"
        wait_until(lambda: self.replica.execute("postgres", exists) == "t", "the table")
        found = f"select count(*) from t where k = '{key}'"
        wait_until(lambda: self.replica.execute("postgres", found) == "1", "the row")

    def fail_over(self) -> None:
        self.primary.process.kill()
        self.replica.promote()
        # The numbers that the primary gave to transactions of its own are soon those of others.
        self.replica.execute(
            "postgres",
            "do $$ begin for i in 1..200 loop perform pg_current_xact_id(); commit; "
            "end loop; end $$",
        )


@pytest.fixture
def pair(servers_folder: Path, tmp_path: Path) -> Iterator[Pair]:
    primary = Postgres(servers_folder / f"{tmp_path.name}-primary")
    primary.process.start()
    try:
        replica = Postgres(servers_folder / f"{tmp_path.name}-replica", replica_of=primary)
        replica.process.start()
        try:
            yield Pair(primary, replica)
        finally:
            replica.process.stop()
    finally:
        primary.process.stop()


async def _add(driver: PostgresDriver, key: str) -> None:
    async def body(conn: Connection) -> None:
        await conn.now_us()
        await conn.execute("add", key)

    await driver.write(body)


async def _keys(driver: PostgresDriver) -> list[str]:
    async def body(conn: Connection) -> list[str]:
        return [row["k"] for row in await conn.fetch("all")]

    return await driver.read(body)


async def test_a_replica_is_read_and_not_written(pair: Pair) -> None:
    replica = parse_postgres_uri(pair.replica.url())
    with pytest.raises(StartupError, match="read-only replica; name the primary"):
        async with open_postgres(replica, QUERIES, SCHEMA, deadline_seconds=DEADLINE_SECONDS):
            pass
    async with open_postgres(
        parse_postgres_uri(pair.primary.url()), QUERIES, SCHEMA, deadline_seconds=DEADLINE_SECONDS
    ) as driver:
        await _add(driver, "a")
    pair.wait_for("a")
    async with open_postgres(replica, QUERIES, SCHEMA, deadline_seconds=DEADLINE_SECONDS) as driver:
        assert await _keys(driver) == ["a"]
        with pytest.raises(Unavailable, match="read-only replica"):
            await _add(driver, "b")


async def test_the_promoted_replica_is_found_and_is_not_asked_about_what_it_never_saw(
    pair: Pair,
) -> None:
    async with open_postgres(
        parse_postgres_uri(pair.url), QUERIES, SCHEMA, deadline_seconds=DEADLINE_SECONDS
    ) as driver:
        await _add(driver, "before")
        pair.wait_for("before")

        async def body(conn: Connection) -> None:
            await conn.now_us()
            await conn.execute("add", "lost")
            pair.fail_over()

        # Its number may be another transaction's there.
        with pytest.raises(Unavailable, match="not known whether"):
            await driver.write(body)
        await driver.settle()
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                try:
                    await _add(driver, "after")
                    break
                except Unavailable:
                    await trio.sleep(0.1)
        assert await _keys(driver) == ["after", "before"]
