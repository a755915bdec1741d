"""The catalog's PostgreSQL restarted, killed, suspended and cut off, before, in and after a
commit: nothing is done twice, nothing is said that is not so, and it heals by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from mediaconvert.backends.asyncio_loop import open_asyncio_loop
from mediaconvert.backends.sql.driver import Body, Connection, Isolation
from mediaconvert.backends.sql.migrations import Migration
from mediaconvert.backends.sql.postgres import PostgresDriver, open_postgres
from mediaconvert.backends.sql.postgres_errors import CONNECTION_ERRORS
from mediaconvert.backends.sql.postgres_session import open_session
from mediaconvert.backends.sql.postgres_uri import parse_postgres_uri
from mediaconvert.errors import Unavailable
from tests.program import wait_until
from tests.servers.postgres import USER, Postgres
from tests.servers.proxy import Proxy, open_proxy

PATIENCE_SECONDS = 240.0
"""A test's own, many times what anything here takes."""
HASTY_SECONDS = 3.0
"""The deadline of those who are to wait in vain; others have all the time that they need."""

QUERIES = {
    "add": "insert into t values ($1)",
    "add_slowly_committed": "insert into slow values ($1)",
    "all": "select k from t order by k",
    "all_slow": "select k from slow order by k",
    "sleep": "select 1 as one from pg_sleep($1)",
}
SCHEMA = [
    Migration(
        1,
        "t",
        (
            "create table t (k text primary key)",
            "create table slow (k text)",
            # Its COMMIT takes a while, as one does that waits for a replica.
            "create function wait() returns trigger language plpgsql as "
            "$$ begin perform pg_sleep(600); return null; end $$",
            "create constraint trigger slow_commit after insert on slow "
            "deferrable initially deferred for each row execute function wait()",
        ),
    )
]


@pytest.fixture(scope="module")
def machine(servers_folder: Path) -> Iterator[Postgres]:
    """A server for the tests of this file, which break it. What it writes down of its own
    accord, transactions' numbers among it, would at a bad moment be there after a crash."""
    server = Postgres(servers_folder / "postgres-faults")
    server.process.start()
    for setting in ("wal_level = minimal", "max_wal_senders = 0", "autovacuum = off"):
        server.execute("postgres", f"alter system set {setting}")
    server.process.restart()
    yield server
    server.process.stop()


class Site(NamedTuple):
    driver: PostgresDriver
    server: Postgres
    proxy: Proxy

    async def add(self, key: str) -> None:
        async def body(conn: Connection) -> None:
            await conn.now_us()
            await conn.execute("add", key)

        await self.driver.write(body)

    async def keys(self, query: str = "all") -> list[str]:
        async def body(conn: Connection) -> list[str]:
            return [row["k"] for row in await conn.fetch(query)]

        return await self.driver.read(body)

    async def known_keys(self, query: str = "all") -> list[str]:
        """The hasty come to know them too, sooner or later."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                try:
                    return await self.keys(query)
                except Unavailable:
                    await trio.sleep(0.1)

    async def settled_keys(self) -> list[str]:
        """Once there is no doubt left about any."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                try:
                    await self.driver.settle()
                    return await self.keys()
                except Unavailable:
                    await trio.sleep(0.1)

    async def fill_pool(self) -> None:
        """All connections open and idle."""
        with trio.fail_after(PATIENCE_SECONDS):
            await self._use_all_at_once()
            while len(self.driver.pool.idle) < self.driver.pool.size:
                await self._use_all_at_once()

    async def _use_all_at_once(self) -> None:
        arrived = 0
        everybody = trio.Event()

        async def body(conn: Connection) -> None:
            nonlocal arrived
            arrived += 1
            if arrived >= self.driver.pool.size:
                everybody.set()
            while not everybody.is_set():
                await conn.fetch("sleep", 0.01)

        async def use() -> None:
            # Those who are hasty may not have met.
            with contextlib.suppress(Unavailable):
                await self.driver.read(body)

        async with trio.open_nursery() as nursery:
            for _ in range(self.driver.pool.size):
                nursery.start_soon(use)

    async def comes_back(self) -> None:
        """Everything is as before, by itself."""
        await self.known_keys()
        await self.fill_pool()
        assert self.driver.pool.free_places == self.driver.pool.size


@contextlib.asynccontextmanager
async def open_site(machine: Postgres, deadline_seconds: float) -> AsyncIterator[Site]:
    with open_proxy(machine.port) as proxy:
        name = machine.create_database()
        url = f"postgres://{USER}@127.0.0.1:{proxy.port}/{name}"
        async with open_postgres(
            parse_postgres_uri(url), QUERIES, SCHEMA, pool_size=4, deadline_seconds=deadline_seconds
        ) as driver:
            yield Site(driver, machine, proxy)
            proxy.open()


