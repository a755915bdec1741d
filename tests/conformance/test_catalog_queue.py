"""ports.catalog.Queue: claiming, leases, and every end of an attempt."""

from __future__ import annotations

import pytest
import trio

from mediaconvert.errors import ObjectNotFound
from mediaconvert.model import (
    FailureKind,
    JobFailure,
    JobId,
    JobOutcome,
    JobStatus,
    Lease,
    LeaseState,
    LeaseToken,
    TriggeredBy,
    UserId,
)
from tests.conformance.worlds import World, blob, lease, new_object, outcome

CRASH = JobFailure(FailureKind.CRASH, "tool_crashed", "ffmpeg died by signal 11", ("line",))
INFRA = JobFailure(FailureKind.INFRA, "store_away", "the store did not answer")
INPUT = JobFailure(
    FailureKind.INPUT,
    "no_video_stream",
    "there is no picture in it",
    ("one", "two"),
    ({"id": "a", "operation": "transcode", "status": "failed", "error": "no picture"},),
)


async def _one(world: World) -> tuple[JobId, UserId]:
    """A pending job and its owner."""
    ref = await world.owner()
    return await world.submit(ref, await world.pipeline(ref.user_id)), ref.user_id


# --- claiming --------------------------------------------------------------------------------


async def test_a_claim_answers_all_that_a_worker_needs(world: World) -> None:
    ref = await world.owner()
    made = await world.catalog.pipelines.create(ref.user_id, "small", "json", "{}")
    source = (await world.put(ref, "film.mp4", blob(), blob(), pipeline=made.version_id)).object
    (job,) = await world.catalog.queue.claim("worker", 3, 15)
    assert (job.user_id, job.bucket) == (ref.user_id, ref)
    assert (job.source.id, job.source.segments) == (source.id, source.segments)
    assert (job.attempt, job.infra_failures, job.crashes) == (1, 0, 0)
    assert (job.pipeline_id, job.pipeline_name) == (made.id, "small")
    assert (job.pipeline_format, job.pipeline_content) == ("json", "{}")
    assert job.pipeline_digest == made.digest
    assert job.started_at_us >= job.created_at_us
    stored = await world.catalog.jobs.get(ref.user_id, job.id)
    assert (stored.status, stored.attempt) == (JobStatus.PROCESSING, 1)
    assert stored.started_at_us == job.started_at_us
    last = (await world.catalog.jobs.history(ref.user_id, job.id))[-1]
    assert (last.from_status, last.to_status) == (JobStatus.PENDING, JobStatus.PROCESSING)
    assert (last.triggered_by, last.message) == (TriggeredBy.WORKER, "Attempt 1 started.")


