"""A worker says of a server that was away that it is back, and only when it has answered."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from mediaconvert.backends.blobs.directory import open_directory_blobs
from mediaconvert.errors import Unavailable
from mediaconvert.model import JobStatus
from mediaconvert.workers.leases import Stop
from mediaconvert.workers.store_watch import BLIND_SECONDS, StoreWatch
from tests.program import PHOTO
from tests.recovery.test_worker_jobs import RESIZE
from tests.recovery.worker_rig import open_rig, settings_for, until

THE_SERVER_IS_BACK = "the test lets the server answer from here on"


def said(caplog: pytest.LogCaptureFixture, *beginnings: str) -> list[str]:
    return [each.message for each in caplog.records if each.message.startswith(beginnings)]


async def until_said(caplog: pytest.LogCaptureFixture, beginning: str, times: int = 1) -> None:
    async def look() -> bool:
        await trio.lowlevel.checkpoint()
        return len(said(caplog, beginning)) >= times

    await until(look)


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Goes as every clock, but can be put forward."""
    return trio.testing.MockClock(rate=1.0)


async def test_jobs_are_not_said_to_be_claimed_again_when_a_store_is_trusted_unseen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: trio.testing.MockClock
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.workers")
    blobs = tmp_path / "blobs"
    settings = settings_for(tmp_path, slots=1, retry_base_seconds=0.2)
    async with open_rig(settings) as rig, trio.open_nursery() as nursery:
        jobs = [await rig.submit(PHOTO.read_bytes(), RESIZE, key=f"{n}.jpg") for n in range(2)]
        pool = rig.pool()
        blobs.rename(tmp_path / "unmounted")
        await nursery.start(pool.run)
        await until_said(caplog, "no job can be claimed: ")
        before = len(said(caplog, "a job failed"))
        clock.jump(BLIND_SECONDS)
        # It is tried, and it is still away.
        await until_said(caplog, "a job failed", before + 1)
        logging.getLogger("mediaconvert.workers").info(THE_SERVER_IS_BACK)
        (tmp_path / "unmounted").rename(blobs)
        await until_said(caplog, "jobs can be claimed again")
        await until_said(caplog, "completed a job", len(jobs))
        await pool.drain()
    told = said(caplog, "no job can be claimed", "jobs can", THE_SERVER_IS_BACK)
    assert told[0].startswith("no job can be claimed: ")
    assert told[1:3] == [THE_SERVER_IS_BACK, "jobs can be claimed again"]


async def test_a_store_that_takes_an_output_is_no_longer_in_doubt(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_bytes(b"x")
    async with open_directory_blobs(tmp_path / "blobs", min_free_bytes=0) as blobs:
        store = StoreWatch(blobs)
        store.doubt(Unavailable("it did not answer"))
        assert store.is_in_doubt
        await store.adopt(output)
        assert not store.is_in_doubt


async def test_leases_are_not_said_to_be_renewed_again_while_the_catalog_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mediaconvert.workers.leases")
    settings = settings_for(tmp_path, lease_seconds=3.0, renew_seconds=0.1)
    async with (
        open_rig(settings, with_tools=False, catalog_seconds=2.0) as rig,
        trio.open_nursery() as nursery,
    ):
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        job = await rig.claim()
        with closing(sqlite3.connect(tmp_path / "catalog.db")) as other:
            other.execute("begin immediate")
            nursery.start_soon(rig.keeper.run)
            with rig.keeper.hold(job, trio.current_time()) as held, held.scope:
                await trio.sleep_forever()
            assert held.stopped is Stop.UNRENEWED
            # Nothing is left to be renewed. It is to be given back, which is tried in vain.
            await until_said(caplog, "a job cannot be given back yet", times=3)
            logging.getLogger("mediaconvert.workers.leases").info(THE_SERVER_IS_BACK)
            other.rollback()
        await until_said(caplog, "leases can be renewed again")
        await until_said(caplog, "gave back a job")
        nursery.cancel_scope.cancel()
        assert (await rig.job(job_id)).status is JobStatus.PENDING
    told = said(caplog, "leases", THE_SERVER_IS_BACK)
    assert told[0].startswith("leases cannot be renewed: ")
    assert told[1:3] == [THE_SERVER_IS_BACK, "leases can be renewed again"]
