"""Several processes on one machine, on one data directory or on their own: none takes anything
from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.test_leases import LONG, SHORT
from tests.cluster.topology import Servers, open_cluster
from tests.program import PHOTO, wait_until

pytestmark = pytest.mark.slow


def test_processes_on_one_data_directory_leave_each_others_files_alone(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    data = tmp_path / "data"
    with open_cluster(tmp_path, servers, apis=0, workers=0, settings=LONG) as cluster:
        nodes = [cluster.add(role, data_dir=data) for role in ("api", "worker", "worker", "worker")]
        for node in nodes:
            # Made by whoever is first, on an empty directory, all starting at once.
            del node.environment["JWT_SECRET"], node.environment["MEDIACONVERT_MASTER_KEY"]
            del node.environment["MEDIACONVERT_STORAGE__DIRECTORY"]
        cluster.start(nodes)
        person = cluster.person()
        person.save_pipeline("video-complete")
        person.save_pipeline("image-resize")
        film_job = person.upload("film.mp4", film, "video-complete")
        assert film_job is not None
        busy = cluster.wait_for_worker(film_job)
        # While it runs, one neighbour dies, one leaves, and both come back.
        killed, left = [node for node in cluster.workers if node is not busy]
        killed.kill()
        left.terminate()
        cluster.start([killed, left])
        jobs = [person.upload(f"{n}.jpg", PHOTO, "image-resize") for n in range(12)]
        for job_id in jobs:
            assert job_id is not None
            assert person.wait_for_job(job_id)["status"] == "completed"
        job = person.wait_for_job(film_job)
        assert (job["status"], job["attempt"]) == ("completed", 1), job
        assert list((data / "work").iterdir()) == []
        for node in nodes:
            assert node.terminate() == 0
        assert list((data / "tools").iterdir()) == []


def test_what_a_killed_worker_left_on_its_machine_is_swept_by_the_next_start(
    tmp_path: Path, servers: Servers, film: Path
) -> None:
    with open_cluster(tmp_path, servers, workers=2, settings=SHORT) as cluster:
        person = cluster.person()
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", film, "video-complete")
        assert job_id is not None
        dead = cluster.wait_for_worker(job_id)
        data = dead.folder / "data"
        dead.kill()
        assert list((data / "work").iterdir())
        assert person.wait_for_job(job_id)["status"] == "completed"
        dead.start()
        wait_until(lambda: not list((data / "work").iterdir()), "the workspace is swept")
        wait_until(lambda: len(list((data / "tools").iterdir())) == 1, "so are its tools")