async def test_a_claim_is_exclusive_and_never_takes_more_than_asked(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    ids = [await world.submit(ref, pipeline, f"{number}") for number in range(5)]
    queue = world.catalog.queue
    assert await queue.claim("one", 0, 15) == ()
    first = await queue.claim("one", 2, 15)
    second = await queue.claim("two", 9, 15)
    assert [job.id for job in first] == ids[:2]
    assert [job.id for job in second] == ids[2:]
    assert len({job.token for job in (*first, *second)}) == 5
    assert await queue.claim("three", 1, 15) == ()


async def test_the_user_with_fewest_running_jobs_goes_first_even_within_one_claim(
    world: World,
) -> None:
    ann, bob, eve = [await world.owner(name) for name in ("ann", "bob", "eve")]
    for ref, count in ((ann, 20), (bob, 3), (eve, 1)):
        pipeline = await world.pipeline(ref.user_id)
        for number in range(count):
            await world.submit(ref, pipeline, f"{number}")
    first = await world.catalog.queue.claim("worker", 2, 15)
    assert [job.user_id for job in first] == [ann.user_id, bob.user_id]
    second = await world.catalog.queue.claim("worker", 6, 15)
    assert [job.user_id for job in second] == [
        eve.user_id,
        ann.user_id,
        bob.user_id,
        ann.user_id,
        bob.user_id,
        ann.user_id,
    ]
    # Whoever is alone may fill every slot.
    rest = await world.catalog.queue.claim("worker", 100, 15)
    assert [job.user_id for job in rest] == [ann.user_id] * 16


async def test_of_users_with_as_many_running_the_one_who_waited_longest_goes_first(
    world: World,
) -> None:
    ann, bob = await world.owner("ann"), await world.owner("bob")
    late = await world.submit(ann, await world.pipeline(ann.user_id))
    early = await world.submit(bob, await world.pipeline(bob.user_id))
    world.execute(f"update jobs set available_at = available_at - 1000000 where id = {early}")
    claimed = await world.catalog.queue.claim("worker", 2, 15)
    assert [job.id for job in claimed] == [early, late]


async def test_priority_comes_before_fairness_and_age(world: World) -> None:
    ann, bob = await world.owner("ann"), await world.owner("bob")
    pipeline = await world.pipeline(ann.user_id)
    ids = [await world.submit(ann, pipeline, f"{number}") for number in range(4)]
    other = await world.submit(bob, await world.pipeline(bob.user_id))
    world.execute(f"update jobs set priority = 90 where id in ({ids[2]}, {ids[3]})")
    world.execute(f"update jobs set priority = 10 where id = {ids[0]}")
    claimed = await world.catalog.queue.claim("worker", 5, 15)
    assert [job.id for job in claimed] == [ids[2], ids[3], other, ids[1], ids[0]]


async def test_what_is_not_due_yet_blocks_neither_its_user_nor_lower_priorities(
    world: World,
) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    later, now, low = [await world.submit(ref, pipeline, f"{number}") for number in range(3)]
    world.execute(f"update jobs set available_at = available_at + 60000000 where id = {later}")
    world.execute(f"update jobs set priority = 10 where id = {low}")
    claimed = await world.catalog.queue.claim("worker", 5, 15)
    assert [job.id for job in claimed] == [now, low]


async def test_the_next_due_job_says_how_long_to_wait(world: World) -> None:
    assert await world.catalog.queue.next_due_seconds() is None
    job_id, _ = await _one(world)
    assert await world.catalog.queue.next_due_seconds() == 0
    world.execute(f"update jobs set available_at = available_at + 60000000 where id = {job_id}")
    due = await world.catalog.queue.next_due_seconds()
    assert due is not None and 0 < due <= 60
    world.execute(f"update jobs set available_at = created_at where id = {job_id}")
    await world.claim()
    assert await world.catalog.queue.next_due_seconds() is None


# --- leases ----------------------------------------------------------------------------------


async def test_a_renewal_tells_each_lease_its_state(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(3):
        await world.submit(ref, pipeline, f"{number}")
    held, canceled, lost = await world.catalog.queue.claim("worker", 3, 15)
    await world.catalog.jobs.cancel(ref.user_id, canceled.id)
    await world.catalog.queue.release(lease(lost), "The service stopped.")
    unknown = Lease(JobId(99), LeaseToken("x"))
    leases = [lease(held), lease(canceled), lease(lost), unknown]
    assert await world.catalog.queue.renew("worker", leases, 15) == {
        held.id: LeaseState.HELD,
        canceled.id: LeaseState.CANCEL,
        lost.id: LeaseState.LOST,
        unknown.job_id: LeaseState.LOST,
    }
    assert await world.catalog.queue.renew("worker", [], 15) == {}


async def test_a_renewed_lease_runs_on_and_another_workers_is_not_renewed(world: World) -> None:
    job_id, _ = await _one(world)
    queue = world.catalog.queue
    (job,) = await queue.claim("worker", 1, -1)
    assert await queue.renew("other", [lease(job)], 60) == {job_id: LeaseState.LOST}
    assert await queue.renew("worker", [lease(job)], 60) == {job_id: LeaseState.HELD}
    assert await queue.recover(all_running=False, by=TriggeredBy.SYSTEM, message="Lost.") == ()


async def test_a_worker_that_lost_its_lease_changes_nothing(world: World) -> None:
    job_id, user_id = await _one(world)
    queue = world.catalog.queue
    (zombie,) = await queue.claim("one", 1, -1)
    await queue.recover(all_running=False, by=TriggeredBy.SYSTEM, message="Lost.")
    (heir,) = await queue.claim("two", 1, 15)
    late = blob()
    assert not await queue.progress(lease(zombie), 99, None, [])
    assert not await queue.finish(lease(zombie), outcome(new_object("results/late", late)))
    assert not await queue.fail(lease(zombie), INPUT, None)
    assert not await queue.fail(lease(zombie), INFRA, 5)
    assert not await queue.release(lease(zombie), "The service stopped.")
    assert await queue.renew("one", [lease(zombie)], 15) == {job_id: LeaseState.LOST}
    assert not await world.catalog.housekeeping.is_referenced(late)
    assert (await world.catalog.jobs.get(user_id, job_id)).progress == 0
    assert await queue.finish(lease(heir), outcome())


# --- ends of an attempt ----------------------------------------------------------------------


async def test_progress_is_seen_at_once_and_stays_within_bounds(world: World) -> None:
    job_id, user_id = await _one(world)
    held = lease(await world.claim())
    queue = world.catalog.queue
    assert await queue.progress(held, 41.5, 12.5, [{"id": "a", "status": "processing"}])
    job = await world.catalog.jobs.get(user_id, job_id)
    assert (job.progress, job.eta_seconds) == (41.5, 12.5)
    assert job.steps == ({"id": "a", "status": "processing"},)
    assert await queue.progress(held, 140, float("inf"), [])
    job = await world.catalog.jobs.get(user_id, job_id)
    assert (job.progress, job.eta_seconds) == (100, None)
    assert len(await world.catalog.jobs.history(user_id, job_id)) == 2


async def test_finishing_shows_all_outputs_and_ends_the_job(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    job = await world.claim()
    outputs = [new_object(f"results/job-{job_id}/{name}") for name in ("a.mp4", "manifest.json")]
    steps = ({"id": "a", "operation": "transcode", "status": "completed", "duration_ms": 5},)
    assert await world.catalog.queue.finish(lease(job), outcome(*outputs, steps=steps))
    for output in outputs:
        stored = await world.catalog.objects.get(ref, output.key)
        assert stored.segments == output.segments
    ended = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (ended.status, ended.progress) == (JobStatus.COMPLETED, 100)
    assert ended.result == {"output_files": [output.key for output in outputs]}
    assert (ended.steps, ended.error, ended.eta_seconds) == (steps, None, None)
    assert ended.finished_at_us is not None and ended.started_at_us is not None
    last = (await world.catalog.jobs.history(ref.user_id, job_id))[-1]
    assert (last.from_status, last.to_status, last.triggered_by) == (
        JobStatus.PROCESSING,
        JobStatus.COMPLETED,
        TriggeredBy.WORKER,
    )


async def test_an_output_replaces_what_has_its_key(world: World) -> None:
    ref = await world.owner()
    old = blob()
    await world.put(ref, "results/a", old)
    await world.submit(ref, await world.pipeline(ref.user_id))
    new = new_object("results/a", etag="new")
    await world.catalog.queue.finish(lease(await world.claim()), outcome(new))
    assert (await world.catalog.objects.get(ref, "results/a")).etag == "new"
    assert await world.garbage() == {old}


async def test_finishing_twice_under_one_lease_is_told_that_it_was_done(world: World) -> None:
    job_id, user_id = await _one(world)
    job = await world.claim()
    done = outcome(new_object("results/a"))
    assert await world.catalog.queue.finish(lease(job), done)
    assert await world.catalog.queue.finish(lease(job), done)
    assert len(await world.catalog.jobs.history(user_id, job_id)) == 3
    assert await world.garbage() == set()


async def test_a_result_that_cannot_be_written_is_no_other_jobs_fault(world: World) -> None:
    """Those that end at once share a transaction."""
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for n in range(4):
        await world.submit(ref, pipeline, f"{n}.mp4")
    jobs = await world.catalog.queue.claim("w", 4, 60.0)
    faults: list[int] = []
    done: list[int] = []

    async def finish(n: int) -> None:
        result: dict[str, object] = {"ratio": float("nan")} if n == 2 else {}
        try:
            assert await world.catalog.queue.finish(lease(jobs[n]), JobOutcome((), result, (), 0))
        except ValueError:
            faults.append(n)
        else:
            done.append(n)

    async with trio.open_nursery() as nursery:
        for n in range(4):
            nursery.start_soon(finish, n)
    assert (faults, sorted(done)) == ([2], [0, 1, 3])


async def test_a_job_whose_bucket_is_gone_fails_and_makes_nothing_visible(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    job = await world.claim()
    await world.delete(ref, "film.mp4")
    await world.catalog.buckets.delete(ref)
    await world.bucket(ref.user_id, ref.name)  # another one of the same name
    made = new_object("results/a")
    assert not await world.catalog.queue.finish(lease(job), outcome(made))
    ended = await world.catalog.jobs.get(ref.user_id, job_id)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "bucket_gone")
    assert ref.name in (ended.error or "")
    with pytest.raises(ObjectNotFound):
        await world.catalog.objects.get(ref, "results/a")
    assert not await world.catalog.housekeeping.is_referenced(made.segments[0].blob_id)
    # Its source has no other reader.
    assert await world.garbage() == {job.source.segments[0].blob_id}


async def test_failing_for_good_keeps_the_sentence_and_the_tools_last_lines(
    world: World,
) -> None:
    job_id, user_id = await _one(world)
    job = await world.claim()
    assert await world.catalog.queue.fail(lease(job), INPUT, None)
    ended = await world.catalog.jobs.get(user_id, job_id)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "no_video_stream")
    assert (ended.error, ended.result) == (INPUT.message, {"log": ["one", "two"]})
    assert ended.steps == INPUT.steps
    assert ended.finished_at_us is not None
    last = (await world.catalog.jobs.history(user_id, job_id))[-1]
    assert (last.to_status, last.message) == (JobStatus.FAILED, INPUT.message)
    assert not await world.catalog.queue.fail(lease(job), INPUT, None)


async def test_an_error_is_at_most_two_thousand_characters(world: World) -> None:
    job_id, user_id = await _one(world)
    long = JobFailure(FailureKind.LIMIT, "limit_time", "x" * 5_000)
    await world.catalog.queue.fail(lease(await world.claim()), long, None)
    assert (await world.catalog.jobs.get(user_id, job_id)).error == "x" * 2_000


async def test_a_retry_waits_and_counts_the_kind_of_failure(world: World) -> None:
    job_id, user_id = await _one(world)
    queue = world.catalog.queue
    assert await queue.fail(lease(await world.claim()), INFRA, 60)
    assert await queue.claim("worker", 1, 15) == ()
    waiting = await world.catalog.jobs.get(user_id, job_id)
    assert (waiting.status, waiting.progress) == (JobStatus.PENDING, 0)
    assert (waiting.started_at_us, waiting.error) == (None, None)
    last = (await world.catalog.jobs.history(user_id, job_id))[-1]
    assert (last.from_status, last.to_status, last.triggered_by) == (
        JobStatus.PROCESSING,
        JobStatus.PENDING,
        TriggeredBy.WORKER,
    )
    assert "60 s" in last.message and INFRA.message in last.message
    world.execute("update jobs set available_at = available_at - 60000000")
    second = await world.claim()
    assert (second.attempt, second.infra_failures, second.crashes) == (2, 1, 0)
    assert await queue.fail(lease(second), CRASH, 0)
    third = await world.claim()
    assert (third.attempt, third.infra_failures, third.crashes) == (3, 1, 1)


async def test_giving_back_costs_neither_an_attempt_nor_the_place(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    first, second = [await world.submit(ref, pipeline, f"{number}") for number in range(2)]
    job = await world.claim()
    assert await world.catalog.queue.release(lease(job), "The service stopped.")
    last = (await world.catalog.jobs.history(ref.user_id, first))[-1]
    assert (last.to_status, last.triggered_by) == (JobStatus.PENDING, TriggeredBy.SYSTEM)
    assert last.message == "The service stopped."
    again = await world.catalog.queue.claim("worker", 2, 15)
    assert [(job.id, job.attempt, job.crashes) for job in again] == [(first, 1, 0), (second, 1, 0)]


async def test_only_run_out_leases_are_recovered_unless_all_are_meant(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    for number in range(2):
        await world.submit(ref, pipeline, f"{number}")
    queue = world.catalog.queue
    (expired,) = await queue.claim("one", 1, -1)
    (running,) = await queue.claim("two", 1, 60)
    by = TriggeredBy.SYSTEM
    assert await queue.recover(all_running=False, by=by, message="Lost.") == (expired.id,)
    assert await queue.recover(all_running=True, by=by, message="Restart.") == (running.id,)
    assert await queue.recover(all_running=True, by=by, message="Restart.") == ()
    last = (await world.catalog.jobs.history(ref.user_id, running.id))[-1]
    assert (last.message, last.triggered_by) == ("Restart.", TriggeredBy.SYSTEM)
    again = await queue.claim("three", 2, 15)
    # A death of the worker process is not held against a job as one of its own tools is.
    assert [(job.id, job.attempt, job.crashes) for job in again] == [
        (expired.id, 2, 0),
        (running.id, 2, 0),
    ]


async def test_a_lease_that_a_living_worker_let_run_out_is_never_poison(world: World) -> None:
    job_id, _ = await _one(world)
    by = TriggeredBy.SYSTEM
    for _attempt in range(5):
        (job,) = await world.catalog.queue.claim("worker", 1, -1)
        assert job.id == job_id
        back = await world.catalog.queue.recover(
            all_running=False, by=by, message="Suspended.", is_crash=False
        )
        assert back == (job_id,)


async def test_every_transition_is_one_row_and_nothing_else_is(world: World) -> None:
    job_id, user_id = await _one(world)
    queue = world.catalog.queue
    await queue.fail(lease(await world.claim()), INFRA, 0)
    await queue.release(lease(await world.claim()), "The service stopped.")
    job = await world.claim()
    await queue.progress(lease(job), 50, None, [])
    await queue.renew("worker", [lease(job)], 15)
    await queue.finish(lease(job), outcome())
    history = await world.catalog.jobs.history(user_id, job_id)
    statuses = [row.to_status for row in history]
    waiting, running = JobStatus.PENDING, JobStatus.PROCESSING
    assert statuses == [
        *(waiting, running, waiting, running, waiting, running),
        JobStatus.COMPLETED,
    ]
    assert [row.from_status for row in history] == [None, *statuses[:-1]]
