"""ports.catalog.Objects, but for listing."""

from __future__ import annotations

import pytest

from mediaconvert.errors import (
    BucketForbidden,
    BucketNotFound,
    ObjectNotFound,
    PipelineNotFound,
    PreconditionFailed,
)
from mediaconvert.model import (
    BucketRef,
    Checksum,
    Conditions,
    JobStatus,
    ListQuery,
    NewObject,
    ObjectHeaders,
    PartInfo,
    Segment,
    VersionId,
)
from tests.conformance.worlds import ANY, World, blob, lease, new_object, outcome


async def test_an_object_comes_back_as_it_was_put(world: World) -> None:
    ref = await world.owner()
    new = NewObject(
        key="dir/ film é\n.mp4",
        size=30,
        etag="abc-2",
        headers=ObjectHeaders(
            "video/mp4", {"cache-control": "no-store"}, {"title": "Ein Film – ü"}, "GLACIER"
        ),
        segments=(Segment(blob(), 5, 20), Segment(blob(), 0, 10)),
        checksum=Checksum("CRC32C", "AAAA-2", "COMPOSITE"),
        parts=(PartInfo(1, 20, "x"), PartInfo(2, 10, None)),
    )
    committed = await world.catalog.objects.put(ref, new, ANY, None)
    assert committed.job_id is None
    stored = await world.catalog.objects.get(ref, new.key)
    assert stored == committed.object
    assert (stored.key, stored.size, stored.etag) == (new.key, 30, "abc-2")
    assert (stored.headers, stored.segments) == (new.headers, new.segments)
    assert (stored.checksum, stored.parts) == (new.checksum, new.parts)
    assert stored.job_id is None


async def test_keys_are_byte_exact_names(world: World) -> None:
    ref = await world.owner()
    keys = [
        "a",
        "A",
        "a/",
        "a//b",
        "../x",
        "%2e",
        "e\u0301",
        "é",
        "nul\0x",
        "nul",
        "nul\0",
        " ",
        "😀",
    ]
    for number, key in enumerate(keys):
        await world.put(ref, key, etag=str(number))
    for number, key in enumerate(keys):
        assert (await world.catalog.objects.get(ref, key)).etag == str(number)


async def test_an_empty_object_has_no_segments(world: World) -> None:
    ref = await world.owner()
    empty = NewObject("empty", 0, "e", ObjectHeaders(), ())
    await world.catalog.objects.put(ref, empty, ANY, None)
    assert (await world.catalog.objects.get(ref, "empty")).segments == ()


async def test_another_users_bucket_is_forbidden_and_a_missing_one_is_missing(
    world: World,
) -> None:
    ref = await world.owner("ann")
    stranger = BucketRef(await world.user("bob"), ref.name)
    await world.put(ref, "film.mp4")
    objects = world.catalog.objects
    with pytest.raises(BucketForbidden):
        await objects.get(stranger, "film.mp4")
    with pytest.raises(BucketForbidden):
        await world.put(stranger, "film.mp4")
    with pytest.raises(BucketForbidden):
        await objects.delete(stranger, [("film.mp4", ANY)])
    with pytest.raises(BucketForbidden):
        await objects.copy(stranger, "film.mp4", ANY, ref, "copy", None, ANY, None)
    with pytest.raises(BucketForbidden):
        await objects.copy(ref, "film.mp4", ANY, stranger, "copy", None, ANY, None)
    with pytest.raises(BucketNotFound):
        await objects.get(BucketRef(ref.user_id, "none"), "film.mp4")
    with pytest.raises(ObjectNotFound):
        await objects.get(ref, "film")


async def test_overwriting_makes_a_new_id_and_garbage_of_the_old_bytes(world: World) -> None:
    ref = await world.owner()
    old, new = blob(), blob()
    first = await world.put(ref, "film.mp4", old)
    second = await world.put(ref, "film.mp4", new)
    assert second.object.id != first.object.id
    assert (await world.catalog.objects.get(ref, "film.mp4")).segments[0].blob_id == new
    assert await world.garbage() == {old}


