"""Leases between processes: killed, stopped and cut-off workers; a job never runs twice at
once for anybody to see, and never waits for the dead."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.cluster.nodes import Node
from tests.cluster.topology import Cluster, Servers, open_cluster
from tests.program import PHOTO, WAIT_SECONDS, Person, wait_until
from tests.service.media import SLOW_PIPELINE

LONG = {"MEDIACONVERT_WORKERS__RENEW_SECONDS": "1", "MEDIACONVERT_WORKERS__SLOTS": "1"}
"""For those who wait for no lease to run out: a node that pauses for a while keeps its job."""
SHORT = LONG | {"MEDIACONVERT_WORKERS__LEASE_SECONDS": "6"}


def upload_film(person: Person, film: Path, pipeline: str = "video-complete") -> int:
    person.save_pipeline(pipeline, SLOW_PIPELINE if pipeline == "slow" else None)
    job_id = person.upload("film.mp4", film, pipeline)
    assert job_id is not None
    return job_id


def assert_completed_once(cluster: Cluster, person: Person, job_id: int, attempts: int) -> None:
    job = person.wait_for_job(job_id)
    assert (job["status"], job["attempt"]) == ("completed", attempts), job
    assert cluster.history(job_id).count("completed") == 1
    outputs = person.keys_below(f"results/job-{job_id}/")
    assert sorted(outputs) == sorted(
        [*job["result_info"]["output_files"], f"results/job-{job_id}/manifest.json"]
    )
    assert all(person.read(key) for key in outputs)


def other_worker(cluster: Cluster, node: Node) -> Node:
    (other,) = [each for each in cluster.workers if each is not node]
    return other


@pytest.mark.slow
def test_an_orphan_of_a_killed_worker_runs_again_with_the_default_lease(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    """Promised within 20 s of the death; here it has several times that."""
    with open_cluster(tmp_path, servers, workers=2) as cluster:
        person = cluster.person()
        job_id = upload_film(person, film)
        dead = cluster.wait_for_worker(job_id)
        dead.kill()
        wait_until(
            lambda: cluster.worker_of(job_id) is other_worker(cluster, dead), "a peer has it", 80
        )
        assert_completed_once(cluster, person, job_id, attempts=2)


@pytest.mark.slow
def test_a_stopped_worker_that_wakes_up_late_stops_its_tool_and_changes_nothing(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=2, settings=SHORT) as cluster:
        person = cluster.person()
        job_id = upload_film(person, film)
        zombie = cluster.wait_for_worker(job_id)
        zombie.suspend()
        heir = other_worker(cluster, zombie)
        wait_until(lambda: cluster.worker_of(job_id) is heir, "a peer has it")
        zombie.resume()
        wait_until(lambda: not zombie.encoders(), "its tool is dead")
        wait_until(lambda: bool(zombie.said("discarded an attempt")), "it says so")
        wait_until(lambda: bool(zombie.said("no longer ours")), "it asks whose the job is")
        assert_completed_once(cluster, person, job_id, attempts=2)
        heir.terminate()
        assert_works(person, zombie)


@pytest.mark.slow
def test_a_machine_that_stands_still_with_all_its_tools_does_no_harm_either(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=2, settings=SHORT) as cluster:
        person = cluster.person()
        job_id = upload_film(person, film)
        zombie = cluster.wait_for_worker(job_id)
        zombie.suspend(whole=True)
        assert_completed_once(cluster, person, job_id, attempts=2)
        zombie.resume()
        wait_until(lambda: bool(zombie.said("no longer ours")), "it asks whose the job is")
        wait_until(lambda: not zombie.encoders(), "its tool is dead")
        assert_completed_once(cluster, person, job_id, attempts=2)


@pytest.mark.slow
def test_what_a_worker_has_locked_that_stands_still_within_a_statement_is_free_again(
    tmp_path: Path, servers: Servers
) -> None:
    """It has said what the statement is, and not yet that it be run; the job's row is locked."""
    with open_cluster(tmp_path, servers, workers=1, settings=SHORT) as cluster:
        (zombie,) = cluster.workers
        is_suspended = zombie.suspend_at(b"from buckets where id = $1 and owner_id = $2 for key")
        person = cluster.person()
        person.save_pipeline("image-webp")
        job_id = person.upload("photo.jpg", PHOTO, "image-webp")
        assert job_id is not None
        assert is_suspended.wait(WAIT_SECONDS)
        assert cluster.worker_of(job_id) is zombie
        heir = cluster.add("worker")
        heir.start()
        assert_completed_once(cluster, person, job_id, attempts=2)
        zombie.resume()
        # Refused, or not even tried any more.
        wait_until(lambda: bool(zombie.said("attempt")), "it says what became of its own")
        assert_completed_once(cluster, person, job_id, attempts=2)
        heir.terminate()
        assert_works(person, zombie)


