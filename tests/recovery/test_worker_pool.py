"""Slots that claim, run, drain and take back; leases that are obeyed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
import trio.testing

from mediaconvert.model import JobStatus, TriggeredBy
from mediaconvert.ports.notices import Notice, Topic
from mediaconvert.workers.leases import LeaseKeeper, Stop
from mediaconvert.workers.pool import Pool
from tests.conformance.damaged_columns import damage
from tests.program import PHOTO
from tests.recovery.test_worker_jobs import RESIZE
from tests.recovery.worker_rig import (
    SLOW_PIPELINE,
    Rig,
    ffmpeg_runs,
    long_film,
    open_rig,
    running_ffmpegs,
    settings_for,
    until,
)


@asynccontextmanager
async def working(
    rig: Rig, *, embedded: bool = False, suspect_wait_seconds: float = 120.0
) -> AsyncIterator[Pool]:
    """A pool at work; drained when the body ends."""
    pool = rig.pool(embedded=embedded, suspect_wait_seconds=suspect_wait_seconds)
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        yield pool
        await pool.drain()


async def has_status(rig: Rig, job_id: int, status: JobStatus) -> bool:
    return (await rig.job(job_id)).status is status  # type: ignore[arg-type]


async def test_a_pool_runs_everything_that_waits_and_what_is_announced(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path, poll_seconds=60)) as rig:
        data = PHOTO.read_bytes()
        waiting = [await rig.submit(data, RESIZE, key=f"{n}.jpg") for n in range(5)]
        ended: list[str] = []
        async with working(rig) as pool:
            pool.observe(lambda ending, _: ended.append(ending))
            assert pool.slots == 2
            for job_id in waiting:
                await until(lambda job_id=job_id: has_status(rig, job_id, JobStatus.COMPLETED))
            # It polls once a minute: only the notice can have woken it.
            late = await rig.submit(data, RESIZE, key="late.jpg")
            await rig.notices.publish(Notice(Topic.JOB_READY, str(late)))
            await until(lambda: has_status(rig, late, JobStatus.COMPLETED))
        assert pool.slots_busy == 0
        assert ended == ["completed"] * 6


async def test_the_log_says_when_a_job_begins_and_on_which_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mediaconvert.workers")
    async with open_rig(settings_for(tmp_path)) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        async with working(rig) as pool:
            await until(lambda: has_status(rig, job_id, JobStatus.COMPLETED))
    told = [(each.message, getattr(each, "fields", {})) for each in caplog.records]
    begun = {"job": job_id, "attempt": 1, "worker": pool.worker_id}
    ended = {"job": job_id, "attempt": 1, "outputs": 2}
    of_the_job = [each for each in told if each[1].get("job") == job_id]
    assert of_the_job == [("began a job", begun), ("completed a job", ended)]


async def test_without_any_notice_jobs_are_found_by_polling(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path, poll_seconds=0.05)) as rig, working(rig):
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        await until(lambda: has_status(rig, job_id, JobStatus.COMPLETED))


async def test_a_pool_claims_no_more_than_it_has_slots(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, slots=1, drain_seconds=0.0)
    async with open_rig(settings) as rig:
        film = long_film(tmp_path)
        jobs = [await rig.submit(film, SLOW_PIPELINE, key=f"{n}.mp4") for n in range(2)]
        async with working(rig) as pool:
            await until(ffmpeg_runs)
            assert pool.slots_busy == 1
            assert (await rig.job(jobs[1])).status is JobStatus.PENDING


async def test_a_cancel_notice_stops_the_running_job(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path)) as rig:
        film = long_film(tmp_path)
        job_id = await rig.submit(film, SLOW_PIPELINE)
        ended: list[str] = []
        async with working(rig) as pool:
            pool.observe(lambda ending, _: ended.append(ending))
            await until(ffmpeg_runs)
            await rig.catalog.jobs.cancel(rig.user_id, job_id)
            await rig.notices.publish(Notice(Topic.JOB_CANCELED, str(job_id)))
            await until(lambda: _is_idle(pool))
            assert running_ffmpegs() == []
        assert ended == ["canceled"]


async def _is_idle(pool: Pool) -> bool:
    await trio.lowlevel.checkpoint()
    return pool.slots_busy == 0


async def test_draining_lets_running_jobs_end_and_claims_no_other(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path, slots=1)) as rig:
        data = PHOTO.read_bytes()
        # More than end between two looks.
        jobs = [await rig.submit(data, RESIZE, key=f"{n}.jpg") for n in range(8)]
        async with working(rig) as pool:
            await until(lambda: _is_busy(pool))
            pool.begin_drain()
        statuses = [(await rig.job(job_id)).status for job_id in jobs]
        assert JobStatus.PROCESSING not in statuses
        assert statuses[0] is JobStatus.COMPLETED
        assert statuses[-1] is JobStatus.PENDING


async def _is_busy(pool: Pool) -> bool:
    await trio.lowlevel.checkpoint()
    return pool.slots_busy > 0


async def test_a_job_that_outlasts_the_drain_goes_back_without_losing_an_attempt(
    tmp_path: Path,
) -> None:
    async with open_rig(settings_for(tmp_path, drain_seconds=0.0)) as rig:
        job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
        async with working(rig):
            await until(ffmpeg_runs)
        job = await rig.job(job_id)
        assert (job.status, job.attempt) == (JobStatus.PENDING, 0)
        last = (await rig.catalog.jobs.history(rig.user_id, job_id))[-1]
        assert "stopping" in last.message
        assert running_ffmpegs() == []
        assert rig.workspaces() == []


async def test_a_pool_cancelled_from_outside_leaves_no_process_and_no_lost_job(
    tmp_path: Path,
) -> None:
    async with open_rig(settings_for(tmp_path)) as rig:
        job_id = await rig.submit(long_film(tmp_path), SLOW_PIPELINE)
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.pool().run)
            await until(ffmpeg_runs)
            nursery.cancel_scope.cancel()
        assert (await rig.job(job_id)).status is JobStatus.PENDING
        assert running_ffmpegs() == []


async def test_an_embedded_start_takes_back_what_a_dead_process_ran(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path)) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        dead = await rig.claim()
        (tmp_path / "work" / f"{dead.id}-{dead.token[:12]}").mkdir(parents=True)
        async with working(rig, embedded=True):
            await until(lambda: has_status(rig, job_id, JobStatus.COMPLETED))
        assert rig.workspaces() == []
        rows = await rig.catalog.jobs.history(rig.user_id, job_id)
        assert rows[2].triggered_by is TriggeredBy.SYSTEM
        assert (await rig.job(job_id)).attempt == 2


async def test_a_start_beside_other_workers_leaves_their_jobs_alone(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        await rig.claim()
        async with working(rig):
            assert (await rig.job(job_id)).status is JobStatus.PROCESSING
        assert (await rig.job(job_id)).status is JobStatus.PROCESSING


async def test_renewing_keeps_a_lease_and_losing_it_stops_the_job(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, renew_seconds=0.1)
    async with open_rig(settings, with_tools=False) as rig:
        await rig.submit(PHOTO.read_bytes(), RESIZE)
        job = await rig.claim()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.keeper.run)
            with rig.keeper.hold(job, trio.current_time()) as held:
                first = held.scope.deadline
                await until(lambda: _is_later(held.scope, first))
                assert held.stopped is None
                await rig.catalog.queue.recover(
                    all_running=True, by=TriggeredBy.SYSTEM, message="test"
                )
                with held.scope:
                    await trio.sleep_forever()
                assert held.stopped is Stop.LOST
            nursery.cancel_scope.cancel()


async def _is_later(scope: trio.CancelScope, than: float) -> bool:
    await trio.lowlevel.checkpoint()
    return scope.deadline > than


async def test_a_job_whose_lease_cannot_be_renewed_stops_before_it_runs_out(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, lease_seconds=3.0)
    async with open_rig(settings, with_tools=False) as rig:
        await rig.submit(PHOTO.read_bytes(), RESIZE)
        job = await rig.claim()
        # Nobody renews: the keeper does not run.
        asked_at = trio.current_time()
        with rig.keeper.hold(job, asked_at) as held:
            assert held.scope.deadline == asked_at + 2.0
            with held.scope:
                await trio.sleep_forever()
            assert held.stopped is Stop.UNRENEWED


async def _let_the_lease_go(rig: Rig) -> None:
    """Claim the one job and hold it, with nobody renewing, until it is stopped."""
    job = await rig.claim()
    with rig.keeper.hold(job, trio.current_time()) as held, held.scope:
        await trio.sleep_forever()
    assert held.stopped is Stop.UNRENEWED


async def test_a_job_that_could_not_be_renewed_is_given_back_with_its_attempt(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, lease_seconds=1.0, renew_seconds=0.1)
    async with open_rig(settings, with_tools=False) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        await _let_the_lease_go(rig)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.keeper.run)
            await until(lambda: has_status(rig, job_id, JobStatus.PENDING))
            nursery.cancel_scope.cancel()
        again = await rig.claim()
        assert (again.attempt, again.crashes) == (1, 0)


async def test_a_job_that_somebody_took_meanwhile_is_not_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(tmp_path, lease_seconds=1.0, renew_seconds=0.1)
    async with open_rig(settings, with_tools=False) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        await _let_the_lease_go(rig)
        await rig.catalog.queue.recover(all_running=True, by=TriggeredBy.SYSTEM, message="test")
        assert (await rig.claim()).attempt == 2
        with caplog.at_level(logging.INFO, "mediaconvert.workers.leases"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.keeper.run)
                await until(lambda: _is_said(caplog, "no longer ours"))
                nursery.cancel_scope.cancel()
        assert (await rig.job(job_id)).status is JobStatus.PROCESSING


async def _is_said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    await trio.lowlevel.checkpoint()
    return words in caplog.text


async def test_a_cancel_that_overtakes_the_claims_answer_is_not_forgotten(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        job_id = await rig.submit(PHOTO.read_bytes(), RESIZE)
        job = await rig.claim()
        keeper = LeaseKeeper(rig.catalog.queue, "w", rig.settings.workers)
        keeper.cancel(job_id)
        with keeper.hold(job, trio.current_time()) as held:
            assert held.stopped is Stop.CANCELED


async def test_an_older_attempt_in_the_same_process_loses_to_the_newer(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path), with_tools=False) as rig:
        await rig.submit(PHOTO.read_bytes(), RESIZE)
        older = await rig.claim()
        await rig.catalog.queue.recover(all_running=True, by=TriggeredBy.SYSTEM, message="test")
        newer = await rig.claim()
        now = trio.current_time()
        with rig.keeper.hold(older, now) as first, rig.keeper.hold(newer, now) as second:
            assert first.stopped is Stop.LOST
            assert second.stopped is None


@pytest.mark.parametrize("column", ["worker_deaths", "attempt", "available_at", "is_suspect"])
async def test_a_pool_starts_and_works_beside_a_damaged_job(tmp_path: Path, column: str) -> None:
    async with open_rig(settings_for(tmp_path, poll_seconds=0.05)) as rig:
        data = PHOTO.read_bytes()
        running = await rig.submit(data, RESIZE, key="running.jpg")
        await rig.claim()
        waiting = await rig.submit(data, RESIZE, key="waiting.jpg")
        for job_id in (running, waiting):
            change = f"update jobs set {column} = null where id = {job_id}"
            damage(tmp_path / "catalog.db", "jobs", change)
        sound = await rig.submit(data, RESIZE, key="sound.jpg")
        async with working(rig, embedded=True):
            await until(lambda: has_status(rig, sound, JobStatus.COMPLETED))
            for job_id in (running, waiting):
                await until(lambda job_id=job_id: _has_ended(rig, job_id))


async def _has_ended(rig: Rig, job_id: int) -> bool:
    status = (await rig.job(job_id)).status  # type: ignore[arg-type]
    return status in (JobStatus.COMPLETED, JobStatus.FAILED)


# --- suspects --------------------------------------------------------------------------------


def make_suspect(rig: Rig, job_id: int) -> None:
    """Due since long ago; as after two deaths of its worker process."""
    catalog = rig.settings.server.data_dir / "catalog.db"
    with closing(sqlite3.connect(catalog, isolation_level=None)) as other:
        other.execute(
            "update jobs set is_suspect = 1, worker_deaths = 2, available_at = 0 where id = ?1",
            (job_id,),
        )


def running(rig: Rig) -> tuple[int, int]:
    """How many jobs run, and how many of them alone."""
    catalog = rig.settings.server.data_dir / "catalog.db"
    counts = "count(*), coalesce(sum(runs_alone), 0)"
    with closing(sqlite3.connect(catalog)) as other:
        where = "where status = 'processing'"
        (found,) = other.execute(f"select {counts} from jobs {where}").fetchall()
    return found[0], found[1]


async def test_an_idle_pool_runs_suspects_one_by_one(tmp_path: Path) -> None:
    async with open_rig(settings_for(tmp_path, poll_seconds=0.05)) as rig:
        data = PHOTO.read_bytes()
        jobs = [await rig.submit(data, RESIZE, key=f"{n}.jpg") for n in range(3)]
        for job_id in jobs:
            make_suspect(rig, job_id)
        async with working(rig):
            for job_id in jobs:
                await until(lambda job_id=job_id: _has_ended_alone(rig, job_id))


async def _has_ended_alone(rig: Rig, job_id: int) -> bool:
    count, alone = running(rig)
    assert not alone or count == 1
    return await has_status(rig, job_id, JobStatus.COMPLETED)


async def begin_film_and_suspect(rig: Rig, film: bytes) -> tuple[int, int]:
    """In a pool that is at work: the film runs, and the suspect is claimed and waits."""
    first = await rig.submit(film, SLOW_PIPELINE, key="first.mp4")
    await rig.notices.publish(Notice(Topic.JOB_READY, str(first)))
    await until(ffmpeg_runs)
    suspect = await rig.submit(PHOTO.read_bytes(), RESIZE, key="suspect.jpg")
    make_suspect(rig, suspect)

    async def is_claimed() -> bool:
        await rig.notices.publish(Notice(Topic.JOB_READY, str(suspect)))
        return await has_status(rig, suspect, JobStatus.PROCESSING)

    await until(is_claimed)
    return first, suspect


async def test_a_busy_pool_lets_a_suspect_that_has_waited_run_alone_and_then_the_others(
    tmp_path: Path,
) -> None:
    """The queue never empties: a suspect that waits for an idle process would wait for ever."""
    async with open_rig(settings_for(tmp_path, poll_seconds=60)) as rig:
        film = long_film(tmp_path)
        async with working(rig) as pool:
            first, suspect = await begin_film_and_suspect(rig, film)
            others = [
                await rig.submit(PHOTO.read_bytes(), RESIZE, key=f"{n}.jpg") for n in range(2)
            ]
            # It waits until the film has ended, and the others wait too.
            assert (running(rig), pool.slots_busy) == ((2, 0), 2)
            await rig.catalog.jobs.cancel(rig.user_id, first)  # type: ignore[arg-type]
            await rig.notices.publish(Notice(Topic.JOB_CANCELED, str(first)))
            await until(lambda: _has_ended_alone(rig, suspect))
            for job_id in others:
                await until(lambda job_id=job_id: has_status(rig, job_id, JobStatus.COMPLETED))


async def test_a_suspect_does_not_keep_a_busy_pool_idle_and_runs_when_it_is(
    tmp_path: Path,
) -> None:
    async with open_rig(settings_for(tmp_path, poll_seconds=0.05)) as rig:
        film = long_film(tmp_path)
        async with working(rig, suspect_wait_seconds=0.5):
            first, suspect = await begin_film_and_suspect(rig, film)
            other = await rig.submit(PHOTO.read_bytes(), RESIZE, key="other.jpg")
            # Beside the film, which runs for minutes.
            await until(lambda: has_status(rig, other, JobStatus.COMPLETED))
            assert await has_status(rig, first, JobStatus.PROCESSING)
            history = await rig.catalog.jobs.history(rig.user_id, suspect)  # type: ignore[arg-type]
            assert any("busy with other jobs" in row.message for row in history)
            await rig.catalog.jobs.cancel(rig.user_id, first)  # type: ignore[arg-type]
            await rig.notices.publish(Notice(Topic.JOB_CANCELED, str(first)))
            await until(lambda: _has_ended_alone(rig, suspect))
        assert (await rig.job(suspect)).attempt == 1  # type: ignore[arg-type]


async def test_a_suspect_that_waits_to_be_alone_is_put_back_when_the_process_ends(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, drain_seconds=0.0, poll_seconds=60)
    async with open_rig(settings) as rig:
        film = long_film(tmp_path)
        async with working(rig, embedded=True):
            jobs = await begin_film_and_suspect(rig, film)
        for job_id in jobs:
            job = await rig.job(job_id)  # type: ignore[arg-type]
            assert (job.status, job.attempt) == (JobStatus.PENDING, 0)
        # No death: the next start finds a process that ended in order.
        assert await rig.catalog.housekeeping.find_meta("worker_process") == "stopped"
