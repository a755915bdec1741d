"""What notices through a server promise between processes; each opened one stands for one."""

from __future__ import annotations

import json
import secrets

import pytest
import redis
import trio

from mediaconvert.ports.notices import Notice, Topic
from tests.conformance.channels import open_well_notices, until_well


@pytest.fixture(params=["redis", "valkey"])
def address(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_address")
    return found


@pytest.fixture
def installation() -> str:
    return secrets.token_hex(8)


async def test_a_notice_reaches_the_other_process(address: str, installation: str) -> None:
    async with (
        open_well_notices(address, installation) as one,
        open_well_notices(address, installation) as other,
        other.subscribe(Topic.CREDENTIAL_REVOKED) as subscription,
    ):
        await one.publish(Notice(Topic.CREDENTIAL_REVOKED, "AKÉXAMPLE"))
        assert await subscription.receive() == Notice(Topic.CREDENTIAL_REVOKED, "AKÉXAMPLE")


async def test_notices_of_each_publisher_arrive_in_order(address: str, installation: str) -> None:
    async with (
        open_well_notices(address, installation) as one,
        open_well_notices(address, installation) as two,
        open_well_notices(address, installation) as listener,
        listener.subscribe(Topic.JOB_READY) as subscription,
    ):
        for n in range(2000):
            await one.publish(Notice(Topic.JOB_READY, f"one {n}"))
            await two.publish(Notice(Topic.JOB_READY, f"two {n}"))
        received = [(await subscription.receive()).value for _ in range(4000)]
    for name in ("one", "two"):
        own = [value for value in received if value.startswith(name)]
        assert own == [f"{name} {n}" for n in range(2000)]


async def test_the_publisher_itself_hears_each_notice_once(address: str, installation: str) -> None:
    async with (
        open_well_notices(address, installation) as one,
        open_well_notices(address, installation) as other,
        one.subscribe(Topic.JOB_READY, Topic.USER_CHANGED) as own,
        other.subscribe(Topic.JOB_READY) as there,
    ):
        await one.publish(Notice(Topic.JOB_READY, "1"))
        assert (await there.receive()).value == "1"
        # What the other one says next comes after the echo of the first.
        await other.publish(Notice(Topic.USER_CHANGED))
        assert [await own.receive(), await own.receive()] == [
            Notice(Topic.JOB_READY, "1"),
            Notice(Topic.USER_CHANGED),
        ]


async def test_another_installation_on_the_same_server_hears_nothing(
    address: str, installation: str
) -> None:
    async with (
        open_well_notices(address, installation) as one,
        open_well_notices(address, installation) as peer,
        open_well_notices(address, secrets.token_hex(8)) as stranger,
        open_well_notices(address, installation + "0") as namesake,
        stranger.subscribe(*Topic) as strange,
        namesake.subscribe(*Topic) as similar,
        peer.subscribe(*Topic) as heard,
    ):
        await one.publish(Notice(Topic.JOB_READY, "ours"))
        assert (await heard.receive()).value == "ours"
        await stranger.publish(Notice(Topic.JOB_READY, "its own"))
        assert (await strange.receive()).value == "its own"
        await namesake.publish(Notice(Topic.JOB_READY, "its own"))
        assert (await similar.receive()).value == "its own"


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\xff\xfe",
        b"hello",
        b"[" * 900,
        b"[1, 2]",
        b"null",
        json.dumps({"topic": "job_ready", "value": "1"}).encode(),
        json.dumps({"from": "x", "topic": "job_ready", "value": 7}).encode(),
        json.dumps({"from": "x", "topic": "of_a_later_version", "value": "7"}).encode(),
        json.dumps({"from": ["x"], "topic": "job_ready", "value": "7"}).encode(),
        json.dumps({"from": "x", "topic": ["job_ready"], "value": "7"}).encode(),
        json.dumps({"from": "x", "topic": "job_ready", "value": "7" * 2000}).encode(),
    ],
)
async def test_what_is_no_notice_of_ours_is_nothing(
    address: str, installation: str, foreign: bytes
) -> None:
    async with (
        open_well_notices(address, installation) as one,
        open_well_notices(address, installation) as other,
        other.subscribe(*Topic) as subscription,
    ):
        await trio.to_thread.run_sync(_publish, address, installation, foreign)
        await one.publish(Notice(Topic.JOB_READY, "ours"))
        assert (await subscription.receive()).value == "ours"
        assert await until_well(other) == await until_well(one)


async def test_what_was_published_last_leaves_before_the_process_ends(
    address: str, installation: str
) -> None:
    async with (
        open_well_notices(address, installation) as listener,
        listener.subscribe(Topic.JOB_READY) as subscription,
    ):
        async with open_well_notices(address, installation) as leaving:
            for n in range(1500):
                await leaving.publish(Notice(Topic.JOB_READY, str(n)))
        assert [(await subscription.receive()).value for _ in range(1500)] == [
            str(n) for n in range(1500)
        ]


def _publish(address: str, installation: str, content: bytes) -> None:
    url = address if "://" in address else f"redis://{address}"
    with redis.Redis.from_url(url) as client:
        assert client.publish(f"mediaconvert:{installation}", content) == 2
