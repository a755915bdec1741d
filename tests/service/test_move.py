"""`mediaconvert move`: from one machine to servers, whole, resumable, verified."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.program import (
    PHOTO,
    ROOT,
    Json,
    Person,
    Program,
    clean_environment,
    run_program,
    wait_until,
)
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
JWT_SECRET = secrets.token_hex(32)
KEYS = {"MEDIACONVERT_MASTER_KEY": MASTER_KEY, "JWT_SECRET": JWT_SECRET}


@dataclass
class Places:
    """Where the installation is, and where it shall be."""

    source: Path
    target: Path
    config: Path

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mediaconvert.cli.main", "move"),
            *("--data-dir", str(self.source / "data"), "--to", str(self.config)),
        ]

    def move(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Whatever comes of it: nothing is said but by the program itself."""
        done = subprocess.run(
            self.command(),
            cwd=self.target,
            env=clean_environment(PYTHONPATH=str(ROOT), **(KEYS | environment)),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert "py.warnings" not in done.stderr
        return done


@pytest.fixture
def places(tmp_path: Path, postgres: Postgres, seaweedfs: SeaweedFS) -> Iterator[Places]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    config = tmp_path / "cluster.yaml"
    with postgres.database() as url:
        document = {
            "database": {"url": url},
            "storage": {
                "s3_endpoint": seaweedfs.endpoint,
                "s3_access_key": ACCESS_KEY,
                "s3_secret_key": SECRET_KEY,
                "s3_bucket": f"moved-{secrets.token_hex(4)}",
            },
        }
        config.write_text(yaml.safe_dump(document))
        yield Places(source, target, config)


def _listing(person: Person) -> dict[str, tuple[str, bytes]]:
    found = {}
    for key in person.keys_below(""):
        head = person.s3.head_object(Bucket=person.bucket, Key=key)
        found[key] = (head["ETag"], person.read(key))
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Every file of the source but the lock, which each of its users writes a pid into, and the
    move's own note."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("catalog.lock", "completed.json")
    }


