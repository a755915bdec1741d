"""The real program on a catalog of which bytes were flipped while it was stopped."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import botocore.exceptions
import pytest

from tests.program import ROOT, WAIT_SECONDS, Person, clean_environment, run_program, wait_until
from tests.service.readiness import rows, rows_once


def _flip(path: Path, known: bytes, offset: int = 0, bit: int = 0x80) -> None:
    """Flip one bit near the only place that has these bytes."""
    data = bytearray(path.read_bytes())
    assert data.count(known) == 1, "a place that is one of several would prove nothing"
    data[data.index(known) + offset] ^= bit
    path.write_bytes(data)


def test_a_flipped_byte_in_a_row_costs_that_object_alone(tmp_path: Path) -> None:
    catalog = tmp_path / "data/catalog.db"
    with run_program(tmp_path) as program:
        person, other = Person(program.url), Person(program.url)
        for number in range(5):
            person.s3.put_object(
                Bucket=person.bucket,
                Key=f"{number}.bin",
                Body=b"kept",
                ContentType=f"application/x-number-{number}",
            )
        other.upload("other.bin", b"kept")
        program.terminate()
    assert not catalog.with_name("catalog.db-wal").exists(), "all of it is in the file"
    _flip(catalog, b"application/x-number-2", offset=3)
    environment = {"MEDIACONVERT_SERVER__METRICS_TOKEN": "open-sesame-" * 4}
    with run_program(tmp_path, environment=environment, expect_errors=True) as program:
        person.move_to(program.url)
        other.move_to(program.url)
        assert rows(program.url)["catalog records"]["status"] == "ok", "nobody has read it yet"
        # A copy of everything: LIST and then GET of each.
        assert person.keys_below("") == [f"{number}.bin" for number in range(5)]
        for number in (0, 1, 3, 4):
            assert person.read(f"{number}.bin") == b"kept"
        for _ in range(3):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                person.read("2.bin")
        error = refused.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert error["Error"]["Code"] == "InternalError"
        assert "is damaged" in error["Error"]["Message"]
        assert other.read("other.bin") == b"kept"
        found = rows_once(
            program.url, lambda r: r["catalog records"]["status"] == "degraded", "it is shown"
        )
        assert found["status"] == "ready"
        assert found["catalog records"]["detail"].startswith("1 cannot be read")
        token = environment["MEDIACONVERT_SERVER__METRICS_TOKEN"]
        scrape = person.rest.get("/metrics", headers={"authorization": f"Bearer {token}"})
        assert 'mediaconvert_catalog_damage_total{kind="record"} 1.0' in scrape.text
        # Its owner can put it right, or delete it.
        person.upload("2.bin", b"again")
        assert person.read("2.bin") == b"again"
        program.terminate()
        errors = program.errors()
        assert [line["message"] for line in errors] == ["a record of the database is damaged"]
        assert errors[0]["table"] == "objects"
        assert "exc_info" not in errors[0]


def test_a_damaged_job_ends_and_the_queue_goes_on(tmp_path: Path) -> None:
    catalog = tmp_path / "data/catalog.db"
    role = ("--role", "api")
    with run_program(tmp_path, *role) as program:
        person = Person(program.url)
        person.save_pipeline("image-resize")
        photo = (ROOT / "tests/samples/rocket.jpg").read_bytes()
        jobs = []
        for number in range(2):
            answer = person.s3.put_object(
                Bucket=person.bucket,
                Key=f"{number}.jpg",
                Body=photo,
                ContentType=f"image/x-number-{number}",
                Metadata={"Pipeline": "image-resize"},
            )
            jobs.append(int(answer["ResponseMetadata"]["HTTPHeaders"]["x-mediaconvert-job-id"]))
        program.terminate()
    # In the row of the job, not in that of its source.
    data = bytearray(catalog.read_bytes())
    for found in re.finditer(rb"image/x-number-0", bytes(data)):
        data[found.start() + 3] ^= 0x80
    catalog.write_bytes(data)
    with run_program(tmp_path, expect_errors=True) as program:
        person.move_to(program.url)
        job = person.wait_for_job(jobs[1])
        assert job["status"] in ("completed", "failed")
        listed = person.get("/api/jobs")["jobs"]
        assert [each["id"] for each in listed] == [jobs[1]]
        answer = person.rest.get(f"/api/jobs/{jobs[0]}")
        assert (answer.status_code, answer.json()["code"]) == (500, "record_damaged")
        wait_until(
            lambda: any("record" in str(line["message"]) for line in program.errors()), "it is said"
        )
        program.terminate()
        assert {line["message"] for line in program.errors()} <= {
            "a record of the database is damaged",
            "dropped a damaged analytics event",
        }


@pytest.mark.parametrize("database", ["catalog.db", "analytics.db"])
def test_a_damaged_page_is_one_sentence_at_the_start_and_in_doctor(
    tmp_path: Path, database: str
) -> None:
    with run_program(tmp_path) as program:
        Person(program.url).upload("a", b"a")
        program.terminate()
    path = tmp_path / "data" / database
    data = bytearray(path.read_bytes())
    page_size = int.from_bytes(data[16:18], "big")
    data[page_size + 3] ^= 0x55  # the second page's number of cells
    path.write_bytes(data)
    for command, stream in (("serve", "stderr"), ("doctor", "stdout")):
        done = subprocess.run(
            [sys.executable, "-m", "mediaconvert.cli.main", command],
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        told = [line for line in getattr(done, stream).splitlines() if "is damaged" in line]
        assert len(told) == 1, done
        assert f"/{database} is damaged (" in told[0]
        assert "restore" in told[0]
