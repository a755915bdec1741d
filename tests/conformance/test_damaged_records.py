"""A record that cannot be read costs its own request and nobody else's; on each database."""

from __future__ import annotations

import logging

import pytest

from mediaconvert.errors import DamagedRecord, ObjectNotFound
from mediaconvert.model import (
    Checksum,
    JobStatus,
    ListQuery,
    ObjectHeaders,
    Part,
    Segment,
    TriggeredBy,
)
from tests.conformance.worlds import ANY, World, blob, lease, new_object, outcome

DAMAGED_OBJECTS = {
    "a time in the year 182951": "created_at = 5711144179200000000",
    "a time before 1970": "created_at = -1",
    "a negative size": "size = -10",
    "a size that is not that of the bytes": "size = 11",
    "headers that are not JSON": "system_headers = '{'",
    "metadata that is not an object": "user_metadata = '[1]'",
    "metadata that would break a header": """user_metadata = '{"a": "b\\nc"}'""",
    "parts that are not parts": "parts = '[[1]]'",
}
SHOWN_IN_LISTS = ("a time in the year 182951", "a time before 1970", "a negative size")


@pytest.mark.parametrize("what", DAMAGED_OBJECTS)
async def test_a_damaged_object_is_an_error_and_the_others_are_listed(
    world: World, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await world.owner()
    for key in ("a", "b", "c"):
        await world.put(ref, key)
    world.execute(f"update objects set {DAMAGED_OBJECTS[what]} where key = 'b'")
    for _ in range(2):
        with pytest.raises(DamagedRecord, match="is damaged in the service's catalog"):
            await world.catalog.objects.get(ref, "b")
        page = await world.catalog.objects.list(ref, ListQuery())
        keys = ["a", "c"] if what in SHOWN_IN_LISTS else ["a", "b", "c"]
        assert [each.key for each in page.objects] == keys
    report = world.catalog.housekeeping.damage.report()
    (object_id,) = world.execute("select id from objects where key = 'b'")
    assert (report.records, report.shown) == (1, (f"objects {object_id}",))
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "once, and not with each request"
    # It can be replaced, and then all is well.
    await world.put(ref, "b")
    assert (await world.catalog.objects.get(ref, "b")).size == 10


async def test_pages_go_on_past_damaged_objects(world: World) -> None:
    ref = await world.owner()
    for number in range(12):
        await world.put(ref, f"k{number:02}")
    world.execute("update objects set created_at = -1 where key > 'k02' and key < 'k09'")
    keys: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await world.catalog.objects.list(ref, ListQuery(after=after, limit=2))
        keys += [each.key for each in page.objects]
        after = page.next_after
    assert keys == ["k00", "k01", "k02", "k09", "k10", "k11"]


async def test_a_page_of_nothing_but_damage_is_an_error_and_not_an_end(world: World) -> None:
    """A client that copies a bucket must not take it for empty."""
    ref = await world.owner()
    for number in range(40):
        await world.put(ref, f"k{number:02}")
    world.execute("update objects set created_at = -1 where key < 'k39'")
    with pytest.raises(DamagedRecord):
        await world.catalog.objects.list(ref, ListQuery(limit=1))


async def test_damaged_uploads_and_parts_are_left_out_and_never_completed(world: World) -> None:
    ref = await world.owner()
    uploads = world.catalog.uploads
    ids = []
    for key in ("a", "b"):
        upload = await uploads.create(ref, key, ObjectHeaders("video/mp4"), None, "CRC32", None)
        ids.append(upload.id)
        for number in (1, 2):
            checksum = Checksum("CRC32", "AAAA", "FULL_OBJECT")
            part = Part(number, 5, "md5", checksum, (Segment(blob(), 0, 5),), 0)
            await uploads.put_part(ref, key, upload.id, part)
    world.execute("update uploads set user_metadata = '{' where key = 'a'")
    world.execute(f"update upload_parts set size = -5 where number = 1 and upload_id = '{ids[1]}'")
    page = await uploads.list(ref, ListQuery(), "")
    assert [upload.key for upload in page.uploads] == ["b"]
    assert [p.number for p in await uploads.list_parts(ref, "b", ids[1], 0, 10)] == [2]
    with pytest.raises(DamagedRecord):
        await uploads.get(ref, "a", ids[0])
    with pytest.raises(DamagedRecord):
        await uploads.complete(ref, "b", ids[1], lambda _u, _p: new_object("b"), ANY)
    with pytest.raises(ObjectNotFound):
        await world.catalog.objects.get(ref, "b")


async def test_a_damaged_job_is_failed_at_its_claim_and_the_next_one_runs(world: World) -> None:
    ref = await world.owner()
    version = await world.pipeline(ref.user_id)
    broken, whole = [await world.submit(ref, version, key) for key in ("a", "b")]
    world.execute(f"update jobs set created_at = -1 where id = {broken}")
    (claimed,) = await world.catalog.queue.claim("worker", 2, 15.0)
    assert claimed.id == whole
    assert await world.catalog.queue.claim("worker", 2, 15.0) == ()
    world.execute(f"update jobs set created_at = 1 where id = {broken}")
    job = await world.catalog.jobs.get(ref.user_id, broken)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "record_damaged")
    history = await world.catalog.jobs.history(ref.user_id, broken)
    assert history[-1].to_status is JobStatus.FAILED


async def test_damaged_jobs_hold_up_no_list_no_recovery_and_no_end(world: World) -> None:
    ref = await world.owner()
    version = await world.pipeline(ref.user_id)
    jobs = [await world.submit(ref, version, key) for key in ("a", "b", "c")]
    claimed = await world.catalog.queue.claim("worker", 3, 15.0)
    world.execute(f"update jobs set status = 'processinh' where id = {jobs[2]}")
    page = await world.catalog.jobs.list(ref.user_id, None, 0, 10)
    assert [job.id for job in page.jobs] == [jobs[1], jobs[0]]
    world.execute(f"update jobs set output_bytes = -1 where id = {jobs[0]}")
    back = await world.catalog.queue.recover(
        all_running=True, by=TriggeredBy.SYSTEM, message="restarted"
    )
    assert back == (jobs[1],)
    assert world.execute(f"select status from jobs where id = {jobs[0]}") == ["failed"]
    # Its worker, which knows nothing of that, loses it like any other.
    assert not await world.catalog.queue.finish(lease(claimed[0]), outcome(new_object("r")))


async def test_a_damaged_event_and_a_damaged_batch_hold_up_no_others(world: World) -> None:
    ref = await world.owner()
    version = await world.pipeline(ref.user_id)
    await world.submit(ref, version)
    events = world.execute("select id from outbox order by id")
    assert len(events) == 2
    world.execute(f"update outbox set payload = '{{' where id = {events[0]}")
    outbox = world.catalog.outbox
    batch = await outbox.open_batch("flusher", 100, 60.0)
    assert batch is not None
    assert [str(event.id) for event in batch.events] == events[1:]
    world.execute("update outbox_batch set event_ids = '[1,'")
    batch = await outbox.open_batch("another", 100, 60.0)
    assert batch is not None
    assert [str(event.id) for event in batch.events] == events[1:]
    await outbox.acknowledge(batch.token)
    assert await outbox.open_batch("another", 100, 60.0) is None
