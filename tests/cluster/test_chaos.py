"""Everything at once: uploads through two apis while workers, apis, the catalog and the notices
are killed, stopped and cut off. Afterwards nothing acknowledged is lost, doubled or wrong."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mediaconvert import config
from mediaconvert.backends import open_backends
from mediaconvert.workers.janitor import Janitor
from tests.cluster.agreement import ClickHouseTables, PostgresTables, disagreements
from tests.cluster.chaos import LEASE_SECONDS, Chaos
from tests.cluster.topology import Cluster, open_cluster, open_servers
from tests.cluster.uploads import PLAIN_REPEATS, Plain, Upload, Uploaders, assert_right
from tests.program import wait_until
from tests.servers.stores import connect

SETTINGS = {
    "MEDIACONVERT_WORKERS__LEASE_SECONDS": str(LEASE_SECONDS),
    "MEDIACONVERT_WORKERS__RENEW_SECONDS": "1",
    "MEDIACONVERT_WORKERS__RETRY_BASE_SECONDS": "0.5",
    "MEDIACONVERT_WORKERS__SLOTS": "2",
}


GIVEN_BACK = ("the service is stopping", "its lease could not be renewed in time")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mediaconvert-chaos-") as name:
        Path(name).chmod(0o755)  # some servers run as another user
        yield Path(name)


@pytest.mark.slow
async def test_whatever_is_killed_every_acknowledged_upload_is_completed_exactly_once(
    folder: Path,
) -> None:
    seed = int(os.environ.get("MEDIACONVERT_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"MEDIACONVERT_TEST_SEED={seed}")
    with (
        open_servers(folder) as servers,
        open_cluster(folder, servers, apis=2, workers=3, settings=SETTINGS) as cluster,
    ):
        people = [cluster.person(), cluster.person()]
        uploaders = Uploaders(people, [api.url for api in cluster.apis], folder, seed)
        chaos = Chaos(cluster, seed)
        uploaders.start()
        try:
            chaos.run()
        finally:
            print("\n".join(chaos.told))
            uploaders.stop()
        wait_until(lambda: _count(cluster, _UNENDED) == 0, "every job has ended")
        _check_jobs(cluster, uploaders)
        _check_outputs(cluster, uploaders)
        _check_analytics(cluster)
        for node in cluster.nodes:
            assert node.terminate() == 0
        await _check_blobs(cluster)


_UNENDED = "select count(*) from jobs where status in ('pending', 'processing')"


def _count(cluster: Cluster, statement: str) -> int:
    return int(cluster.sql(statement))


def _rows(cluster: Cluster, statement: str) -> list[dict[str, object]]:
    text = cluster.sql(f"select row_to_json(found) from ({statement}) found")
    return [json.loads(line) for line in text.splitlines()]


def _check_jobs(cluster: Cluster, uploaders: Uploaders) -> None:
    """Also those whose upload was committed, but not acknowledged."""
    jobs = {row["id"]: row for row in _rows(cluster, "select * from jobs")}
    assert {row["status"] for row in jobs.values()} == {"completed"}, [
        row for row in jobs.values() if row["status"] != "completed"
    ]
    acknowledged = [upload.job_id for upload in uploaders.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged) > 0
    for upload in uploaders.acknowledged:
        assert jobs[upload.job_id]["source_key"] == upload.key
    history: dict[object, list[Mapping[str, object]]] = {job_id: [] for job_id in jobs}
    for row in _rows(cluster, "select * from job_history order by id"):
        history[row["job_id"]].append(row)
    for job_id, rows in history.items():
        states = Counter(row["to_status"] for row in rows)
        assert (states["completed"], rows[-1]["to_status"]) == (1, "completed"), rows
        # Each start is told; what was given back is no attempt.
        given_back = sum(
            "stopping" in str(r["message"]) or "renewed" in str(r["message"]) for r in rows
        )
        assert jobs[job_id]["attempt"] == states["processing"] - given_back, rows
        lost = sum(str(row["message"]).startswith("the worker's lease ran out") for row in rows)
        assert jobs[job_id]["worker_deaths"] == lost, rows
    attempts = Counter(row["attempt"] for row in jobs.values())
    print(f"{len(jobs)} jobs, {len(acknowledged)} acknowledged; jobs by attempts: {attempts}")


def _check_outputs(cluster: Cluster, uploaders: Uploaders) -> None:
    for api in cluster.apis:
        for person in {id(u.person): u.person for u in uploaders.acknowledged}.values():
            person.move_to(api.url)
        for upload in uploaders.acknowledged:
            _check_output(upload)
        for plain in uploaders.plain:
            _check_plain(plain)


def _check_output(upload: Upload) -> None:
    outputs = upload.person.keys_below(f"results/job-{upload.job_id}/")
    expected = {"image-resize": 1, "image-webp": 2, "short-film": 2}[upload.pipeline]
    assert len(outputs) == expected + 1, (upload, outputs)
    for output in outputs:
        data = upload.person.read(output)
        if output.endswith("manifest.json"):
            assert json.loads(data)["job"]["id"] == upload.job_id
        else:
            assert_right(upload, output, data)


def _check_plain(plain: Plain) -> None:
    """Whole, or (where nobody said 200) not there at all."""
    try:
        data = plain.person.read(plain.key)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey", error
        assert not plain.is_acknowledged, plain.key
    else:
        assert data == plain.block * PLAIN_REPEATS, plain.key


def _check_analytics(cluster: Cluster) -> None:
    wait_until(lambda: _count(cluster, "select count(*) from outbox") == 0, "the outbox is empty")
    clickhouse = cluster.servers.clickhouse
    assert clickhouse is not None
    catalog = PostgresTables(cluster.servers.postgres, cluster.database)
    assert disagreements(catalog, ClickHouseTables(clickhouse, cluster.analytics)) == []


async def _check_blobs(cluster: Cluster) -> None:
    """Nobody runs any more, so what nothing refers to is garbage or an orphan. After a sweep
    the store holds what the catalog refers to, and nothing else."""
    settings = config.load(
        environment=cluster.direct_addresses(), flags={}, folder=cluster.folder
    ).settings
    # Everything is older than a moment in the future, and orphans were due an hour ago.
    storage = replace(settings.storage, orphan_hours=-1.0, garbage_minutes=0.0)
    settings = replace(settings, storage=storage)
    async with open_backends(settings) as backends:
        janitor = Janitor(backends.catalog, backends.blobs, backends.notices, settings)
        await janitor.sweep_detached()
        orphans = await janitor.sweep_orphans()
        swept = await janitor.sweep_garbage()
    names = (
        "select blob_id from object_segments union select blob_id from part_segments "
        "union select value from meta where name = 'blob_store_marker'"
    )
    referenced = set(cluster.sql(names).split())
    assert cluster.servers.store is not None
    with connect(cluster.servers.store.endpoint) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=cluster.bucket)
        stored = {item["Key"] for page in pages for item in page.get("Contents", [])}
    print(f"{len(referenced)} blobs; swept {swept}, of them {orphans} orphans")
    assert stored == referenced, (stored - referenced, referenced - stored)
