"""The whole service with its catalog on PostgreSQL, over the public interface only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import PHOTO, Person, run_program
from tests.servers.postgres import Postgres
from tests.servers.stalled import stalled_transaction
from tests.service.readiness import rows_once_ready


def test_an_upload_becomes_its_result_and_is_there_after_a_restart(
    postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database() as url:
        environment = {"DATABASE_URL": url}
        with run_program(tmp_path, environment=environment) as program:
            person = Person(program.url)
            person.save_pipeline("image-resize")
            job_id = person.upload("p.jpg", PHOTO, "image-resize")
            assert job_id is not None
            assert person.wait_for_job(job_id)["status"] == "completed"
            ready = rows_once_ready(program.url)
            assert ready["database"]["version"].startswith("PostgreSQL ")
            assert program.terminate() == 0
        assert not list(tmp_path.rglob("catalog.*"))
        with run_program(tmp_path, environment=environment) as program:
            person.move_to(program.url)
            assert person.read("p.jpg") == PHOTO.read_bytes()
            assert person.read(f"results/job-{job_id}/resized.jpg")


@pytest.mark.slow
async def test_a_job_that_a_suspended_process_has_locked_is_done_by_another(
    postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database() as url:
        with run_program(tmp_path, "--role", "api", environment={"DATABASE_URL": url}) as program:
            person = Person(program.url)
            person.save_pipeline("image-resize")
            job_id = person.upload("p.jpg", PHOTO, "image-resize")
            assert job_id is not None
        async with stalled_transaction(url, f"select 1 from jobs where id = {job_id} for update"):
            with run_program(tmp_path, environment={"DATABASE_URL": url}) as program:
                person.move_to(program.url)
                assert person.wait_for_job(job_id)["status"] == "completed"
                program.wait_for_log("ended transactions of processes that stand still")