async def test_an_upload_with_a_pipeline_submits_its_job(world: World) -> None:
    ref = await world.owner()
    committed = await world.put(ref, "film.mp4", pipeline=await world.pipeline(ref.user_id))
    assert committed.job_id is not None
    assert (committed.object.job_status, committed.object.job_progress) == (JobStatus.PENDING, 0)
    job = await world.catalog.jobs.get(ref.user_id, committed.job_id)
    assert (job.source_id, job.source_key) == (committed.object.id, "film.mp4")
    assert (job.source_size, job.source_content_type) == (10, "video/mp4")
    assert await world.catalog.objects.get(ref, "film.mp4") == committed.object


async def test_an_upload_with_somebody_elses_pipeline_stores_nothing(world: World) -> None:
    ref = await world.owner("ann")
    foreign = await world.pipeline(await world.user("bob"))
    for version in (foreign, VersionId(99)):
        with pytest.raises(PipelineNotFound):
            await world.put(ref, "film.mp4", pipeline=version)
    with pytest.raises(ObjectNotFound):
        await world.catalog.objects.get(ref, "film.mp4")


async def test_head_tells_the_newest_job_of_the_object(world: World) -> None:
    ref = await world.owner()
    first = await world.submit(ref, await world.pipeline(ref.user_id))
    await world.catalog.jobs.cancel(ref.user_id, first)
    second = await world.catalog.jobs.rerun(ref.user_id, first, latest=False)
    job = await world.claim()
    await world.catalog.queue.progress(lease(job), 40.0, None, [])
    stored = await world.catalog.objects.get(ref, "film.mp4")
    assert (stored.job_id, stored.job_status, stored.job_progress) == (
        second.id,
        JobStatus.PROCESSING,
        40.0,
    )
    await world.put(ref, "film.mp4")
    assert (await world.catalog.objects.get(ref, "film.mp4")).job_id is None


async def test_if_none_match_creates_once(world: World) -> None:
    ref = await world.owner()
    create = Conditions(if_none_match=("*",))
    await world.put(ref, "film.mp4", etag="first", conditions=create)
    late = blob()
    with pytest.raises(PreconditionFailed) as failed:
        await world.put(ref, "film.mp4", late, etag="second", conditions=create)
    assert failed.value.condition == "If-None-Match"
    assert (await world.catalog.objects.get(ref, "film.mp4")).etag == "first"
    assert not await world.catalog.housekeeping.is_referenced(late)


async def test_if_match_replaces_only_what_it_names(world: World) -> None:
    ref = await world.owner()
    with pytest.raises(ObjectNotFound):
        await world.put(ref, "film.mp4", conditions=Conditions(if_match=("e1",)))
    await world.put(ref, "film.mp4", etag="e1")
    with pytest.raises(PreconditionFailed):
        await world.put(ref, "film.mp4", etag="e3", conditions=Conditions(if_match=("e2",)))
    await world.put(ref, "film.mp4", etag="e3", conditions=Conditions(if_match=("e2", "e1")))
    assert (await world.catalog.objects.get(ref, "film.mp4")).etag == "e3"


async def test_delete_says_what_had_existed_and_which_condition_failed(world: World) -> None:
    ref = await world.owner()
    kept, gone = blob(), blob()
    await world.put(ref, "kept", kept, etag="e1")
    await world.put(ref, "gone", gone, etag="e1")
    wrong = Conditions(if_match=("e2",))
    answers = await world.catalog.objects.delete(
        ref, [("missing", ANY), ("missing", wrong), ("kept", wrong), ("gone", ANY), ("gone", ANY)]
    )
    assert answers[:2] == (False, False)
    assert isinstance(answers[2], PreconditionFailed) and answers[2].condition == "If-Match"
    assert answers[3:] == (True, False)
    assert await world.garbage() == {gone}
    await world.catalog.objects.get(ref, "kept")