@pytest.fixture
async def site(machine: Postgres) -> AsyncIterator[Site]:
    async with open_site(machine, 60.0) as site:
        yield site


@pytest.fixture
async def hasty_site(machine: Postgres) -> AsyncIterator[Site]:
    async with open_site(machine, HASTY_SECONDS) as site:
        yield site


async def test_a_restart_costs_nobody_an_error_even_with_all_connections_dead(site: Site) -> None:
    await site.fill_pool()
    await trio.to_thread.run_sync(site.server.process.restart)
    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(site.add, f"{number:02}")
            nursery.start_soon(site.keys)
    assert len(await site.keys()) == 12
    await site.comes_back()


async def test_what_is_asked_while_the_server_restarts_waits_for_it(site: Site) -> None:
    await site.add("before")
    answered: list[str] = []

    async def go_on() -> None:
        for number in range(50):
            key = f"k{number:02}"
            with trio.fail_after(PATIENCE_SECONDS):
                while True:
                    try:
                        await site.add(key)
                        break
                    except Unavailable as error:
                        # Not said unless it is so: else the second try would find the key.
                        if "nothing was changed" not in str(error):
                            # The commit's answer was lost, and the server is slow to come back.
                            assert "not known whether" in str(error)
                            if key in await site.settled_keys():
                                break
            answered.append(key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_on)
        await trio.to_thread.run_sync(site.server.process.restart)
    assert await site.keys() == ["before", *answered]


async def test_a_killed_server_is_unavailable_and_then_back(site: Site) -> None:
    await site.add("a")
    site.server.process.kill()
    try:
        with pytest.raises(Unavailable, match="nothing was changed"):
            await site.add("b")
        with pytest.raises(Unavailable, match="nothing was changed"):
            await site.keys()
    finally:
        await trio.to_thread.run_sync(site.server.process.start)
    await site.comes_back()
    assert await site.keys() == ["a"]


async def test_a_connection_cut_at_any_moment_is_a_lost_connection_and_no_bug(
    machine: Postgres,
) -> None:
    address = parse_postgres_uri(machine.url())
    lost = 0

    async def ask(number: int) -> None:
        """Statements that are prepared, bound and run until the connection is cut."""
        nonlocal lost
        session = await open_session(address, 10)
        try:
            cut_at = asyncio.get_running_loop().time() + number * 20e-6
            with session.cut_at(cut_at):
                for each in range(1000):
                    await session.raw.fetchval(f"select {each}")
        except CONNECTION_ERRORS:
            lost += 1
        finally:
            session.end()

    async with open_asyncio_loop() as loop:
        for number in range(100):
            await loop.run_aio_coroutine(ask(number))
    assert lost == 100


_USE_UP = "do $$ begin while pg_current_xact_id() <= '{0}'::xid8 loop commit; end loop; end $$"


async def test_a_commit_lost_in_a_crash_is_not_taken_for_anothers_under_its_number(
    site: Site,
) -> None:
    """Of what a transaction had not written to disk, its number included, a crashed server knows
    nothing: the number is given away again."""
    runs = 0

    async def body(conn: Connection) -> None:
        nonlocal runs
        runs += 1
        await conn.now_us()
        server = site.server
        number = server.execute("postgres", "select pg_snapshot_xmin(pg_current_snapshot())")
        server.process.kill()
        server.process.start()
        server.execute("postgres", _USE_UP.format(number))
        status = server.execute("postgres", f"select pg_xact_status('{number}'::xid8)")
        assert status == "committed"

    # It takes as long as the server needs to start.
    address = parse_postgres_uri(site.server.url(site.server.create_database()))
    async with open_postgres(
        address, QUERIES, SCHEMA, pool_size=2, deadline_seconds=60.0
    ) as driver:
        with pytest.raises(Unavailable, match="not known whether"):
            await driver.write(body)
    assert runs == 1
    await site.comes_back()


async def test_a_suspended_server_is_unavailable_in_time_and_then_back(hasty_site: Site) -> None:
    site = hasty_site
    await site.fill_pool()
    site.server.process.suspend()
    try:
        with pytest.raises(Unavailable, match="nothing was changed"):
            await site.add("b")
        with pytest.raises(Unavailable, match="nothing was changed"):
            await site.keys()
    finally:
        site.server.process.resume()
    await site.comes_back()
    assert await site.known_keys() == []


