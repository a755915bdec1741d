"""Notices while Redis is dead, silent, slow or foreign: own subscribers notice nothing, the
rest is said once, and everything heals by itself."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.notices.memory import MAX_WAITING
from mediaconvert.backends.notices.redis import RedisNotices, open_redis_notices
from mediaconvert.backends.notices.redis_address import parse_address
from mediaconvert.errors import Unavailable
from mediaconvert.ports.notices import Notice, Subscription, Topic
from tests.servers.process import free_port
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.redis import KIND, Redis

PATIENCE_SECONDS = 240.0
"""Many times what healing takes."""
DOWN = "notices do not get through; workers poll meanwhile"
AGAIN = "notices get through again"


@pytest.fixture
def own_redis(servers_folder: Path) -> Iterator[Redis]:
    """One that a test may stop."""
    server = Redis(servers_folder / f"redis-{secrets.token_hex(4)}")
    server.process.start()
    yield server
    server.process.stop()


@asynccontextmanager
async def _listening(address: str) -> AsyncIterator[Subscription]:
    """Of another process, which hears what is published from here on, and nothing earlier."""
    async with _process(address) as other:
        await _well(other)
        async with other.subscribe(Topic.JOB_READY) as subscription:
            yield subscription


@asynccontextmanager
async def _process(address: str, installation: str = "films") -> AsyncIterator[RedisNotices]:
    async with open_redis_notices(parse_address(address), installation) as notices:
        yield notices


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask a state that no event announces until it holds."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            if await condition():
                return
            await trio.sleep(0.05)


async def _complaint(notices: RedisNotices) -> str:
    """Why they do not get through at the moment; empty when they do."""
    try:
        await notices.check()
    except Unavailable as error:
        return str(error)
    return ""


async def _well(notices: RedisNotices) -> str:
    """Once it is; the server's version."""
    versions: list[str] = []

    async def is_well() -> bool:
        with contextlib.suppress(Unavailable):
            versions.append(await notices.check())
        return bool(versions)

    await _until(is_well)
    return versions[0]


async def _ill(notices: RedisNotices, words: str = "") -> None:
    """Once it is, for a reason that has these words; that lasts until a later probe has come
    back."""

    async def is_ill() -> bool:
        why = await _complaint(notices)
        return bool(why) and words in why

    await _until(is_ill)


async def _arrives(publisher: RedisNotices, subscription: Subscription) -> None:
    """Something published now reaches the subscription, unless that has just been told to look
    for itself: then it has missed it, and the next one does."""
    value = secrets.token_hex(4)
    heard = Notice(Topic.JOB_READY)
    with trio.fail_after(PATIENCE_SECONDS):
        while heard.value != value:
            if heard == Notice(Topic.JOB_READY):
                await publisher.publish(Notice(Topic.JOB_READY, value))
            heard = await subscription.receive()


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [r for r in caplog.records if r.name == "mediaconvert.notices"]
    return [record.getMessage().partition(": ")[0] for record in ours]


async def test_without_redis_at_the_start_own_subscribers_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    async with (
        _process(f"redis://ann:hunter2@127.0.0.1:{port}") as notices,
        notices.subscribe(Topic.JOB_READY) as subscription,
    ):
        await _arrives(notices, subscription)
        await _ill(notices, "connection refused")
    (line,) = [r.getMessage() for r in caplog.records]
    assert line == f"{DOWN}: Redis at 127.0.0.1:{port} cannot be used: connection refused"


