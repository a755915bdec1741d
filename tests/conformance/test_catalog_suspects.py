"""ports.catalog.Queue: what deaths of worker processes mean for the jobs that they ran."""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.model import (
    BucketRef,
    ClaimedJob,
    FailureKind,
    JobFailure,
    JobId,
    JobStatus,
    TriggeredBy,
)
from tests.conformance.worlds import World, blob, lease, outcome

RETRY_BASE_SECONDS = 5.0
CRASH = JobFailure(FailureKind.CRASH, "tool_crashed", "ffmpeg died by signal 11")


@dataclass
class Service:
    """Worker processes on one catalog, as far as it sees them."""

    world: World

    async def restart(self) -> tuple[JobId, ...]:
        """The embedded process has died, and starts again."""
        return await self.world.catalog.queue.recover(
            all_running=True,
            by=TriggeredBy.SYSTEM,
            message="The service was stopped",
            retry_base_seconds=RETRY_BASE_SECONDS,
        )

    async def expire(self) -> tuple[JobId, ...]:
        """A peer takes back what a dead process of a cluster ran."""
        return await self.world.catalog.queue.recover(
            all_running=False,
            by=TriggeredBy.SYSTEM,
            message="The worker's lease ran out",
            retry_base_seconds=RETRY_BASE_SECONDS,
        )

    async def claim_suspect(self, lease_seconds: float = 15.0) -> ClaimedJob:
        """The one suspect, once its wait is over."""
        self.world.execute("update jobs set available_at = 0 where is_suspect = 1")
        job = await self.world.catalog.queue.claim_suspect("worker", lease_seconds, 0.0)
        assert job is not None
        return job

    async def run_alone(self, lease_seconds: float = 15.0) -> ClaimedJob:
        job = await self.claim_suspect(lease_seconds)
        assert await self.world.catalog.queue.run_alone(lease(job))
        return job

    async def make_suspect(self) -> None:
        """The one job has been running at two deaths."""
        for _ in range(2):
            await self.world.claim()
            assert len(await self.restart()) == 1

    def deaths(self, job_id: JobId) -> tuple[int, int]:
        """All of them, and those in a row while it ran alone."""
        where = f"from jobs where id = {job_id}"
        (total,) = self.world.execute(f"select worker_deaths {where}")
        (alone,) = self.world.execute(f"select lone_deaths {where}")
        return int(total), int(alone)

    async def last_message(self, ref: BucketRef, job_id: JobId) -> str:
        return (await self.world.catalog.jobs.history(ref.user_id, job_id))[-1].message


async def _one(world: World, key: str = "film.mp4") -> tuple[JobId, BucketRef]:
    ref = await world.owner()
    return await world.submit(ref, await world.pipeline(ref.user_id), key), ref


async def test_the_first_death_of_its_process_costs_a_job_nothing(world: World) -> None:
    job_id, ref = await _one(world)
    service = Service(world)
    await world.claim()
    assert await service.restart() == (job_id,)
    assert await service.last_message(ref, job_id) == "The service was stopped"
    assert await world.catalog.queue.suspect_due_seconds() is None
    again = await world.claim()
    assert (again.id, again.attempt, again.crashes) == (job_id, 2, 0)


async def test_after_two_deaths_a_job_is_claimed_apart_and_only_after_a_wait(
    world: World,
) -> None:
    job_id, ref = await _one(world)
    service, queue = Service(world), world.catalog.queue
    await service.make_suspect()
    assert "died 2 times" in await service.last_message(ref, job_id)
    assert "alone" in await service.last_message(ref, job_id)
    assert await queue.claim("worker", 9, 15.0) == ()
    assert await queue.next_due_seconds() is None
    due = await queue.suspect_due_seconds()
    assert due is not None and 10 < due <= 15
    assert await queue.claim_suspect("worker", 15.0, 0.0) is None
    world.execute("update jobs set available_at = available_at - 20000000")
    assert await queue.claim_suspect("worker", 15.0, 30.0) is None
    job = await queue.claim_suspect("worker", 15.0, 3.0)
    assert job is not None and (job.id, job.attempt) == (job_id, 3)
    assert "runs no other job" in await service.last_message(ref, job_id)
    assert await queue.run_alone(lease(job))
    assert await queue.finish(lease(job), outcome())


async def test_the_wait_grows_with_each_death(world: World) -> None:
    job_id, _ = await _one(world)
    service = Service(world)
    await service.make_suspect()
    for expected in (30, 60):
        await service.run_alone()
        assert await service.restart() == (job_id,)
        due = await world.catalog.queue.suspect_due_seconds()
        assert due is not None and expected - 5 < due <= expected


