"""One damaged job stops neither the queue nor the process; each column as null and as a blob."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.model import ClaimedJob, JobId, ListQuery, TriggeredBy
from tests.conformance.damaged_columns import damage
from tests.conformance.worlds import World, lease, new_object, outcome

NUMBERS = (
    "user_id",
    "bucket_id",
    "source_id",
    "source_size",
    "pipeline_id",
    "version_id",
    "priority",
    "progress",
    "output_bytes",
    "attempt",
    "infra_failures",
    "crashes",
    "available_at",
    "created_at",
    "worker_deaths",
    "lone_deaths",
    "is_suspect",
    "runs_alone",
    "clock_offset",
)
TEXTS = ("bucket_name", "source_key", "source_content_type", "status", "steps", "result")
COLUMNS = (*NUMBERS, *TEXTS)
VALUES = ("null", "x'a1b2'")
SEGMENTS = ("blob_id", "start", "size")
_ALL = ListQuery()


@pytest.fixture
async def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    async with open_sqlite_catalog(tmp_path / "catalog.db") as catalog:
        yield World(catalog, lambda _sql: [])


async def _three_jobs(world: World) -> list[JobId]:
    """The one in the middle is damaged later."""
    ref = await world.owner()
    version = await world.pipeline(ref.user_id)
    return [await world.submit(ref, version, key) for key in ("a", "b", "c")]


async def _claim_all(world: World) -> list[JobId]:
    """Until nothing is left."""
    queue = world.catalog.queue
    claimed: list[JobId] = []
    for _ in range(4):
        claimed += [job.id for job in await queue.claim("worker", 1, 15.0)]
        await queue.next_due_seconds()
        await queue.suspect_due_seconds()
    return claimed


async def _claim_suspects(world: World) -> list[JobId]:
    queue = world.catalog.queue
    claimed: list[JobId] = []
    for number in range(4):
        due = await queue.suspect_due_seconds()
        assert number >= 2 or (due is not None and due <= 0)
        job = await queue.claim_suspect("worker", 15.0, 0.0)
        claimed += [job.id] if job is not None else []
    return claimed


@pytest.mark.parametrize("in_indexes", [True, False], ids=["consistent", "table only"])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_pending_job_holds_up_no_other(
    tmp_path: Path, world: World, column: str, value: str, in_indexes: bool
) -> None:
    first, broken, last = await _three_jobs(world)
    change = f"update jobs set {column} = {value} where id = {broken}"
    damage(tmp_path / "catalog.db", "jobs", change, in_indexes=in_indexes)
    claimed = await _claim_all(world)
    assert {first, last} <= set(claimed) <= {first, broken, last}
    assert len(set(claimed)) == len(claimed)


@pytest.mark.parametrize("in_indexes", [True, False], ids=["consistent", "table only"])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_suspect_holds_up_no_other(
    tmp_path: Path, world: World, column: str, value: str, in_indexes: bool
) -> None:
    first, broken, last = await _three_jobs(world)
    path = tmp_path / "catalog.db"
    damage(path, "jobs", "update jobs set is_suspect = 1, worker_deaths = 2, lone_deaths = 1")
    change = f"update jobs set {column} = {value} where id = {broken}"
    damage(path, "jobs", change, in_indexes=in_indexes)
    claimed = await _claim_suspects(world)
    assert {first, last} <= set(claimed) <= {first, broken, last}


@pytest.mark.parametrize("in_indexes", [True, False], ids=["consistent", "table only"])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", (*COLUMNS, "lease_until", "lease_token", "worker_id"))
async def test_a_damaged_running_job_holds_up_no_recovery(
    tmp_path: Path, world: World, column: str, value: str, in_indexes: bool
) -> None:
    first, broken, last = await _three_jobs(world)
    queue = world.catalog.queue
    assert len(await queue.claim("worker", 3, 15.0)) == 3
    change = f"update jobs set {column} = {value} where id = {broken}"
    damage(tmp_path / "catalog.db", "jobs", change, in_indexes=in_indexes)
    back = await queue.recover(all_running=True, by=TriggeredBy.SYSTEM, message="restarted")
    assert {first, last} <= set(back) <= {first, broken, last}
    again = await _claim_all(world)
    assert {first, last} <= set(again)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", SEGMENTS)
async def test_a_damaged_segment_of_a_source_holds_up_no_other(
    tmp_path: Path, world: World, column: str, value: str
) -> None:
    first, _, last = await _three_jobs(world)
    change = (
        f"update object_segments set {column} = {value}"
        " where object_id = (select id from objects where key = 'b')"
    )
    damage(tmp_path / "catalog.db", "object_segments", change)
    assert await _claim_all(world) == [first, last]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", ["output_bytes", "clock_offset", "created_at", "priority"])
async def test_jobs_that_end_together_with_a_damaged_one_end_as_they_would_alone(
    tmp_path: Path, world: World, column: str, value: str
) -> None:
    _, broken, _ = await _three_jobs(world)
    queue = world.catalog.queue
    claimed = await queue.claim("worker", 3, 15.0)
    change = f"update jobs set {column} = {value} where id = {broken}"
    damage(tmp_path / "catalog.db", "jobs", change)
    done: dict[JobId, bool] = {}

    async def finish(job: ClaimedJob) -> None:
        result = outcome(new_object(f"results/{job.id}"))
        done[job.id] = await queue.finish(lease(job), result)

    async with trio.open_nursery() as nursery:
        for job in claimed:
            nursery.start_soon(finish, job)
    # Nothing of one that could not be finished is visible.
    page = await world.catalog.objects.list(claimed[0].bucket, _ALL)
    visible = {each.key for each in page.objects if each.key.startswith("results/")}
    assert visible == {f"results/{job_id}" for job_id, is_done in done.items() if is_done}
    assert all(is_done or job_id == broken for job_id, is_done in done.items())


async def test_an_index_entry_of_a_completed_job_never_runs_it_again(
    tmp_path: Path, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first, done, last = await _three_jobs(world)
    change = f"update jobs set status = 'completed' where id = {done}"
    damage(tmp_path / "catalog.db", "jobs", change, in_indexes=False)
    assert await _claim_all(world) == [first, last]
    assert await world.catalog.queue.next_due_seconds() is None
    messages = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert messages == ["a record of the database is damaged"]


async def test_an_index_entry_of_a_suspect_gives_nobody_else_fewer_turns(
    tmp_path: Path, world: World
) -> None:
    """The user of the damaged job has the fewest running jobs."""
    first, broken, last = await _three_jobs(world)
    other = await world.owner("bob")
    theirs = await world.submit(other, await world.pipeline(other.user_id), "d")
    path = tmp_path / "catalog.db"
    for job_id in (first, broken, last):
        change = f"update jobs set is_suspect = 1 where id = {job_id}"
        damage(path, "jobs", change, in_indexes=False)
    assert await _claim_all(world) == [theirs]