def assert_works(person: Person, node: Node) -> None:
    """It is the only worker that runs."""
    person.save_pipeline("image-resize")
    job_id = person.upload("photo.jpg", PHOTO, "image-resize")
    assert job_id is not None
    assert person.wait_for_job(job_id)["status"] == "completed"
    assert node.program is not None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["silence", "refuse"])
def test_a_worker_cut_off_from_the_catalog_stops_before_others_may_begin(
    tmp_path: Path, servers: Servers, endless_film: Path, how: str
) -> None:
    # Stops 8 s after its last renewal; others may begin 12 s after it.
    settings = SHORT | {"MEDIACONVERT_WORKERS__LEASE_SECONDS": "12"}
    with open_cluster(tmp_path, servers, workers=2, settings=settings) as cluster:
        person = cluster.person()
        job_id = upload_film(person, endless_film, "slow")
        lonely = cluster.wait_for_worker(job_id)
        heir = other_worker(cluster, lonely)
        getattr(lonely.proxies["postgres"], how)()
        wait_until(lambda: not lonely.encoders(), "it stops the job's tool")
        wait_until(lambda: cluster.worker_of(job_id) is heir, "a peer has it")
        wait_until(lambda: bool(lonely.said("discarded an attempt")), "it says so")
        # Which it does when its tools are dead. Nobody had it yet, and then somebody had.
        stopped = datetime.fromisoformat(lonely.said("discarded an attempt")[0]["time"])
        assert stopped.timestamp() < last_claim(cluster, job_id)
        person.post(f"/api/jobs/{job_id}/cancel", 200)
        lonely.join()
        wait_until(lambda: bool(lonely.said("no longer ours")), "it asks whose the job is")
        heir.terminate()
        assert_works(person, lonely)


@pytest.mark.slow
def test_a_catalog_that_was_away_for_longer_than_a_lease_costs_no_job_an_attempt(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=2, settings=SHORT) as cluster:
        person = cluster.person()
        job_id = upload_film(person, film)
        worker = cluster.wait_for_worker(job_id)
        for node in cluster.nodes:
            node.proxies["postgres"].refuse()
        wait_until(lambda: bool(worker.said("could not be renewed")), "it stops the job")
        wait_until(lambda: leases_have_run_out(cluster), "its lease has run out")
        for node in cluster.nodes:
            node.join()
        wait_until(lambda: "processing" not in last_state(cluster, job_id), "it is given back")
        assert_completed_once(cluster, person, job_id, attempts=1)
        assert cluster.sql(f"select worker_deaths from jobs where id = {job_id}") == "0"


def leases_have_run_out(cluster: Cluster) -> bool:
    late = "lease_until < extract(epoch from clock_timestamp()) * 1000000"
    return cluster.sql(f"select bool_and({late}) from jobs where status = 'processing'") != "f"


def last_claim(cluster: Cluster, job_id: int) -> float:
    """When it was, by the clock of this machine, which all nodes go by."""
    claims = f"job_id = {job_id} and to_status = 'processing'"
    return int(cluster.sql(f"select max(created_at) from job_history where {claims}")) / 1e6


def last_state(cluster: Cluster, job_id: int) -> str:
    return cluster.history(job_id)[-1]


@pytest.mark.parametrize("notices", ["with", "without"])
def test_a_cancel_reaches_the_worker_of_another_node(
    tmp_path: Path, servers: Servers, endless_film: Path, notices: str
) -> None:
    """Within a second by notice, within the interval of renewals without."""
    with open_cluster(tmp_path, servers, apis=2, settings=LONG) as cluster:
        person = cluster.person()
        job_id = upload_film(person, endless_film, "slow")
        worker = cluster.wait_for_worker(job_id)
        if notices == "without":
            worker.cut_off("redis")
        person.move_to(cluster.apis[1].url)
        person.post(f"/api/jobs/{job_id}/cancel", 200)
        wait_until(lambda: not worker.encoders(), "its tool is dead")
        wait_until(lambda: bool(worker.said("discarded an attempt")), "it says so")
        assert person.job(job_id)["status"] == "canceled"
        assert person.keys_below("results/") == []
        worker.join()
        assert_works(person, worker)


@pytest.mark.slow
def test_what_a_draining_worker_puts_back_is_taken_by_another_with_its_attempt(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    settings = LONG | {"MEDIACONVERT_SERVER__DRAIN_JOBS_SECONDS": "0"}
    with open_cluster(tmp_path, servers, workers=2, settings=settings) as cluster:
        person = cluster.person()
        job_id = upload_film(person, film)
        leaving = cluster.wait_for_worker(job_id)
        assert leaving.terminate() == 0
        wait_until(
            lambda: cluster.worker_of(job_id) is other_worker(cluster, leaving), "a peer has it"
        )
        assert_completed_once(cluster, person, job_id, attempts=1)


def test_jobs_are_found_by_polling_while_redis_is_dead(tmp_path: Path, servers: Servers) -> None:
    with open_cluster(tmp_path, servers, settings=LONG) as cluster:
        person = cluster.person()
        for node in cluster.nodes:
            node.proxies["redis"].refuse()
        assert_works(person, cluster.workers[0])
