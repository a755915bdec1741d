"""The service with its blobs in an S3 store: everything users do, and flat memory."""

from __future__ import annotations

import hashlib
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.program import FILM, Person, run_program, wait_until
from tests.servers.proxy import open_proxy
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stores import BUCKET, connect, connections_to, s3_environment
from tests.service.media import large_file
from tests.service.probing import probe
from tests.service.readiness import rows_once_ready

MEMORY_LIMIT = 200 << 20


def kept(client: Any, prefix: str) -> int:
    """How many objects the store holds below a prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return sum(len(page.get("Contents", [])) for page in pages)


def test_a_film_goes_through_the_service_and_its_bytes_lie_in_the_store(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    settings = s3_environment(seaweedfs.endpoint)
    with (
        run_program(tmp_path, environment=settings) as program,
        connect(seaweedfs.endpoint) as store,
    ):
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("films/bunny.mp4", FILM, "video-complete")
        assert job_id is not None
        job = person.wait_for_job(job_id)
        assert (job["status"], job["error"]) == ("completed", None)
        assert person.read("films/bunny.mp4") == FILM.read_bytes()
        video = probe(person.read(f"results/job-{job_id}/video.mp4"), "mp4")
        assert video.codecs == ["h264", "aac"]
        prefix = settings["MEDIACONVERT_STORAGE__S3_PREFIX"]
        # The film, its two outputs, the manifest.
        assert kept(store, prefix) == 4
        assert not (tmp_path / "data" / "blobs").exists()

        ready = rows_once_ready(program.url)
        assert ready["storage"]["version"].startswith("SeaweedFS")


@pytest.mark.slow
def test_what_users_delete_leaves_the_store(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    settings = s3_environment(seaweedfs.endpoint)
    with (
        run_program(tmp_path, environment=settings) as program,
        connect(seaweedfs.endpoint) as store,
    ):
        person = Person(program.url)
        for name in ("one", "two"):
            person.upload(name, b"x")
        prefix = settings["MEDIACONVERT_STORAGE__S3_PREFIX"]
        assert kept(store, prefix) == 2
        person.s3.delete_object(Bucket=person.bucket, Key="one")
        wait_until(lambda: kept(store, prefix) == 1, "the sweep of garbage has come by")
        assert person.read("two") == b"x"


@pytest.mark.slow
def test_a_store_that_is_away_is_a_503_and_comes_back_by_itself(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with open_proxy(seaweedfs.port) as proxy:
        settings = s3_environment(f"http://127.0.0.1:{proxy.port}")
        with run_program(tmp_path, environment=settings) as program:
            person = Person(program.url)
            person.upload("film.mp4", FILM)
            proxy.refuse()
            for call in (
                lambda: person.read("film.mp4"),
                lambda: person.upload("other.mp4", FILM),
            ):
                with pytest.raises(person.s3.exceptions.ClientError) as caught:
                    call()
                assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
            assert person.rest.get("/ready").status_code == 503
            proxy.open()
            wait_until(lambda: person.rest.get("/ready").status_code == 200, "it is ready again")
            assert person.read("film.mp4") == FILM.read_bytes()
            person.upload("other.mp4", FILM)


def test_downloads_that_clients_leave_end_in_the_store_too(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    """And while they are read slowly, they are neither fetched nor kept in memory."""
    readers = 20
    # However long it takes until the last of them has begun, the first is not cut for reading
    # slowly.
    patience = {"MEDIACONVERT_SERVER__RATE_GRACE_SECONDS": "600"}
    environment = s3_environment(seaweedfs.endpoint, **patience)
    with run_program(tmp_path, environment=environment) as program:
        person = Person(program.url)
        person.upload("large.bin", bytes(64 << 20))
        parameters = {"Bucket": person.bucket, "Key": "large.bin"}
        url = urlsplit(person.s3.generate_presigned_url("get_object", Params=parameters))
        assert url.hostname is not None and url.port is not None
        request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()

        def to_the_store() -> int:
            return connections_to(seaweedfs.port, program.process.pid)

        with ExitStack() as clients:
            for _ in range(readers):
                client = clients.enter_context(
                    socket.create_connection((url.hostname, url.port), timeout=60)
                )
                client.sendall(request)
                assert client.recv(12) == b"HTTP/1.1 200"
            wait_until(lambda: to_the_store() >= readers, "each has its own request")
            assert program.resident_bytes() < MEMORY_LIMIT
        # What is left is idle, for the next request.
        wait_until(lambda: to_the_store() < readers / 2, "the store's requests are ended")
        assert hashlib.sha256(person.read("large.bin")).digest() == (
            hashlib.sha256(bytes(64 << 20)).digest()
        )


@pytest.mark.slow
def test_memory_stays_below_200_mib_while_2_gib_go_into_a_store_and_back(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    file = large_file(tmp_path / "large.bin", 2 << 30)
    with run_program(tmp_path, environment=s3_environment(seaweedfs.endpoint)) as program:
        person = Person(program.url)
        with file.open("rb") as body:
            person.s3.put_object(Bucket=person.bucket, Key="large.bin", Body=body)
        answer = person.s3.get_object(Bucket=person.bucket, Key="large.bin")
        digest = hashlib.sha256()
        for piece in answer["Body"].iter_chunks(1 << 20):
            digest.update(piece)
        with file.open("rb") as body:
            assert digest.digest() == hashlib.file_digest(body, "sha256").digest()
        assert program.resident_bytes() < MEMORY_LIMIT
        person.s3.delete_object(Bucket=person.bucket, Key="large.bin")
    file.unlink()
