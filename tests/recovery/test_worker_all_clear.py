"""A worker says of a server that was away that it is back, and only when it has answered."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from mediaconvert.model import JobStatus
from mediaconvert.workers.leases import Stop
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
