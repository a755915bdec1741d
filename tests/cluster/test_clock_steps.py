"""The clock of the database server is set by an hour while nodes work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.test_leases import SHORT, other_worker
from tests.cluster.topology import Cluster, Servers, open_cluster
from tests.program import PHOTO, wait_until
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.wall_clock import HOUR, WallClock

LONGEST_US = 30 * 60 * 1_000_000


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_step_of_the_servers_clock_costs_no_job_anything(
    tmp_path: Path, servers_folder: Path, redis_server: Redis, film: Path, step: int
) -> None:
    clock = WallClock(servers_folder / f"clock-{step}")
    server = Postgres(servers_folder / f"stepped-{step}", environment=clock.environment)
    server.process.start()
    try:
        with open_cluster(
            tmp_path, Servers(server, redis_server), workers=2, settings=SHORT
        ) as cluster:
            _work_through_a_step(cluster, clock, film, step)
    finally:
        server.process.stop()


def _work_through_a_step(cluster: Cluster, clock: WallClock, film: Path, step: int) -> None:
    person = cluster.person()
    person.save_pipeline("video-complete")
    person.save_pipeline("image-resize")
    for number in range(2):
        job_id = person.upload(f"{number}.mp4", film, "video-complete")
        assert job_id is not None
        first = cluster.wait_for_worker(job_id)
    assert other_worker(cluster, first).encoders()
    assert person.upload("photo.jpg", PHOTO, "image-resize") is not None
    clock.set(step)
    completed = "select count(*) from jobs where status = 'completed'"
    wait_until(lambda: cluster.sql(completed) == "3", "all jobs have completed")
    assert cluster.sql("select distinct attempt, worker_deaths from jobs") == "1|0"
    starts = "select count(*) from job_history where to_status = 'processing'"
    assert cluster.sql(starts) == "3"
    (told,) = _steps(cluster)
    assert abs(float(str(told)) - step) < 60
    _assert_dates_are_in_order(cluster)


def _steps(cluster: Cluster) -> list[object]:
    """The seconds of each that any node has told."""
    return [line["seconds"] for node in cluster.nodes for line in node.said("clock stepped")]


def _assert_dates_are_in_order(cluster: Cluster) -> None:
    wait_until(lambda: cluster.sql("select count(*) from outbox") == "0", "the analytics know")
    out_of_order = (
        "select count(*) from (select created_at - lag(created_at) over"
        " (partition by job_id order by {id}) as passed from {table}) each"
        f" where passed < 0 or passed > {LONGEST_US}"
    )
    for table, key in (("job_history", "id"), ("job_status_history_analytics", "event_id")):
        assert cluster.sql(out_of_order.format(table=table, id=key)) == "0"
    sane = f"processing_ms between 0 and {LONGEST_US // 1000}"
    assert cluster.sql(f"select count(*) from job_metrics where {sane}") == "3"
