"""Machines whose clocks differ by an hour: leases, ages and orphans go by one clock."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs
from tests.cluster.nodes import SHIFTED_CLOCK
from tests.cluster.test_leases import SHORT, assert_completed_once, other_worker, upload_film
from tests.cluster.topology import Servers, open_cluster
from tests.program import ROOT
from tests.service.media import long_film

HOUR = 3600.0


@pytest.mark.slow
def test_clocks_an_hour_off_take_no_lease_too_early_and_none_too_late(
    tmp_path: Path, servers: Servers, films: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=0, settings=SHORT) as cluster:
        early = cluster.add("worker", clock_shift_seconds=-HOUR)
        late = cluster.add("worker", clock_shift_seconds=HOUR)
        cluster.start([early, late])
        for node, shift in ((early, -HOUR), (late, HOUR)):
            (ready,) = node.said("working")
            off = datetime.fromisoformat(ready["time"]) - datetime.now(UTC)
            assert abs(off.total_seconds() - shift) < HOUR / 2
        person = cluster.person()
        # Longer than several leases, beside a peer that thinks they have run out long ago.
        film = long_film(films, seconds=30)
        quiet = upload_film(person, film)
        assert_completed_once(cluster, person, quiet, attempts=1)
        orphan = person.upload("film.mp4", film, "video-complete")
        assert orphan is not None
        dead = cluster.wait_for_worker(orphan)
        heir = other_worker(cluster, dead)
        dead.kill()
        assert_completed_once(cluster, person, orphan, attempts=2)
        assert not heir.said("no longer ours")


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_a_clock_that_is_off_makes_no_blob_of_a_shared_folder_an_orphan_or_a_young_one(
    tmp_path: Path, shift: float
) -> None:
    async with open_directory_blobs(tmp_path, min_free_bytes=0) as blobs:
        stored = []
        for age in (0, HOUR):
            async with blobs.stage() as writer:
                await writer.write(b"bytes")
                await writer.seal()
            path = blobs.layout.sealed(writer.blob_id)
            written = path.stat().st_mtime - age
            os.utime(path, (written, written))
            stored.append(writer.blob_id)
    _young, old = stored
    seen = await trio.run_process(
        [
            *(sys.executable, str(SHIFTED_CLOCK), str(shift)),
            *(sys.executable, "-m", "tests.cluster.old_blobs", str(tmp_path), str(HOUR / 2)),
        ],
        cwd=ROOT,
        capture_stdout=True,
    )
    assert seen.stdout.decode().split() == [old]