async def test_connections_that_a_firewall_has_forgotten_cost_nobody_an_error(site: Site) -> None:
    await site.fill_pool()
    site.proxy.forget()
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(site.add, str(number))
    assert len(await site.keys()) == 4


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_connection_lost_before_the_commit_is_replaced_and_the_body_runs_again(
    site: Site, isolation: Isolation
) -> None:
    runs = 0

    async def body(conn: Connection) -> int:
        nonlocal runs
        runs += 1
        await conn.execute("add", "a")
        if runs == 1:
            site.proxy.cut()
            await conn.fetch("sleep", 0.0)
        return runs

    assert await site.driver.write(body, isolation=isolation) == 2
    assert await site.keys() == ["a"]


async def test_a_read_that_is_cut_off_is_read_again(site: Site) -> None:
    await site.add("a")
    site.proxy.cut_after(0)
    assert await site.keys() == ["a"]


async def test_a_commit_whose_answer_is_lost_is_found_out(site: Site) -> None:
    runs = 0

    async def body(conn: Connection) -> str:
        nonlocal runs
        runs += 1
        await conn.now_us()
        await conn.execute("add", "a")
        # What is answered next is the commit.
        site.proxy.cut_after(0)
        return "done"

    assert await site.driver.write(body) == "done"
    assert runs == 1
    assert await site.keys() == ["a"]


async def test_a_commit_that_never_arrived_is_done_once_more(site: Site) -> None:
    runs = 0

    async def body(conn: Connection) -> None:
        nonlocal runs
        runs += 1
        await conn.now_us()
        await conn.execute("add", "a")
        if runs == 1:
            site.proxy.cut()

    await site.driver.write(body)
    assert runs == 2
    assert await site.keys() == ["a"]


async def test_a_commit_into_silence_is_not_known_and_is_settled_when_the_network_is_back(
    hasty_site: Site,
) -> None:
    site = hasty_site

    async def body(conn: Connection) -> None:
        await conn.now_us()
        await conn.execute("add", "a")
        site.proxy.silence()

    await _is_in_doubt(site, body)
    with pytest.raises(Unavailable):
        await site.driver.settle()
    # The commit that was held back on the way arrives now, at the server's end of the line.
    site.proxy.open()
    known = await site.settled_keys()
    await site.comes_back()
    assert await site.known_keys() == known


async def _is_in_doubt(site: Site, body: Body[None]) -> None:
    """A write whose commit is sent and not answered. Where the deadline came before the commit,
    nothing was changed, and it is written again."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            with pytest.raises(Unavailable, match=r"not known whether|nothing was changed") as told:
                await site.driver.write(body)
            if "not known" in str(told.value):
                return
            site.proxy.open()
            assert await site.known_keys() == []


async def test_a_commit_that_hangs_in_the_server_is_ended_before_it_is_asked_about(
    hasty_site: Site,
) -> None:
    site = hasty_site

    async def body(conn: Connection) -> None:
        await conn.now_us()
        await conn.execute("add_slowly_committed", "a")

    await _is_in_doubt(site, body)
    await site.settled_keys()
    hanging = "select count(*) from pg_stat_activity where query = 'commit' and state = 'active'"
    # It has lost its transaction, and takes a moment to go.
    wait_until(lambda: site.server.execute("postgres", hanging) == "0", "its process has ended")
    assert await site.known_keys("all_slow") == []


async def test_a_write_into_silence_ends_at_the_deadline_and_changed_nothing(
    hasty_site: Site,
) -> None:
    site = hasty_site

    async def body(conn: Connection) -> None:
        site.proxy.silence()
        await conn.execute("add", "a")

    with pytest.raises(Unavailable, match="nothing was changed"):
        await site.driver.write(body)
    site.proxy.open()
    await site.comes_back()
    assert await site.known_keys() == []


async def test_a_network_that_refuses_is_unavailable_and_then_back(site: Site) -> None:
    await site.fill_pool()
    site.proxy.refuse()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await site.keys()
    site.proxy.open()
    await site.comes_back()


async def test_a_server_without_room_for_another_connection_is_waited_for(site: Site) -> None:
    role = f"limited_{site.proxy.port}"
    site.server.execute("postgres", f"create role {role} login connection limit 1")
    site.server.execute("postgres", f"create database {role} owner {role}")
    url = f"postgres://{role}@127.0.0.1:{site.server.port}/{role}"
    async with open_postgres(
        parse_postgres_uri(url), QUERIES, SCHEMA, pool_size=2, deadline_seconds=60.0
    ) as driver:
        begun, refused = trio.Event(), trio.Event()

        async def hold(conn: Connection) -> None:
            begun.set()
            while not refused.is_set():
                await conn.fetch("sleep", 0.01)

        async def ask(conn: Connection) -> None:
            await conn.fetch("all")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.read, hold)
            await begun.wait()
            with pytest.raises(Unavailable, match="no connection left"):
                await driver.read(ask)
            refused.set()
        await driver.read(ask)