def _fill(person: Person) -> Json:
    """Objects small and in parts, a copy, a deleted key, a pipeline, a finished job."""
    person.save_pipeline("image-resize")
    job_id = person.upload("photos/rocket.jpg", PHOTO, "image-resize")
    assert job_id is not None
    person.wait_for_job(job_id)
    person.upload("empty", b"")
    for number in range(30):
        person.upload(f"many/{number:03}", f"object {number}".encode())
    person.upload("gone", b"gone")
    person.s3.delete_object(Bucket=person.bucket, Key="gone")
    upload = person.s3.create_multipart_upload(Bucket=person.bucket, Key="parts")["UploadId"]
    parts = []
    for number, size in ((1, 5 << 20), (2, 12345)):
        answer = person.s3.upload_part(
            Bucket=person.bucket,
            Key="parts",
            UploadId=upload,
            PartNumber=number,
            Body=os.urandom(size),
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    person.s3.complete_multipart_upload(
        Bucket=person.bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    source = {"Bucket": person.bucket, "Key": "parts"}
    person.s3.copy_object(Bucket=person.bucket, Key="copy", CopySource=source)
    return person.job(job_id)


def test_a_moved_installation_is_the_same_for_its_users_and_the_source_is_untouched(
    places: Places,
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        job = _fill(person)
        before = _listing(person)
        history = person.get(f"/api/jobs/{job['id']}/history")
        wait_until(
            lambda: person.get("/api/analytics/jobs/stats")["completed_jobs"] == 1,
            "the report knows the job",
        )
        stats = person.get("/api/analytics/jobs/stats")
        assert old.terminate() == 0
    untouched = _digests(places.source)
    done = places.move()
    assert done.returncode == 0, done.stderr
    assert _digests(places.source) == untouched
    with run_program(places.target, "--config", str(places.config), environment=KEYS) as new:
        person.move_to(new.url)
        assert _listing(person) == before
        assert person.job(job["id"]) == job
        assert person.get(f"/api/jobs/{job['id']}/history") == history
        assert person.get("/api/analytics/jobs/stats") == stats
        again = person.post(f"/api/jobs/{job['id']}/rerun", 201)["new_job"]
        assert again["id"] > job["id"]
        assert person.wait_for_job(again["id"])["status"] == "completed"
        person.upload("after the move", b"new")
        assert person.read("after the move") == b"new"


def test_a_moved_installation_that_starts_again_says_so_until_its_note_is_deleted(
    places: Places,
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        person.upload("key", b"bytes")
        assert not _warnings_of_a_move(old)
    assert places.move().returncode == 0
    note = places.source / "data/move/completed.json"
    with run_program(places.source, environment=KEYS) as old:
        person.move_to(old.url)
        assert person.read("key") == b"bytes"
        (said,) = _warnings_of_a_move(old)
    bucket = yaml.safe_load(places.config.read_text())["storage"]["s3_bucket"]
    assert bucket in said and "data/move/completed.json" in said
    seen = _doctor(places.source)
    assert "warn  moved" in seen and bucket in seen
    assert SECRET_KEY not in note.read_text()
    note.unlink()
    with run_program(places.source, environment=KEYS) as old:
        assert not _warnings_of_a_move(old)
    assert "warn  moved" not in _doctor(places.source)


def _warnings_of_a_move(program: Program) -> list[str]:
    """What was said of it before the service was ready."""
    said = [(line["level"], str(line["message"])) for line in program.log]
    return [text for level, text in said if level == "warning" and " was moved to " in text]


def _doctor(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "doctor", *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **KEYS),
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.stdout


class TiredStore(Proxy):
    """Falls silent once so many bytes have gone to the store (or refuses everybody), until it is
    opened."""

    def __init__(self, target_port: int, *, after_bytes: int, refuses: bool = False) -> None:
        self._left_bytes = after_bytes
        self._refuses = refuses
        self.is_tired = threading.Event()
        super().__init__(target_port)

    def _pass(self, piece: bytes, *, is_answer: bool) -> None:
        with self._changed:
            if self._left_bytes > 0 and not is_answer:
                self._left_bytes -= len(piece)
                if self._left_bytes <= 0:
                    (self.refuse if self._refuses else self.silence)()
                    self.is_tired.set()


def test_an_interrupted_move_goes_on_and_until_then_nothing_starts_on_the_target(
    places: Places, seaweedfs: SeaweedFS
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        for number in range(60):
            person.upload(f"{number}", os.urandom(200_000))
        before = _listing(person)
    journals = places.target / "data" / "move"
    # Half of them: whoever is late, the move does not get any further before it is killed.
    with closing(TiredStore(seaweedfs.port, after_bytes=30 * 200_000)) as proxy:
        direct = places.config.read_text()
        through = f"http://127.0.0.1:{proxy.port}"
        places.config.write_text(direct.replace(seaweedfs.endpoint, through))
        first = subprocess.Popen(
            places.command(),
            cwd=places.target,
            env=clean_environment(PYTHONPATH=str(ROOT), **KEYS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(proxy.is_tired.is_set, "the store has fallen silent")
            wait_until(
                lambda: any(path.stat().st_size > 5 * 33 for path in journals.glob("*.journal")),
                "some blobs have been copied",
            )
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        copied = sum(len(path.read_text().split()) for path in journals.glob("*.journal"))
        assert 5 < copied < 60
        proxy.open()
        refused = _refused_start(places)
        assert "mediaconvert move" in refused and "Traceback" not in refused
        seen = _doctor(places.target, "--config", str(places.config))
        assert "FAIL  installation   a move into this installation was begun" in seen
        done = places.move()
        assert done.returncode == 0, done.stderr
        assert f"{60 - copied} blobs" in done.stdout
        with run_program(places.target, "--config", str(places.config), environment=KEYS) as new:
            person.move_to(new.url)
            assert _listing(person) == before


def test_a_store_that_goes_away_under_several_copies_is_one_sentence(
    places: Places, seaweedfs: SeaweedFS
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        for number in range(20):
            person.upload(f"{number}", os.urandom(200_000))
    with closing(TiredStore(seaweedfs.port, after_bytes=10 * 200_000, refuses=True)) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        text = places.config.read_text()
        places.config.write_text(text.replace(seaweedfs.endpoint, through))
        done = places.move()
        assert proxy.is_tired.is_set()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    # The log has said as well that the store is away.
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert "run the same command again" in sentence


def test_a_move_that_is_interrupted_from_the_keyboard_ends_without_a_word(
    places: Places, seaweedfs: SeaweedFS
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        for number in range(8):
            person.upload(f"{number}", os.urandom(200_000))
    with closing(TiredStore(seaweedfs.port, after_bytes=4 * 200_000)) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        text = places.config.read_text()
        places.config.write_text(text.replace(seaweedfs.endpoint, through))
        # A shell may have told what it runs in the background to ignore the signal.
        first = subprocess.Popen(
            ["env", "--default-signal=INT", *places.command()],
            cwd=places.target,
            env=clean_environment(PYTHONPATH=str(ROOT), **KEYS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(proxy.is_tired.is_set, "the store has fallen silent")
        finally:
            first.send_signal(signal.SIGINT)
            _, said = first.communicate(timeout=240)
    assert (first.returncode, said) == (130, "")


def _refused_start(places: Places) -> str:
    """What a start on the target says that comes to nothing."""
    refused = subprocess.run(
        [
            *(sys.executable, "-m", "mediaconvert.cli.main", "serve", "--port", "0"),
            *("--config", str(places.config)),
        ],
        cwd=places.target,
        env=clean_environment(PYTHONPATH=str(ROOT), **KEYS),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert refused.returncode == 1
    return refused.stderr


def test_a_source_that_went_on_working_after_an_interrupted_move_is_moved_as_it_is_now(
    places: Places,
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        for number in range(3):
            person.upload(f"{number}", os.urandom(1000))
    # Half-way: all blobs and rows are there, but the master key of the last check is not.
    broken = places.config.read_text()
    places.config.write_text(broken.replace(SECRET_KEY, "wrong-key"))
    assert places.move().returncode == 1
    places.config.write_text(broken)
    with run_program(places.source, environment=KEYS) as old:
        person.move_to(old.url)
        person.upload("later", b"later")
        person.s3.delete_object(Bucket=person.bucket, Key="0")
        before = _listing(person)
    done = places.move()
    assert done.returncode == 0, done.stderr
    with run_program(places.target, "--config", str(places.config), environment=KEYS) as new:
        person.move_to(new.url)
        assert _listing(person) == before


def test_a_changed_source_is_not_told_twice_to_the_clickhouse_of_an_earlier_try(
    places: Places, clickhouse: ClickHouse
) -> None:
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        person.save_pipeline("image-resize")
        job_id = person.upload("photos/rocket.jpg", PHOTO, "image-resize")
        assert job_id is not None
        person.wait_for_job(job_id)
        wait_until(
            lambda: person.get("/api/analytics/jobs/stats")["completed_jobs"] == 1,
            "the report knows the job",
        )
        assert old.terminate() == 0
    with (
        clickhouse.database() as first,
        clickhouse.database() as second,
        open_proxy(clickhouse.port) as proxy,
    ):
        half_told = {"CLICKHOUSE_DSN": clickhouse.dsn(first, port=proxy.port)}
        # Whether an answer that is lost was to an insert, nobody can tell.
        proxy.refuse()
        away = places.move(**half_told)
        assert away.returncode == 1 and "run the same command again" in away.stderr
        proxy.open()
        with run_program(places.source, environment=KEYS) as old:
            person.move_to(old.url)
            person.upload("later", b"later")
        for _ in range(2):
            refused = places.move(**half_told)
            assert refused.returncode == 1
            assert f"{proxy.port}/{first}" in refused.stderr and "drop" in refused.stderr
            assert "Traceback" not in refused.stderr
        done = places.move(CLICKHOUSE_DSN=clickhouse.dsn(second))
        assert done.returncode == 0, done.stderr
        assert clickhouse.execute("select count() from job_metrics", second) == "1"


def test_what_cannot_be_moved_is_refused_with_a_sentence_before_anything_is_copied(
    places: Places, tmp_path: Path
) -> None:
    nothing = places.move()
    assert nothing.returncode == 1
    assert "there is no installation" in nothing.stderr

    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        person.upload("key", b"bytes")
        in_use = places.move()
        assert in_use.returncode == 1
        assert "another mediaconvert" in in_use.stderr

    other = base64.b64encode(secrets.token_bytes(32)).decode()
    wrong = places.move(MEDIACONVERT_MASTER_KEY=other)
    assert wrong.returncode == 1
    assert "master key is not the one" in wrong.stderr
    assert "MEDIACONVERT_MASTER_KEY" in wrong.stderr
    none = places.move(MEDIACONVERT_MASTER_KEY="")
    assert none.returncode == 1
    assert "name no master key" in none.stderr and "MEDIACONVERT_MASTER_KEY" in none.stderr
    named = places.config.read_text()
    places.config.write_text("")
    nowhere = places.move()
    assert nowhere.returncode == 1
    assert f"{places.config} names nothing to move to" in nowhere.stderr
    assert "DATABASE_URL" in nowhere.stderr
    places.config.write_text(named)
    assert list(places.target.iterdir()) == []

    with run_program(places.target, "--config", str(places.config), environment=KEYS) as new:
        Person(new.url)  # registers there
    mixed = places.move()
    assert mixed.returncode == 1
    assert "already holds an installation" in mixed.stderr
    for done in (nothing, in_use, wrong, none, nowhere, mixed):
        assert "Traceback" not in done.stderr


def test_only_the_blobs_can_be_moved_to_a_store_while_the_catalog_stays_embedded(
    places: Places,
) -> None:
    document = yaml.safe_load(places.config.read_text())
    del document["database"]
    places.config.write_text(yaml.safe_dump(document))
    with run_program(places.source, environment=KEYS) as old:
        person = Person(old.url)
        job = _fill(person)
        before = _listing(person)
    done = places.move()
    assert done.returncode == 0, done.stderr
    with run_program(places.target, "--config", str(places.config), environment=KEYS) as new:
        person.move_to(new.url)
        assert _listing(person) == before
        assert person.job(job["id"]) == job


def test_a_data_directory_that_cannot_be_made_is_one_sentence(places: Places) -> None:
    document = yaml.safe_load(places.config.read_text())
    document["server"] = {"data_dir": "/proc/mediaconvert"}
    places.config.write_text(yaml.safe_dump(document))
    refused = places.move()
    (sentence,) = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert refused.returncode == 1
    assert sentence.startswith("mediaconvert: the data directory /proc/mediaconvert cannot be made")
