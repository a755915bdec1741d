"""Machines whose clocks differ by an hour: leases, ages and orphans go by one clock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.test_leases import SHORT, assert_completed_once, other_worker, upload_film
from tests.cluster.topology import Servers, open_cluster
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