async def test_redis_that_comes_later_is_used_from_then_on(
    servers_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = Redis(servers_folder / f"redis-{secrets.token_hex(4)}")
    async with (
        _process(server.address) as one,
        _process(server.address) as other,
        other.subscribe(Topic.JOB_READY) as subscription,
    ):
        await _ill(one)
        await one.publish(Notice(Topic.JOB_READY, "kept"))
        server.process.start()
        try:
            assert (await _well(one)).startswith(f"{KIND} ")
            await _well(other)
            await _arrives(one, subscription)
        finally:
            server.process.stop()


@pytest.mark.parametrize("how", ["killed", "suspended", "silent", "refused", "cut"])
async def test_an_outage_is_said_once_and_heals_by_itself(
    own_redis: Redis, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.INFO)
    with open_proxy(own_redis.port) as proxy:
        async with (
            _process(f"127.0.0.1:{proxy.port}") as notices,
            _process(own_redis.address) as other,
            notices.subscribe(Topic.JOB_READY) as own,
            other.subscribe(Topic.JOB_READY) as there,
        ):
            await _well(notices)
            await _arrives(notices, there)
            await _well(notices)
            caplog.clear()
            await _break(own_redis, proxy, how)
            await _until_said(caplog, DOWN)
            await _arrives(notices, own)
            await _mend(own_redis, proxy, how)
            await _well(notices)
            await _well(other)
            await _arrives(notices, there)
            await _arrives(other, own)
    assert _said(caplog).count(AGAIN) >= 1


async def test_a_change_of_state_is_logged_once(
    own_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with _process(own_redis.address) as notices:
        for _ in range(2):
            await _well(notices)
            await trio.to_thread.run_sync(own_redis.process.kill)
            said_before = len(_said(caplog))
            await _ill(notices)
            async with await _listen(own_redis.port) as refusing:
                for _ in range(6):
                    with trio.fail_after(PATIENCE_SECONDS):
                        await (await refusing.accept()).aclose()
            await _until_said(caplog, DOWN)
            assert AGAIN not in _said(caplog)[said_before:]
            await trio.to_thread.run_sync(own_redis.process.start)
            await _well(notices)
    # Two outages are the test's; a machine that pauses for seconds may make another.
    outages, rest = divmod(len(_said(caplog)), 2)
    assert outages >= 2 and rest == 0
    assert _said(caplog) == [DOWN, AGAIN] * outages


async def _until_said(caplog: pytest.LogCaptureFixture, what: str) -> None:
    async def is_said() -> bool:
        return what in _said(caplog)

    await _until(is_said)


async def _listen(port: int) -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    return listener


async def test_after_an_outage_whoever_waits_looks_for_himself(own_redis: Redis) -> None:
    """What was published meanwhile was missed."""
    async with (
        _process(own_redis.address) as notices,
        notices.subscribe(Topic.JOB_READY) as subscription,
    ):
        await trio.to_thread.run_sync(own_redis.process.restart)
        with trio.fail_after(PATIENCE_SECONDS):
            assert await subscription.receive() == Notice(Topic.JOB_READY)


async def test_what_is_published_during_an_outage_is_delivered_after_it_in_order(
    own_redis: Redis,
) -> None:
    with open_proxy(own_redis.port) as proxy:
        async with (
            _listening(own_redis.address) as subscription,
            _process(f"127.0.0.1:{proxy.port}") as notices,
        ):
            proxy.refuse()
            await _ill(notices)
            # More than wait at most: the oldest go.
            for n in range(MAX_WAITING + 500):
                await notices.publish(Notice(Topic.JOB_READY, str(n)))
            proxy.open()
            # Some may come twice.
            received: dict[str, None] = {}
            with trio.fail_after(PATIENCE_SECONDS):
                while len(received) < MAX_WAITING:
                    received.setdefault((await subscription.receive()).value)
    assert list(received) == [str(n) for n in range(500, MAX_WAITING + 500)]


async def test_what_was_under_way_when_the_connection_died_is_sent_again(
    own_redis: Redis,
) -> None:
    with open_proxy(own_redis.port) as proxy:
        async with (
            _listening(own_redis.address) as subscription,
            _process(f"127.0.0.1:{proxy.port}") as notices,
        ):
            await _well(notices)
            # What goes into this connection from now on comes out nowhere.
            proxy.forget()
            for n in range(3):
                await notices.publish(Notice(Topic.JOB_READY, str(n)))
            with trio.fail_after(PATIENCE_SECONDS):
                received = [(await subscription.receive()).value for _ in range(3)]
    assert received == ["0", "1", "2"]


async def test_a_subscriber_who_does_not_read_stops_nobody(own_redis: Redis) -> None:
    async with (
        _process(own_redis.address) as one,
        _process(own_redis.address) as other,
        other.subscribe(Topic.JOB_READY) as slow,
        other.subscribe(Topic.JOB_READY) as quick,
    ):
        await _well(one)
        await _well(other)
        for n in range(3 * MAX_WAITING):
            await one.publish(Notice(Topic.JOB_READY, str(n)))
            if n % 1000 == 999:
                with trio.fail_after(PATIENCE_SECONDS):
                    while (await quick.receive()).value != str(n):
                        pass
        # The newest, as many as may wait.
        newest = [(await slow.receive()).value for _ in range(MAX_WAITING)]
    assert newest.index(str(3 * MAX_WAITING - 1)) == MAX_WAITING - 1


async def test_a_listening_connection_that_carries_nothing_is_replaced(own_redis: Redis) -> None:
    """Nothing but the own probes can show it: listening is waiting."""
    with open_proxy(own_redis.port) as proxy:
        async with (
            _process(f"127.0.0.1:{proxy.port}") as notices,
            _process(own_redis.address) as other,
            notices.subscribe(Topic.JOB_READY) as subscription,
        ):
            await _well(notices)
            proxy.forget()
            await _ill(notices)
            await _well(notices)
            await _arrives(other, subscription)


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ("", "wants a password, and redis.url (REDIS_URL) has none; write it as in redis://:pass"),
        (
            "mute@",
            "redis.url (REDIS_URL) has none; write it as in redis://mute:password@127.0.0.1:",
        ),
        (":wrong@", "refuses the user and password of redis.url (REDIS_URL)"),
        ("nobody:film@", "refuses the user and password of redis.url (REDIS_URL)"),
        ("mute:film@", "does not allow this user what notices need"),
    ],
)
async def test_a_login_that_is_not_enough_is_said_without_the_password(
    servers_folder: Path, login: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Redis(
        servers_folder / f"redis-{secrets.token_hex(4)}",
        *(
            "--requirepass",
            "secret",
            "--user",
            "mute",
            "on",
            ">film",
            "allchannels",
            "+ping",
            "+info",
        ),
    )
    server.process.start()
    try:
        async with _process(f"redis://{login}{server.address}") as notices:
            await _ill(notices, sentence)
            why = await _complaint(notices)
        async with _process(f"redis://:secret@{server.address}/2") as notices:
            await _well(notices)
    finally:
        server.process.stop()
    text = caplog.text + why
    assert "wrong" not in text and "film@" not in text and "hunter" not in text


async def _break(server: Redis, proxy: Proxy, how: str) -> None:
    match how:
        case "killed":
            await trio.to_thread.run_sync(server.process.kill)
        case "suspended":
            server.process.suspend()
        case "silent":
            proxy.silence()
        case "refused":
            proxy.refuse()
        case _:
            proxy.cut()


async def _mend(server: Redis, proxy: Proxy, how: str) -> None:
    match how:
        case "killed":
            await trio.to_thread.run_sync(server.process.start)
        case "suspended":
            server.process.resume()
        case _:
            proxy.open()
