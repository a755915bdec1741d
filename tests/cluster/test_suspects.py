"""A job whose nodes die, one after the other: an expired lease counts as the death."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.test_leases import SHORT, assert_works, last_state, upload_film
from tests.cluster.topology import Servers, open_cluster
from tests.program import wait_until

SETTINGS = SHORT | {
    "MEDIACONVERT_WORKERS__SLOTS": "2",
    "MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.1",
}


@pytest.mark.slow
def test_a_job_that_ends_three_nodes_alone_is_poison_and_the_others_work_on(
    tmp_path: Path, servers: Servers, endless_film: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=2, settings=SETTINGS) as cluster:
        person = cluster.person()
        job_id = upload_film(person, endless_film, "slow")
        of_job = f"from jobs where id = {job_id}"
        for deaths in range(5):
            node = cluster.wait_for_worker(job_id)
            standing = cluster.sql(f"select worker_deaths, lone_deaths, runs_alone {of_job}")
            assert standing == f"{deaths}|{max(0, deaths - 2)}|{int(deaths >= 2)}"
            node.kill()
            node.start()
        wait_until(lambda: last_state(cluster, job_id) == "failed", "it is given up")
        job = person.job(job_id)
        assert job["error_code"] == "poison"
        assert "3 times in a row while no other job ran in it" in job["error"]
        assert_works(person, cluster.workers[0])
