"""What an S3 store's absence leaves behind: in the store, and in the log of who asked it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import certifi
import pytest
import trio
from botocore.exceptions import ClientError

from mediaconvert.backends.blobs.s3 import S3Blobs
from mediaconvert.backends.blobs.s3_health import StoreHealth
from mediaconvert.backends.blobs.s3_http import Patience, StoreHttp
from mediaconvert.errors import StartupError, Unavailable
from tests.program import Person, run_program
from tests.servers.answering import answering
from tests.servers.process import free_port
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import connect, s3_blobs, s3_environment

PATIENCE_SECONDS = 240.0


@pytest.fixture
def proxy(seaweedfs: SeaweedFS) -> Iterator[Proxy]:
    with open_proxy(seaweedfs.port) as proxy:
        yield proxy


def address(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


async def until_it_answers(blobs: S3Blobs) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                await blobs.check()
            except Unavailable:
                await trio.sleep(0.1)
            else:
                return


def keys_of(blobs: S3Blobs, store: SeaweedFS) -> list[str]:
    with connect(store.endpoint) as other:
        found = other.list_objects_v2(Bucket="blobs", Prefix=blobs.prefix)
        return [each["Key"].removeprefix(blobs.prefix) for each in found.get("Contents", [])]


async def test_a_trial_object_that_could_not_be_deleted_is_deleted_by_the_next_trial(
    seaweedfs: SeaweedFS, proxy: Proxy
) -> None:
    async with s3_blobs(address(proxy)) as blobs:
        # The store takes it, and we never hear of it.
        proxy.cut_after(0)
        with pytest.raises(Unavailable):
            await blobs.check()
        (left,) = keys_of(blobs, seaweedfs)
        assert left.startswith("trial-")
        await until_it_answers(blobs)
        assert keys_of(blobs, seaweedfs) == []


# --- the log ---------------------------------------------------------------------------------

AWAY, BACK = "the blob store is away: ", "the blob store is back"


def changes(messages: list[str]) -> list[str]:
    return [message for message in messages if message.startswith((AWAY, BACK))]


@pytest.mark.parametrize("how", ["refuse", "silence"])
async def test_that_the_store_is_away_is_said_once_and_that_it_is_back(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.backends.blobs")
    async with s3_blobs(address(proxy)) as blobs:
        await blobs.check()
        assert changes(caplog.messages) == []
        getattr(proxy, how)()
        with trio.fail_after(PATIENCE_SECONDS):
            # Asked until it has failed for long enough; the thread of a check that was given up
            # says so when it is over.
            while not changes(caplog.messages):
                with pytest.raises(Unavailable):
                    await blobs.check()
                await trio.sleep(0.05)
        with pytest.raises(Unavailable):
            await blobs.check()
        (away,) = changes(caplog.messages)
        assert away.startswith(AWAY)
        proxy.open()
        await until_it_answers(blobs)
    assert changes(caplog.messages)[:2] == [away, BACK]


class _IllEveryOtherTime(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if self.asked % 2 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not on the tests' output."""


def test_a_store_that_answers_503_now_and_then_is_not_said_to_be_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.backends.blobs")
    # Each look at the clock is another quarter of an hour.
    hours = itertools.count(1.0, 900.0)
    http = StoreHttp(ca_file=certifi.where())
    http.health = StoreHealth(lambda: next(hours))
    http.health.watch()
    with (
        answering(_IllEveryOtherTime) as address,
        closing(http),
        http.patient(Patience(retry_seconds=0.0)),
    ):
        answered = [http.request("GET", address).status for _ in range(6)]
    assert answered == [503, 200] * 3
    assert changes(caplog.messages) == []


async def test_of_a_store_that_is_away_at_the_start_only_the_start_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(StartupError, match="could not be reached"):
        async with s3_blobs(f"http://127.0.0.1:{free_port()}"):
            raise AssertionError("the block must not run")
    assert changes(caplog.messages) == []


@pytest.mark.slow
def test_an_upload_of_which_nothing_was_stored_is_not_said_to_have_left_a_blob(
    tmp_path: Path, proxy: Proxy
) -> None:
    environment = s3_environment(address(proxy))
    with run_program(tmp_path, "--role", "api", environment=environment) as program:
        person = Person(program.url)
        proxy.refuse()
        with pytest.raises(ClientError, match="ServiceUnavailable"):
            person.upload("film.mp4", b"never stored")
        program.wait_for_log(AWAY, is_prefix=True)
        proxy.open()
        person.upload("film.mp4", b"stored")
        program.wait_for_log(BACK)
        assert not [line for line in program.log if "left to the sweep" in str(line["message"])]
