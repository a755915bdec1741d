"""ports.catalog.Jobs: what owners see of their jobs, canceling, rerunning."""

from __future__ import annotations

import pytest

from mediaconvert.errors import JobAlreadyEnded, JobNotFound, PipelineNotFound, SourceGone
from mediaconvert.model import JobId, JobStatus, LeaseState, TriggeredBy
from tests.conformance.worlds import World, lease, new_object, outcome


async def test_a_submitted_job_waits_with_its_first_history_row(world: World) -> None:
    ref = await world.owner()
    pipeline = (await world.catalog.pipelines.create(ref.user_id, "small", "yaml", "text")).id
    version = (await world.catalog.pipelines.get(ref.user_id, pipeline)).version_id
    job_id = await world.submit(ref, version)
    job = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (job.status, job.progress, job.attempt) == (JobStatus.PENDING, 0, 0)
    assert (job.pipeline_id, job.version_id, job.pipeline_content) == (pipeline, version, "text")
    assert (job.steps, job.result, job.error, job.error_code) == ((), {}, None, None)
    assert (job.started_at_us, job.finished_at_us, job.rerun_of) == (None, None, None)
    (row,) = await world.catalog.jobs.history(ref.user_id, job_id)
    assert (row.from_status, row.to_status) == (None, JobStatus.PENDING)
    assert (row.triggered_by, row.created_at_us) == (TriggeredBy.USER, job.created_at_us)


async def test_anothers_job_looks_like_a_missing_one(world: World) -> None:
    ref = await world.owner("ann")
    bob = await world.user("bob")
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    jobs = world.catalog.jobs
    for user_id, wanted in ((bob, job_id), (ref.user_id, JobId(99)), (bob, JobId(10**40))):
        with pytest.raises(JobNotFound):
            await jobs.get(user_id, wanted)
        with pytest.raises(JobNotFound):
            await jobs.history(user_id, wanted)
        with pytest.raises(JobNotFound):
            await jobs.cancel(user_id, wanted)
        with pytest.raises(JobNotFound):
            await jobs.rerun(user_id, wanted, latest=False)
    assert (await jobs.get(ref.user_id, job_id)).status is JobStatus.PENDING
    assert (await jobs.list(bob, None, 0, 100)).total == 0