async def test_a_job_that_ends_its_process_three_times_alone_is_poison_and_says_so(
    world: World,
) -> None:
    ref = await world.owner()
    source = blob()
    version = await world.pipeline(ref.user_id)
    job_id = (await world.put(ref, "film.mp4", source, pipeline=version)).job_id
    assert job_id is not None
    await world.delete(ref, "film.mp4")
    service = Service(world)
    await service.make_suspect()
    for expected in ((job_id,), (job_id,), ()):
        await service.run_alone()
        assert await service.restart() == expected
    ended = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "poison")
    assert "3 times in a row while no other job ran" in (ended.error or "")
    assert "2 earlier deaths" in (ended.error or "")
    assert ended.finished_at_us is not None
    assert await world.catalog.queue.suspect_due_seconds() is None
    assert await world.garbage() == {source}


async def test_any_number_of_deaths_beside_other_jobs_fails_no_job(world: World) -> None:
    job_id, ref = await _one(world)
    service = Service(world)
    await service.make_suspect()
    for _ in range(10):
        # Claimed, and waiting for the other jobs of its process to end.
        await service.claim_suspect()
        assert await service.restart() == (job_id,)
    assert service.deaths(job_id) == (2, 0)
    assert await world.catalog.queue.suspect_due_seconds() is not None
    assert (await world.catalog.jobs.get(ref.user_id, job_id)).status is JobStatus.PENDING


async def test_a_death_of_an_idle_process_speaks_for_all_suspects(world: World) -> None:
    job_id, _ = await _one(world)
    service = Service(world)
    await service.make_suspect()
    for _ in range(4):
        for _ in range(2):
            await service.run_alone()
            assert await service.restart() == (job_id,)
        assert service.deaths(job_id)[1] == 2
        # The process that has just started dies too, and ran nothing.
        assert await service.restart() == ()
        assert service.deaths(job_id)[1] == 0


async def test_a_clean_stop_is_no_death(world: World) -> None:
    job_id, _ = await _one(world)
    service, queue = Service(world), world.catalog.queue
    await service.make_suspect()
    await service.run_alone()
    await service.restart()
    before = service.deaths(job_id)
    assert before == (3, 1)
    job = await service.run_alone()
    assert await queue.release(lease(job), "The service is stopping")
    await queue.note_clean_stop()
    assert await service.restart() == ()
    assert service.deaths(job_id) == before
    again = await service.claim_suspect()
    assert (again.id, again.attempt) == (job_id, job.attempt)
    # It is not alone before it says so, whatever it was in its last attempt.
    await service.restart()
    assert service.deaths(job_id)[0] == 3


async def test_a_process_that_is_known_to_live_counts_nothing(world: World) -> None:
    job_id, _ = await _one(world)
    service = Service(world)
    await service.make_suspect()
    for _ in range(4):
        await service.run_alone(lease_seconds=-1)
        back = await world.catalog.queue.recover(
            all_running=False, by=TriggeredBy.SYSTEM, message="Suspended", is_crash=False
        )
        assert back == (job_id,)
    assert service.deaths(job_id) == (2, 0)


async def test_in_a_cluster_an_expired_lease_counts_as_the_death(world: World) -> None:
    job_id, ref = await _one(world)
    service, queue = Service(world), world.catalog.queue
    for _ in range(2):
        assert len(await queue.claim("worker", 1, -1)) == 1
        assert await service.expire() == (job_id,)
    for expected in ((job_id,), (job_id,), ()):
        await service.run_alone(lease_seconds=-1)
        assert await service.expire() == expected
    ended = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "poison")


async def test_in_a_cluster_another_processs_death_speaks_for_suspects_that_wait_and_run(
    world: World,
) -> None:
    job_id, ref = await _one(world)
    service, queue = Service(world), world.catalog.queue
    await service.make_suspect()
    other = await world.submit(ref, await world.pipeline(ref.user_id, "other"), "other.mp4")
    for is_running in (False, True):
        await service.run_alone(lease_seconds=-1)
        assert await service.expire() == (job_id,)
        assert service.deaths(job_id)[1] == 1
        if is_running:
            await service.run_alone(lease_seconds=60)
        world.execute(f"update jobs set is_suspect = 0, worker_deaths = 0 where id = {other}")
        assert [job.id for job in await queue.claim("another", 1, -1)] == [other]
        assert await service.expire() == (other,)
        assert service.deaths(job_id)[1] == 0
        assert service.deaths(other) == (1, 0)


async def test_deaths_of_its_own_tools_are_counted_apart(world: World) -> None:
    job_id, _ = await _one(world)
    service, queue = Service(world), world.catalog.queue
    assert await queue.fail(lease(await world.claim()), CRASH, 0)
    await service.make_suspect()
    job = await service.run_alone()
    assert job.crashes == 1
    assert await queue.fail(lease(job), CRASH, 0)
    again = await service.claim_suspect()
    assert (again.id, again.crashes) == (job_id, 2)
    assert service.deaths(job_id) == (2, 0)


async def test_running_alone_takes_a_lease_and_a_suspect(world: World) -> None:
    await _one(world)
    service, queue = Service(world), world.catalog.queue
    ordinary = await world.claim()
    assert not await queue.run_alone(lease(ordinary))
    await service.restart()
    await world.claim()
    await service.restart()
    stale = await service.claim_suspect()
    await service.restart()
    assert not await queue.run_alone(lease(stale))