async def test_a_delete_evaluates_every_condition_in_its_transaction(world: World) -> None:
    ref = await world.owner()
    stored = (await world.put(ref, "k", etag="e1")).object
    made_us = stored.created_at_us
    false = {
        "If-Match": Conditions(if_match=("e2",)),
        "If-None-Match": Conditions(if_none_match=("e1",)),
        "If-Modified-Since": Conditions(if_modified_since=made_us // 1_000_000),
        "If-Unmodified-Since": Conditions(if_unmodified_since=made_us // 1_000_000 - 1),
        "x-amz-if-match-size": Conditions(("e1",), if_match_size=stored.size + 1),
        "x-amz-if-match-last-modified-time": Conditions(
            ("e1",), if_match_size=stored.size, if_match_modified_us=made_us + 1
        ),
    }
    answers = await world.catalog.objects.delete(ref, [("k", each) for each in false.values()])
    assert [a.condition if isinstance(a, PreconditionFailed) else a for a in answers] == list(false)
    assert (await world.catalog.objects.get(ref, "k")).id == stored.id


@pytest.mark.parametrize("shown_us", [1, 1_000, 1_000_000])
async def test_a_delete_accepts_the_time_as_the_client_has_seen_it(
    world: World, shown_us: int
) -> None:
    ref = await world.owner()
    stored = (await world.put(ref, "k")).object
    seen_us = stored.created_at_us // shown_us * shown_us
    true = Conditions(("*",), if_match_size=stored.size, if_match_modified_us=seen_us)
    assert await world.catalog.objects.delete(ref, [("k", true), ("k", true)]) == (True, False)


async def test_a_copy_shares_the_bytes_until_the_last_of_both_goes(world: World) -> None:
    ref = await world.owner()
    shared = blob()
    source = await world.put(ref, "film.mp4", shared)
    copied = await world.catalog.objects.copy(
        ref, "film.mp4", ANY, ref, "copy.mp4", None, ANY, None
    )
    assert copied.object.id != source.object.id
    assert copied.object.segments == source.object.segments
    assert copied.object.etag == source.object.etag
    assert copied.object.headers == source.object.headers
    await world.delete(ref, "film.mp4")
    assert await world.garbage() == set()
    await world.delete(ref, "copy.mp4")
    assert await world.garbage() == {shared}


async def test_a_copy_onto_itself_with_new_headers_keeps_the_bytes(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "film.mp4", blob())
    headers = ObjectHeaders("text/plain", user={"a": "b"})
    copied = await world.catalog.objects.copy(
        ref, "film.mp4", ANY, ref, "film.mp4", headers, ANY, None
    )
    assert (await world.catalog.objects.get(ref, "film.mp4")) == copied.object
    assert copied.object.headers == headers
    assert await world.garbage() == set()
    await world.delete(ref, "film.mp4")
    assert await world.garbage() == {copied.object.segments[0].blob_id}


async def test_a_copy_across_buckets_can_start_a_job(world: World) -> None:
    ref = await world.owner()
    other = await world.bucket(ref.user_id, "others")
    await world.put(ref, "film.mp4")
    copied = await world.catalog.objects.copy(
        ref, "film.mp4", ANY, other, "film.mp4", None, ANY, await world.pipeline(ref.user_id)
    )
    job = await world.claim()
    assert job.id == copied.job_id
    assert (job.bucket, job.source.id) == (other, copied.object.id)


async def test_a_copy_obeys_conditions_on_both_sides(world: World) -> None:
    ref = await world.owner()
    await world.put(ref, "film.mp4", etag="e1")
    copy = world.catalog.objects.copy
    for failing in (
        Conditions(if_match=("e2",)),
        Conditions(if_none_match=("e1",)),
        Conditions(if_unmodified_since=1),
        Conditions(if_modified_since=2**40),
    ):
        with pytest.raises(PreconditionFailed, match="x-amz-copy-source-If"):
            await copy(ref, "film.mp4", failing, ref, "copy", None, ANY, None)
    with pytest.raises(ObjectNotFound):
        await copy(ref, "missing", ANY, ref, "copy", None, ANY, None)
    once = Conditions(if_none_match=("*",))
    await copy(ref, "film.mp4", ANY, ref, "copy", None, once, None)
    with pytest.raises(PreconditionFailed):
        await copy(ref, "film.mp4", ANY, ref, "copy", None, once, None)


@pytest.mark.parametrize("ending", ["finish", "cancel"])
@pytest.mark.parametrize("change", ["overwrite", "delete"])
async def test_what_a_job_reads_is_kept_until_the_job_has_ended(
    world: World, change: str, ending: str
) -> None:
    ref = await world.owner()
    pinned = blob()
    committed = await world.put(ref, "film.mp4", pinned, pipeline=await world.pipeline(ref.user_id))
    if change == "overwrite":
        await world.put(ref, "film.mp4")
    else:
        await world.delete(ref, "film.mp4")
    assert await world.garbage() == set()
    assert await world.catalog.housekeeping.purge_detached(100) == 0
    job = await world.claim()
    assert job.source.id == committed.object.id
    assert job.source.segments == committed.object.segments
    if ending == "finish":
        assert await world.catalog.queue.finish(lease(job), outcome(new_object("results/x")))
    else:
        await world.catalog.jobs.cancel(ref.user_id, job.id)
    assert await world.garbage() == {pinned}


async def test_a_source_read_by_two_jobs_waits_for_both(world: World) -> None:
    ref = await world.owner()
    pinned = blob()
    first = (
        await world.put(ref, "film.mp4", pinned, pipeline=await world.pipeline(ref.user_id))
    ).job_id
    assert first is not None
    second = await world.catalog.jobs.rerun(ref.user_id, first, latest=False)
    await world.delete(ref, "film.mp4")
    await world.catalog.jobs.cancel(ref.user_id, first)
    assert await world.garbage() == set()
    await world.catalog.jobs.cancel(ref.user_id, second.id)
    assert await world.garbage() == {pinned}


async def test_a_source_that_is_still_current_survives_its_job(world: World) -> None:
    ref = await world.owner()
    job_id = await world.submit(ref, await world.pipeline(ref.user_id))
    await world.catalog.jobs.cancel(ref.user_id, job_id)
    assert await world.garbage() == set()
    await world.catalog.objects.get(ref, "film.mp4")


async def test_a_thousand_keys_are_deleted_in_one_call(world: World) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    await world.submit(ref, pipeline)
    job = await world.claim()
    outputs = [new_object(f"o/{number:04}") for number in range(1000)]
    assert await world.catalog.queue.finish(lease(job), outcome(*outputs))
    # Twice: what is replaced becomes garbage.
    await world.submit(ref, pipeline, "again")
    job = await world.claim()
    again = [new_object(output.key) for output in outputs]
    assert await world.catalog.queue.finish(lease(job), outcome(*again))
    assert await world.garbage() == {output.segments[0].blob_id for output in outputs}
    answers = await world.catalog.objects.delete(ref, [(output.key, ANY) for output in outputs])
    assert answers == (True,) * 1000
    page = await world.catalog.objects.list(ref, ListQuery(prefix="o/"))
    assert page.objects == ()
    assert len(await world.garbage()) == 2000


async def test_of_two_outputs_with_one_key_the_later_counts(world: World) -> None:
    ref = await world.owner()
    await world.submit(ref, await world.pipeline(ref.user_id))
    job = await world.claim()
    first, second = new_object("same", etag="first"), new_object("same", etag="second")
    assert await world.catalog.queue.finish(lease(job), outcome(first, second))
    assert (await world.catalog.objects.get(ref, "same")).etag == "second"


async def test_an_output_replaces_what_a_job_still_reads_and_leaves_that_readable(
    world: World,
) -> None:
    ref = await world.owner()
    pipeline = await world.pipeline(ref.user_id)
    await world.submit(ref, pipeline, "one")
    waiting = await world.submit(ref, pipeline, "two")
    job = await world.claim()
    assert await world.catalog.queue.finish(lease(job), outcome(new_object("two")))
    assert await world.garbage() == set()
    job = await world.claim()
    assert job.id == waiting and job.source.segments
    source = job.source.segments[0].blob_id
    assert await world.catalog.queue.finish(lease(job), outcome())
    assert await world.garbage() == {source}
