"""Nodes of one catalog whose blobs are not in one place do not start beside each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.program import ROOT, Person, clean_environment, run_program
from tests.servers.postgres import Postgres

KEYS = {"JWT_SECRET": "0123456789abcdefghijklmnopqrstuv", "MEDIACONVERT_MASTER_KEY": "A" * 43 + "="}


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
            refused = subprocess.run(
                [sys.executable, "-m", "mediaconvert.cli.main", "serve", "--port", "0"],
                cwd=second,
                env=clean_environment(PYTHONPATH=str(ROOT), **environment),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert refused.returncode == 1
            assert "storage.directory" in refused.stderr and "Traceback" not in refused.stderr
            shared = environment | {"MEDIACONVERT_STORAGE__DIRECTORY": str(first / "data/blobs")}
            with run_program(second, environment=shared) as other:
                person.move_to(other.url)
                assert person.read("key") == b"bytes"
            person.close()


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
