"""What every kind of notices promises (ports/notices.py), asked of each implementation."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from mediaconvert.backends.notices.memory import MemoryNotices
from mediaconvert.ports.notices import Notice, Notices, Topic
from tests.conformance.channels import open_well_notices, until_well


@asynccontextmanager
async def _memory(request: pytest.FixtureRequest) -> AsyncIterator[Notices]:
    yield MemoryNotices()


@asynccontextmanager
async def _redis(request: pytest.FixtureRequest) -> AsyncIterator[Notices]:
    address: str = request.getfixturevalue("redis_address")
    async with open_well_notices(address, secrets.token_hex(8)) as notices:
        yield notices


@asynccontextmanager
async def _valkey(request: pytest.FixtureRequest) -> AsyncIterator[Notices]:
    address: str = request.getfixturevalue("valkey_address")
    async with open_well_notices(address, secrets.token_hex(8)) as notices:
        yield notices


KINDS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Notices]]] = {
    "memory": _memory,
    "redis": _redis,
    "valkey": _valkey,
}


@pytest.fixture(params=KINDS)
async def notices(request: pytest.FixtureRequest) -> AsyncIterator[Notices]:
    async with KINDS[request.param](request) as kind:
        yield kind


async def test_a_subscriber_gets_what_is_published_after_it_entered(notices: Notices) -> None:
    await notices.publish(Notice(Topic.JOB_READY, "1"))
    async with notices.subscribe(Topic.JOB_READY) as subscription:
        await notices.publish(Notice(Topic.JOB_READY, "2"))
        assert await subscription.receive() == Notice(Topic.JOB_READY, "2")


async def test_notices_of_one_publisher_come_in_order(notices: Notices) -> None:
    async with notices.subscribe(Topic.JOB_READY) as subscription:
        for n in range(100):
            await notices.publish(Notice(Topic.JOB_READY, str(n)))
        assert [(await subscription.receive()).value for _ in range(100)] == [
            str(n) for n in range(100)
        ]


async def test_only_the_topics_asked_for_arrive(notices: Notices) -> None:
    async with notices.subscribe(Topic.JOB_CANCELED, Topic.USER_CHANGED) as subscription:
        await notices.publish(Notice(Topic.JOB_READY, "1"))
        await notices.publish(Notice(Topic.JOB_CANCELED, "2"))
        await notices.publish(Notice(Topic.USER_CHANGED))
        assert (await subscription.receive()).topic is Topic.JOB_CANCELED
        assert (await subscription.receive()).topic is Topic.USER_CHANGED


async def test_every_subscriber_gets_each_notice(notices: Notices) -> None:
    async with (
        notices.subscribe(Topic.JOB_READY) as first,
        notices.subscribe(Topic.JOB_READY) as second,
    ):
        await notices.publish(Notice(Topic.JOB_READY, "7"))
        assert (await first.receive()).value == (await second.receive()).value == "7"


async def test_a_waiting_receiver_is_woken(notices: Notices) -> None:
    got: list[Notice] = []

    async with notices.subscribe(Topic.CREDENTIAL_REVOKED) as subscription:

        async def wait() -> None:
            got.append(await subscription.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await notices.publish(Notice(Topic.CREDENTIAL_REVOKED, "AKEXAMPLE"))
    assert got == [Notice(Topic.CREDENTIAL_REVOKED, "AKEXAMPLE")]


async def test_a_cancelled_receiver_loses_nothing(notices: Notices) -> None:
    async with notices.subscribe(Topic.JOB_READY) as subscription:
        with trio.move_on_after(0):
            await subscription.receive()
        await notices.publish(Notice(Topic.JOB_READY, "1"))
        with trio.move_on_after(0):
            await subscription.receive()
        assert (await subscription.receive()).value == "1"


async def test_a_slow_subscriber_blocks_nobody_and_loses_the_oldest(notices: Notices) -> None:
    async with notices.subscribe(Topic.JOB_READY) as subscription:
        for n in range(10_500):
            await notices.publish(Notice(Topic.JOB_READY, str(n)))
        received = [int((await subscription.receive()).value) for _ in range(10_000)]
    assert received == list(range(500, 10_500))


async def test_publishing_without_subscribers_is_no_error(notices: Notices) -> None:
    await notices.publish(Notice(Topic.USER_CHANGED))
    await until_well(notices)


async def test_a_notice_is_published_although_its_publisher_is_cancelled(
    notices: Notices,
) -> None:
    async with notices.subscribe(Topic.JOB_READY) as subscription:
        with trio.CancelScope() as scope:
            scope.cancel()
            await notices.publish(Notice(Topic.JOB_READY, "1"))
        assert (await subscription.receive()).value == "1"
