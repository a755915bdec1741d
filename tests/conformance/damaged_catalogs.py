"""A SQLite catalog with something in every table, its bytes damaged on purpose, and every call
that reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mediaconvert.backends.sql.catalog import open_sqlite_catalog
from mediaconvert.model import (
    BucketRef,
    Checksum,
    Conditions,
    FailureKind,
    JobFailure,
    JobId,
    JobStatus,
    Lease,
    ListQuery,
    ObjectHeaders,
    Part,
    Segment,
    TriggeredBy,
    UserId,
)
from mediaconvert.ports.catalog import Catalog
from tests.conformance.worlds import ANY, World, blob, new_object, outcome

OBJECTS = 12


@dataclass(frozen=True)
class Filled:
    """What is in the catalog."""

    ref: BucketRef
    user_id: UserId
    jobs: tuple[JobId, ...]
    upload_id: str


async def fill(path: Path) -> Filled:
    """Make the file, closed and without a log beside it when this returns."""
    async with open_sqlite_catalog(path) as catalog:
        world = World(catalog, lambda _sql: [])
        ref = await world.owner()
        user_id = ref.user_id
        await catalog.credentials.create(
            user_id, "MCKEY", b"sealed", ref.name, existing=True, limit=9, region="us-east-1"
        )
        await catalog.users.note_login_failure("ann")
        version = await world.pipeline(user_id)
        for number in range(OBJECTS):
            await world.put(ref, f"folder/object-{number:02}.mp4")
        jobs = [await world.submit(ref, version, f"source-{number}.mp4") for number in range(4)]
        done = await world.claim()
        await catalog.queue.finish(Lease(done.id, done.token), outcome(new_object("result.mp4")))
        failed = await world.claim()
        failure = JobFailure(FailureKind.INPUT, "undecodable", "no film", ("line",), ())
        await catalog.queue.fail(Lease(failed.id, failed.token), failure, None)
        await world.claim()
        upload = await catalog.uploads.create(
            ref, "upload.mp4", ObjectHeaders("video/mp4", {}, {"a": "b"}), None, "CRC32", None
        )
        for number in (1, 2):
            part = Part(number, 5, "md5", Checksum("CRC32", "AAAA", "FULL_OBJECT"), _run(), 0)
            await catalog.uploads.put_part(ref, "upload.mp4", upload.id, part)
        await world.put(ref, "folder/object-00.mp4")
        await catalog.housekeeping.meta("installation", "0123")
        await catalog.outbox.open_batch("flusher", 5, 0.0)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("pragma wal_checkpoint(truncate)")
    return Filled(ref, user_id, tuple(jobs), upload.id)


def _run() -> tuple[Segment, ...]:
    return (Segment(blob(), 0, 5),)


Call = Callable[[], Awaitable[object]]


def reads(catalog: Catalog, filled: Filled) -> dict[str, Call]:
    """Every kind of call that only reads."""
    ref, user_id = filled.ref, filled.user_id
    objects, jobs, house = catalog.objects, catalog.jobs, catalog.housekeeping
    first = filled.jobs[0]
    calls: dict[str, Call] = {
        "user": lambda: catalog.users.by_id(user_id),
        "user by email": lambda: catalog.users.by_email("ann@example.org"),
        "login failures": lambda: catalog.users.login_failures("ann", 60),
        "key": lambda: catalog.credentials.by_access_key("MCKEY"),
        "credentials": lambda: catalog.credentials.list(user_id),
        "bucket": lambda: catalog.buckets.get(ref),
        "buckets": lambda: catalog.buckets.list(user_id),
        "objects": lambda: objects.list(ref, ListQuery("", "", "", 1000)),
        "a page": lambda: objects.list(ref, ListQuery("", "", "folder/object-03", 2)),
        "prefixes": lambda: objects.list(ref, ListQuery("", "/", "", 1000)),
        "upload": lambda: catalog.uploads.get(ref, "upload.mp4", filled.upload_id),
        "uploads": lambda: catalog.uploads.list(ref, ListQuery("", "", "", 1000), ""),
        "parts": lambda: catalog.uploads.list_parts(ref, "upload.mp4", filled.upload_id, 0, 9),
        "pipelines": lambda: catalog.pipelines.list(user_id),
        "pipeline": lambda: catalog.pipelines.by_name(user_id, "small"),
        "jobs": lambda: jobs.list(user_id, None, 0, 100),
        "failed jobs": lambda: jobs.list(user_id, JobStatus.FAILED, 0, 100),
        "history": lambda: jobs.history(user_id, first),
        "due": catalog.queue.next_due_seconds,
        "expired": catalog.queue.any_expired,
        "garbage": lambda: house.garbage(100),
        "unknown": lambda: house.unknown_blobs([blob()]),
        "gauges": house.gauges,
        "meta": lambda: house.find_meta("installation"),
    }
    for number in range(OBJECTS):
        key = f"folder/object-{number:02}.mp4"
        calls[f"object {key}"] = lambda key=key: objects.get(ref, key)  # type: ignore[misc]
    for job_id in filled.jobs:
        calls[f"job {job_id}"] = lambda job_id=job_id: jobs.get(user_id, job_id)  # type: ignore[misc]
    return calls


def writes(catalog: Catalog, filled: Filled) -> dict[str, Call]:
    """What a running service does, in an order in which it might."""
    ref, user_id = filled.ref, filled.user_id
    house, queue, uploads = catalog.housekeeping, catalog.queue, catalog.uploads

    async def work() -> None:
        for job in await queue.claim("worker", 10, 15.0):
            lease = Lease(job.id, job.token)
            await queue.renew("worker", [lease], 15.0)
            await queue.progress(lease, 50.0, None, ())
            await queue.finish(lease, outcome(new_object(f"results/job-{job.id}/a.mp4")))

    async def flush() -> None:
        while batch := await catalog.outbox.open_batch("tests", 100, 0.0):
            await catalog.outbox.acknowledge(batch.token)

    async def complete() -> object:
        return await uploads.complete(
            ref, "upload.mp4", filled.upload_id, lambda _u, _p: new_object("upload.mp4"), ANY
        )

    return {
        "check": house.check,
        "recover": lambda: queue.recover(
            all_running=True, by=TriggeredBy.SYSTEM, message="restarted"
        ),
        "work": work,
        "cancel": lambda: catalog.jobs.cancel(user_id, filled.jobs[3]),
        "rerun": lambda: catalog.jobs.rerun(user_id, filled.jobs[0], latest=True),
        "put": lambda: catalog.objects.put(ref, new_object("new.mp4"), ANY, None),
        "put over": lambda: catalog.objects.put(
            ref, new_object("folder/object-05.mp4"), Conditions(if_match=("e1",)), None
        ),
        "copy": lambda: catalog.objects.copy(
            ref, "folder/object-06.mp4", ANY, ref, "copied.mp4", None, ANY, None
        ),
        "delete": lambda: catalog.objects.delete(ref, [("folder/object-07.mp4", ANY)]),
        "complete": complete,
        "expire": lambda: house.expire_uploads(-60.0, 10),
        "detached": lambda: house.purge_detached(10),
        "forget garbage": lambda: house.forget_garbage([blob()]),
        "password": lambda: catalog.users.set_password(user_id, "other"),
        "flush": flush,
        "trim": lambda: catalog.outbox.trim(1),
        "turn": lambda: house.take_turn("orphans", 60.0),
        "delete bucket": lambda: catalog.buckets.delete(ref),
    }
