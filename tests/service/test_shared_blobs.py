"""Nodes of one catalog whose blobs are not in one place do not start beside each other."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

from tests.program import ROOT, Person, clean_environment, run_program
from tests.servers.postgres import Postgres
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

KEYS = {"JWT_SECRET": "0123456789abcdefghijklmnopqrstuv", "MEDIACONVERT_MASTER_KEY": "A" * 43 + "="}


def refusal(folder: Path, environment: dict[str, str]) -> str:
    """What a start says that comes to nothing."""
    refused = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "serve", "--port", "0"],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    return refused.stderr


def test_a_node_with_a_blob_folder_of_its_own_is_refused_with_what_to_set(
    tmp_path: Path, postgres: Postgres
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with postgres.database() as url:
        environment = KEYS | {"DATABASE_URL": url}
        with run_program(first, environment=environment) as node:
            person = Person(node.url)
            person.upload("key", b"bytes")
            assert "storage.directory" in refusal(second, environment)
            shared = environment | {"MEDIACONVERT_STORAGE__DIRECTORY": str(first / "data/blobs")}
            with run_program(second, environment=shared) as other:
                person.move_to(other.url)
                assert person.read("key") == b"bytes"


def doctor(folder: Path, environment: dict[str, str]) -> str:
    """What it says of the installation; empty where nothing is wrong with it."""
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "doctor"],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL  installation")]
    said = "\n".join(wrong)
    assert (done.returncode == 1) is bool(said), done.stdout
    return said


def test_doctor_refuses_the_blobs_that_a_start_would_refuse_and_makes_nothing(
    tmp_path: Path, postgres: Postgres, seaweedfs: SeaweedFS
) -> None:
    bucket = {"S3_ENDPOINT": seaweedfs.endpoint, "S3_BUCKET": f"b{secrets.token_hex(6)}"}
    bucket |= {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY}
    folder = {"MEDIACONVERT_STORAGE__DIRECTORY": str(tmp_path / "blobs")}
    elsewhere = {"MEDIACONVERT_STORAGE__DIRECTORY": str(tmp_path / "elsewhere")}
    elsewhere |= {"S3_BUCKET": f"b{secrets.token_hex(6)}"}
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for place in (bucket, folder):
        with postgres.database() as first, postgres.database() as empty:
            ours = KEYS | {"DATABASE_URL": first} | place
            assert doctor(nothing, ours) == ""
            with run_program(tmp_path, environment=ours) as node:
                Person(node.url).upload("key", b"bytes")
                assert doctor(nothing, ours) == ""
            assert "knows nothing of" in doctor(nothing, KEYS | {"DATABASE_URL": empty} | place)
            assert "knows nothing of" in doctor(nothing, KEYS | place)
            assert "is not the one that the installation uses" in doctor(nothing, ours | elsewhere)
            tables = "select count(*) from information_schema.tables where table_schema = 'public'"
            assert postgres.execute(empty, tables) == "0"
    assert list(nothing.iterdir()) == []
    assert not (tmp_path / "elsewhere").exists()


def test_the_first_node_may_start_again_and_leaves_one_marker(
    tmp_path: Path, postgres: Postgres
) -> None:
    with postgres.database() as url:
        for _ in range(3):
            with run_program(tmp_path, environment=KEYS | {"DATABASE_URL": url}):
                blobs = [p for p in (tmp_path / "data/blobs/blobs").rglob("*") if p.is_file()]
                assert len(blobs) == 1
        kept = "select value from meta where name = 'blob_store_marker'"
        assert postgres.execute(url, kept) == blobs[0].name


def test_another_database_on_the_same_blobs_is_refused_before_it_would_sweep_them(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Whoever tries DATABASE_URL on a folder in use, or goes back, keeps what is there."""
    with run_program(tmp_path, environment=KEYS) as embedded:
        person = Person(embedded.url)
        person.upload("key", b"bytes")
    with postgres.database() as url:
        for _ in range(2):
            assert "mediaconvert move" in refusal(tmp_path, KEYS | {"DATABASE_URL": url})
    with run_program(tmp_path, environment=KEYS) as embedded:
        person.move_to(embedded.url)
        assert person.read("key") == b"bytes"
    other = {"MEDIACONVERT_STORAGE__DIRECTORY": str(tmp_path / "data/blobs")}
    (tmp_path / "other").mkdir()
    assert "mediaconvert move" in refusal(tmp_path / "other", KEYS | other)


def test_a_second_installation_in_the_first_ones_empty_store_is_refused(
    tmp_path: Path, postgres: Postgres
) -> None:
    with postgres.database() as first, postgres.database() as second:
        with run_program(tmp_path, environment=KEYS | {"DATABASE_URL": first}):
            assert "mediaconvert move" in refusal(tmp_path, KEYS | {"DATABASE_URL": second})
        with run_program(tmp_path, environment=KEYS | {"DATABASE_URL": first}):
            pass