async def test_jobs_are_listed_newest_first_page_by_page(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    ids = [await world.submit(ref, pipeline, f"{number}.mp4") for number in range(5)]
    page = await world.catalog.jobs.list(ref.user_id, None, 1, 2)
    assert ([job.id for job in page.jobs], page.total) == ([ids[3], ids[2]], 5)
    beyond = await world.catalog.jobs.list(ref.user_id, None, 10**30, 2)
    assert (beyond.jobs, beyond.total) == ((), 5)


async def test_jobs_are_listed_by_status(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    ids = [await world.submit(ref, pipeline, f"{number}.mp4") for number in range(3)]
    await world.catalog.jobs.cancel(ref.user_id, ids[1])
    await world.claim()
    by_status = {
        status: [
            job.id for job in (await world.catalog.jobs.list(ref.user_id, status, 0, 100)).jobs
        ]
        for status in JobStatus
    }
    assert by_status == {
        JobStatus.PENDING: [ids[2]],
        JobStatus.PROCESSING: [ids[0]],
        JobStatus.COMPLETED: [],
        JobStatus.FAILED: [],
        JobStatus.CANCELED: [ids[1]],
    }
    assert (await world.catalog.jobs.list(ref.user_id, JobStatus.CANCELED, 0, 1)).total == 1


async def test_a_canceled_pending_job_never_starts(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    assert await world.catalog.jobs.cancel(ref.user_id, job_id) is JobStatus.PENDING
    assert await world.catalog.queue.claim("worker", 5, 15) == ()
    job = await world.catalog.jobs.get(ref.user_id, job_id)
    assert job.status is JobStatus.CANCELED
    assert (job.started_at_us, job.finished_at_us is None) == (None, False)
    last = (await world.catalog.jobs.history(ref.user_id, job_id))[-1]
    assert (last.from_status, last.to_status, last.triggered_by) == (
        JobStatus.PENDING,
        JobStatus.CANCELED,
        TriggeredBy.USER,
    )


async def test_a_canceled_running_job_cannot_be_finished(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    job = await world.claim()
    assert await world.catalog.jobs.cancel(ref.user_id, job_id) is JobStatus.PROCESSING
    queue = world.catalog.queue
    assert await queue.renew("worker", [lease(job)], 15) == {job_id: LeaseState.CANCEL}
    assert not await queue.progress(lease(job), 50, None, [])
    assert not await queue.finish(lease(job), outcome(new_object("results/x")))
    assert not await queue.release(lease(job), "The service stopped.")
    assert (await world.catalog.jobs.get(ref.user_id, job_id)).status is JobStatus.CANCELED
    assert len(await world.catalog.jobs.history(ref.user_id, job_id)) == 3


async def test_an_ended_job_cannot_be_canceled(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    job = await world.claim()
    await world.catalog.queue.finish(lease(job), outcome())
    for _ in range(2):
        with pytest.raises(JobAlreadyEnded, match="completed"):
            await world.catalog.jobs.cancel(ref.user_id, job_id)
    assert (await world.catalog.jobs.get(ref.user_id, job_id)).status is JobStatus.COMPLETED


async def test_a_rerun_has_the_same_bytes_and_the_pinned_text(world: World) -> None:
    ref = await world.owner()
    old = await world.catalog.pipelines.create(ref.user_id, "small", "yaml", "old")
    job_id = await world.submit(ref, old.version_id)
    new = await world.catalog.pipelines.replace(ref.user_id, old.id, "small", "yaml", "new")
    again = await world.catalog.jobs.rerun(ref.user_id, job_id, latest=False)
    newest = await world.catalog.jobs.rerun(ref.user_id, job_id, latest=True)
    first = await world.catalog.jobs.get(ref.user_id, job_id)
    assert len({job_id, again.id, newest.id}) == 3
    assert (again.source_id, again.pipeline_content) == (first.source_id, "old")
    assert (newest.version_id, newest.pipeline_content) == (new.version_id, "new")
    assert (again.status, again.rerun_of) == (JobStatus.PENDING, job_id)
    (row,) = await world.catalog.jobs.history(ref.user_id, again.id)
    assert (row.triggered_by, row.message) == (TriggeredBy.USER, f"Rerun of job {job_id}.")


async def test_a_rerun_with_a_deleted_pipeline_keeps_the_pinned_text(world: World) -> None:
    ref = await world.owner()
    made = await world.catalog.pipelines.create(ref.user_id, "small", "yaml", "text")
    job_id = await world.submit(ref, made.version_id)
    await world.catalog.pipelines.delete(ref.user_id, made.id)
    again = await world.catalog.jobs.rerun(ref.user_id, job_id, latest=False)
    assert again.pipeline_content == "text"
    with pytest.raises(PipelineNotFound):
        await world.catalog.jobs.rerun(ref.user_id, job_id, latest=True)


async def test_a_rerun_needs_the_bytes_that_the_first_job_ran_on(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    await world.put(ref, "film.mp4")
    # Overwritten, but kept for the job, which has not ended: that is good enough.
    again = await world.catalog.jobs.rerun(ref.user_id, job_id, latest=False)
    await world.catalog.jobs.cancel(ref.user_id, job_id)
    await world.catalog.jobs.cancel(ref.user_id, again.id)
    with pytest.raises(SourceGone):
        await world.catalog.jobs.rerun(ref.user_id, job_id, latest=False)


async def test_a_rerun_needs_the_bucket_of_its_outputs(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    await world.delete(ref, "film.mp4")
    await world.catalog.buckets.delete(ref)
    await world.catalog.buckets.create(ref, "us-east-1", limit=9)
    with pytest.raises(SourceGone):
        await world.catalog.jobs.rerun(ref.user_id, job_id, latest=False)
